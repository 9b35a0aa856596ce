/**
 * What one PUBLISH came to is in one commit: the copies for all subscribers, though they are given in several rounds,
 * and all parts of a message that was split. A crash in between leaves none of it, and its publisher sends it again.
 */
import type { Decision } from './decisions.ts';
import type { Judge } from './judge.ts';
import type { Exchange } from './link.ts';
import { verdictOf } from './pipeline.ts';

const invariant = 'what one PUBLISH came to is committed as one';

export class CommonCommits {
  /** Messages that not all of their subscribers have got yet, by their numbers: they are committed as one, later. */
  readonly underWay = new Set<number>();
  /** Of messages that were split: keys by the number of the first part, until the other one is routed as well. */
  readonly #halves = new Map<number, string>();
  readonly #judge: Judge;

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  /** Another process: nothing is on its way in it. */
  restarted(): void {
    this.underWay.clear();
    this.#halves.clear();
  }

  /** A part of what a client published, or all of it. */
  onRouted({ sent, numbers }: Exchange, number: number): void {
    const { key, topic, qos, payload } = sent;
    if (this.#judge.profile.pipeline === 'none' || verdictOf(topic, qos, payload) !== 'split') return;
    if (numbers.length === 1) this.#halves.set(number, key);
    else this.#halves.delete(numbers[0]!);
  }

  /** A copy is given to the store. `isJoint`: together with the rest, and not in the batch that is filled now. */
  onStored({ clientId, expected, filter }: Decision, isJoint: boolean): void {
    // What goes to a new subscription was retained before.
    if (this.#judge.store === null || expected === null || filter !== null) return;
    const { number, key } = expected.message;
    const isRight = isJoint || !this.underWay.has(number);
    this.#judge.check(isRight, invariant, () => `${key} for ${clientId} is staged before the rest`);
  }

  /** A batch is filled, with all that is staged. */
  onBatch(): void {
    if (this.#judge.store === null) return;
    for (const [number, key] of this.#halves) {
      const sessions = [...this.#judge.model.sessions.values()];
      const isStored = sessions.some(({ isKept, expected }) => isKept && expected.has(number));
      const isRight = !isStored || this.underWay.has(number);
      this.#judge.check(isRight, invariant, () => `one part of ${key} is written without the other`);
    }
  }
}
