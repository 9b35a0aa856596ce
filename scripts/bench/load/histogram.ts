/** Times in microseconds, counted in buckets of 1/64 of their size: any quantile within 1.6 %, in constant memory. */
const perOctave = 64;

export class Histogram {
  readonly #buckets = new Float64Array(64 * perOctave);
  #count = 0;
  #sum = 0;
  #max = 0;

  add(microseconds: number): void {
    const value = Math.max(1, microseconds);
    const octave = Math.floor(Math.log2(value));
    const bucket = octave * perOctave + Math.floor((value / 2 ** octave - 1) * perOctave);
    this.#buckets[bucket]!++;
    this.#count++;
    this.#sum += value;
    this.#max = Math.max(this.#max, value);
  }

  clear(): void {
    this.#buckets.fill(0);
    this.#count = this.#sum = this.#max = 0;
  }

  /** `q` between 0 and 1; 0 if nothing was counted. */
  quantile(q: number): number {
    let left = q * this.#count;
    for (let bucket = 0; bucket < this.#buckets.length; bucket++) {
      left -= this.#buckets[bucket]!;
      if (left >= 0 || this.#buckets[bucket] === 0) continue;
      const octave = Math.floor(bucket / perOctave);
      return 2 ** octave * (1 + (bucket % perOctave) / perOctave);
    }
    return this.#max;
  }

  summary(): LatencySummary {
    const round = (value: number) => Math.round(value * 10) / 10;
    return {
      n: this.#count,
      mean: round(this.#count === 0 ? 0 : this.#sum / this.#count),
      p50: round(this.quantile(0.5)),
      p99: round(this.quantile(0.99)),
      max: round(this.#max),
    };
  }
}

/** Microseconds. */
export interface LatencySummary {
  readonly n: number;
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}
