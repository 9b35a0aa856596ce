/**
 * How often values fell between fixed bounds. It counts from the start and forgets nothing: whoever wants to know what
 * came lately compares with what was there before, see `RecentCounts`.
 */
import { assert } from './assert.ts';

/** For durations: from 10 microseconds to 5 seconds. */
export const secondsBounds: readonly number[] = [1e-5, 1e-4, 1e-3, 0.01, 0.1, 1].flatMap((each) => [
  each,
  2.5 * each,
  5 * each,
]);

/** For numbers of things: 1, 2, 4 … 16,384. */
export const powersOf2: readonly number[] = Array.from({ length: 15 }, (_, power) => 2 ** power);

/** For delays that are known to a millisecond: from 1 millisecond to 5 seconds. */
export const delayBounds: readonly number[] = secondsBounds.filter((bound) => bound >= 0.001);

export class Histogram {
  /** Upper ends of the buckets, ascending; behind the last one there is another bucket without an end. */
  readonly bounds: readonly number[];
  /** How many fell into each bucket. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(bounds: readonly number[] = secondsBounds) {
    assert(bounds.length > 0, 'a histogram has at least one bound');
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  add(value: number): void {
    const { bounds } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
    this.counts[bucket]!++;
    this.sum += value;
  }
}

/** What came into a histogram since the last `forget` but one. */
export class RecentCounts {
  readonly #histogram: Histogram;
  #before: Float64Array;
  #last: Float64Array;

  constructor(histogram: Histogram) {
    this.#histogram = histogram;
    this.#before = this.#last = new Float64Array(histogram.counts.length);
  }

  /** Forgets what came before the last call. */
  forget(): void {
    this.#before = this.#last;
    this.#last = this.#histogram.counts.slice();
  }

  /**
   * So many of a hundred were at most this much: between two bounds they count as evenly spread, beyond the last bound
   * as that. 0 if there were none.
   */
  percentile(percent: number): number {
    const { bounds, counts } = this.#histogram;
    const recent = counts.map((count, bucket) => count - this.#before[bucket]!);
    const total = recent.reduce((sum, count) => sum + count, 0);
    if (total === 0) return 0;
    let left = (percent / 100) * total;
    let bucket = 0;
    while (left > recent[bucket]!) left -= recent[bucket++]!;
    if (bucket === bounds.length) return bounds.at(-1)!;
    const from = bucket === 0 ? 0 : bounds[bucket - 1]!;
    return from + (bounds[bucket]! - from) * (left / recent[bucket]!);
  }
}
