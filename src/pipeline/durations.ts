/**
 * How long something took: percentiles of what was added since the last `rotate` but one, within a fifth, in 160
 * numbers of memory. Whoever reads them changes nothing for others.
 */

/** Microseconds at which the first bucket ends; each further one ends a quarter of a doubling later. */
const firstMicroseconds = 1;
const perDoubling = 4;
const buckets = 80;

export class Durations {
  #counts = new Uint32Array(buckets);
  #before = new Uint32Array(buckets);

  add(milliseconds: number): void {
    const microseconds = milliseconds * 1000;
    const bucket = microseconds <= firstMicroseconds ? 0 : Math.ceil(Math.log2(microseconds) * perDoubling);
    this.#counts[Math.min(bucket, buckets - 1)]!++;
  }

  /** In microseconds: the upper end of the bucket. 0 if there were none. */
  percentile(percent: number): number {
    let count = 0;
    for (let bucket = 0; bucket < buckets; bucket++) count += this.#in(bucket);
    if (count === 0) return 0;
    let left = Math.ceil((percent / 100) * count);
    for (let bucket = 0; bucket < buckets; bucket++) {
      left -= this.#in(bucket);
      if (left <= 0) return firstMicroseconds * 2 ** (bucket / perDoubling);
    }
    return firstMicroseconds * 2 ** ((buckets - 1) / perDoubling);
  }

  #in(bucket: number): number {
    return this.#counts[bucket]! + this.#before[bucket]!;
  }

  /** Forgets what was added before the last call. */
  rotate(): void {
    [this.#before, this.#counts] = [this.#counts, this.#before];
    this.#counts.fill(0);
  }
}
