/**
 * Lets strangers through a few at a time: what they cost in one round of the event loop has a bound, so that everybody else has his
 * turn soon, however many of them come at once. Strangers are connections whose client is not known yet, or not any more.
 *
 * While there is room in a round, going through costs a subtraction. Whoever has to wait is served in his order. What waits is
 * bounded by the limits on connections: each of them waits once.
 */
import { Deque } from '../base/deque.ts';

export class Turnstile {
  readonly #perRound: number;
  readonly #schedule: (run: () => void) => void;
  readonly #waiting = new Deque<{ readonly cost: number; readonly go: () => void }>();
  #left: number;
  #isScheduled = false;

  /** `schedule` runs its argument in the next round. */
  constructor(perRound: number, schedule: (run: () => void) => void = setImmediate) {
    this.#perRound = this.#left = perRound;
    this.#schedule = schedule;
  }

  /** True: go through now. The caller may have to `wait` otherwise. */
  admits(cost: number): boolean {
    if (this.#left <= 0 || this.#waiting.length > 0) return false;
    this.#pay(cost);
    return true;
  }

  /** Calls back in the round in which there is room. The last one may exceed it, so that a large cost has its turn as well. */
  wait(cost: number, go: () => void): void {
    this.#waiting.push({ cost, go });
    this.#countRound();
  }

  #pay(cost: number): void {
    this.#left -= cost;
    this.#countRound();
  }

  /** Rounds in which nobody comes are not counted: they cost nothing. */
  #countRound(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(this.#nextRound);
  }

  readonly #nextRound = (): void => {
    this.#isScheduled = false;
    this.#left = this.#perRound;
    while (this.#left > 0) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#pay(next.cost);
      next.go();
    }
  };
}

/** What is read of a stranger at one time: most CONNECTs are smaller, and it costs no more than a small part of a millisecond. */
export const strangerBytes = 4_096;

/** What things cost, in reads of `strangerBytes`: about 10 µs each. Those who go are strangers as well. */
export const cost = { read: 1, close: 5, tlsHandshake: 32 } as const;

/** There is one event loop, so all listeners share one. About half a millisecond a round. */
export const strangers = new Turnstile(48);
