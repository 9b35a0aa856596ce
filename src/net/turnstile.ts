/**
 * Lets strangers through a few at a time: what they cost in one round of the event loop has a bound, so that everybody else has
 * their turn soon, however many strangers come at once. Strangers are connections whose client is not known yet, or not any more.
 *
 * While there is room in a round, going through costs a look at the clock. Those that have to wait are served in their order. What waits is
 * bounded by the limits on connections: each of them waits once.
 */
import { Deque } from '../base/deque.ts';

const microseconds = () => Math.round(performance.now() * 1_000);

interface Step {
  readonly cost: number;
  readonly take: () => void;
}

export interface TurnstileOptions {
  /** Runs its argument in the next round. */
  readonly schedule?: (run: () => void) => void;
  /** Microseconds, whole ones. */
  readonly clock?: () => number;
}

export class Turnstile {
  readonly #perRound: number;
  readonly #schedule: (run: () => void) => void;
  readonly #clock: () => number;
  readonly #waiting = new Deque<Step>();
  #left: number;
  #isScheduled = false;
  #isWithin = false;

  /** What strangers may take of one round: `perRound` microseconds, which the last step may exceed. */
  constructor(perRound: number, { schedule = setImmediate, clock = microseconds }: TurnstileOptions = {}) {
    this.#perRound = this.#left = perRound;
    this.#schedule = schedule;
    this.#clock = clock;
  }

  /** True: the step was taken. False: the caller may have to `wait`. A step costs what it takes, and no less than `cost`. */
  goes(cost: number, take: () => void): boolean {
    if (this.#left <= 0 || this.#waiting.length > 0) return false;
    this.#take(cost, take);
    return true;
  }

  /** The step is taken in the round in which there is room. The last one may exceed it, so that a large one has its turn as well. */
  wait(cost: number, take: () => void): void {
    this.#waiting.push({ cost, take });
    this.#countRound();
  }

  #take(cost: number, take: () => void): void {
    // A step within another one is part of what that takes.
    if (this.#isWithin) return take();
    this.#isWithin = true;
    const startedAt = this.#clock();
    try {
      take();
    } finally {
      this.#isWithin = false;
      this.#left -= Math.max(cost, this.#clock() - startedAt);
      this.#countRound();
    }
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
      this.#take(next.cost, next.take);
    }
  };
}

/** What is read of a stranger at one time: most CONNECTs are smaller, and it costs no more than a small part of a millisecond. */
export const strangerBytes = 4_096;

/** What steps cost at least, in microseconds: what Node does before and after them counts as well. Those who go are strangers, too. */
export const cost = { read: 10, close: 50, upgrade: 150, tlsHandshake: 300 } as const;

/** There is one event loop, so all listeners share one. */
export const strangers = new Turnstile(500);
