/** How many requests a source may make over time. */
import { LeakyBuckets } from '../base/ttl-table.ts';
import { CommandFailure } from '../contracts/failures.ts';

/** So many seconds' worth may come at once. */
const burstSeconds = 2;
/** Sources that are remembered; a new one displaces one that has asked little. */
const watchedMax = 16_384;

export class RequestRate {
  readonly #perSecond: number;
  readonly #buckets: LeakyBuckets;

  /** 0: any number. */
  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#buckets = new LeakyBuckets(1_000 / Math.max(1, perSecond), watchedMax);
  }

  /** Whether `take` would throw. */
  isSpent(source: string, now: number): boolean {
    return this.#perSecond > 0 && this.#buckets.level(source, now) + 1 > this.#perSecond * burstSeconds;
  }

  /** Counts as many requests as come within a second, for one that is no caller's who wants answers. */
  spend(source: string, now: number): void {
    for (let i = 0; i < this.#perSecond; i++) this.#buckets.add(source, now);
  }

  /** Counts a request; throws a CommandFailure, and does not count it, if it is one too many. */
  take(source: string, now: number, limit: string): void {
    if (this.#perSecond === 0) return;
    const beyond = this.#buckets.level(source, now) + 1 - this.#perSecond * burstSeconds;
    if (beyond <= 0) return void this.#buckets.add(source, now);
    const what = `${source} asks more than ${this.#perSecond} times a second (admin.${limit})`;
    const retryAfterSeconds = Math.ceil(beyond / this.#perSecond);
    throw new CommandFailure('too-many-requests', what, { retryAfterSeconds });
  }
}
