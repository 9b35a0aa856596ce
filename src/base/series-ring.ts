/**
 * The last points of several series, all at the same times. It takes all its memory at the start and none later. Values
 * are kept with seven digits; NaN stands for one that was not known.
 */
import { assert } from './assert.ts';

export class SeriesRing {
  readonly #series: number;
  readonly #points: number;
  readonly #times: Float64Array;
  /** Point by point. */
  readonly #values: Float32Array;
  #added = 0;

  constructor(series: number, points: number) {
    assert(series > 0 && points > 0, 'a ring has series and points');
    this.#series = series;
    this.#points = points;
    this.#times = new Float64Array(points);
    this.#values = new Float32Array(series * points);
  }

  get bytes(): number {
    return this.#times.byteLength + this.#values.byteLength;
  }

  /** `values`: one for each series. The oldest point goes where there are as many as may be. */
  add(time: number, values: ArrayLike<number>): void {
    const point = this.#added++ % this.#points;
    this.#times[point] = time;
    this.#values.set(values, point * this.#series);
  }

  /** The oldest first. */
  times(): number[] {
    return this.#indexes().map((point) => this.#times[point]!);
  }

  /** At these times; null where it was not known. */
  values(series: number): (number | null)[] {
    return this.#indexes().map((point) => knownOf(this.#values[point * this.#series + series]!));
  }

  #indexes(): number[] {
    const count = Math.min(this.#added, this.#points);
    return Array.from({ length: count }, (_, index) => (this.#added - count + index) % this.#points);
  }
}

/** With three decimals, which is how a figure is told; null where it is not known. */
export const knownOf = (value: number): number | null =>
  Number.isFinite(value) ? Math.round(value * 1_000) / 1_000 : null;
