/** How long something took: percentiles of all that was added since `reset`, within a fifth, in 80 numbers of memory. */

/** Microseconds at which the first bucket ends; each further one ends a quarter of a doubling later. */
const firstMicroseconds = 1;
const perDoubling = 4;
const buckets = 80;

export class Durations {
  readonly #counts = new Uint32Array(buckets);
  #count = 0;

  add(milliseconds: number): void {
    const microseconds = milliseconds * 1000;
    const bucket = microseconds <= firstMicroseconds ? 0 : Math.ceil(Math.log2(microseconds) * perDoubling);
    this.#counts[Math.min(bucket, buckets - 1)]!++;
    this.#count++;
  }

  /** In microseconds: the upper end of the bucket. 0 if there were none. */
  percentile(percent: number): number {
    if (this.#count === 0) return 0;
    let left = Math.ceil((percent / 100) * this.#count);
    for (let bucket = 0; bucket < buckets; bucket++) {
      left -= this.#counts[bucket]!;
      if (left <= 0) return firstMicroseconds * 2 ** (bucket / perDoubling);
    }
    return firstMicroseconds * 2 ** ((buckets - 1) / perDoubling);
  }

  reset(): void {
    this.#counts.fill(0);
    this.#count = 0;
  }
}
