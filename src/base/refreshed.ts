/**
 * A figure that takes its time to find out: whoever asks gets the last one, and causes the next if that is old. Nobody
 * waits, and however many ask, it is found out no more often than that.
 */
export class Refreshed<Value> {
  readonly #find: () => Promise<Value>;
  readonly #maxAgeMs: number;
  readonly #now: () => number;
  #value: Value | null = null;
  #foundAt = Number.NEGATIVE_INFINITY;
  #isFinding = false;

  /** `now`: milliseconds, from any origin. */
  constructor(find: () => Promise<Value>, maxAgeMs: number, now: () => number = () => performance.now()) {
    this.#find = find;
    this.#maxAgeMs = maxAgeMs;
    this.#now = now;
  }

  /** Null until it was found out for the first time, and while it cannot be. */
  get value(): Value | null {
    if (!this.#isFinding && this.#now() - this.#foundAt >= this.#maxAgeMs) void this.#refresh();
    return this.#value;
  }

  async #refresh(): Promise<void> {
    this.#isFinding = true;
    try {
      this.#value = await this.#find();
    } catch {
      this.#value = null;
    } finally {
      this.#isFinding = false;
      this.#foundAt = this.#now();
    }
  }
}
