/**
 * A value that is replaced now and then, for any number of readers: it is made once, whoever reads. A reader that is
 * too slow for some of the values misses these, and gets the newest, so nothing gathers for anybody.
 */
import { Waiters } from './waiters.ts';

export class Latest<Value extends object> {
  #value: Value | null = null;
  /** Of the value. */
  #number = 0;
  #isClosed = false;
  #problem: unknown = null;
  readonly #waiting = new Waiters();

  /** Null: there was none yet. */
  get value(): Value | null {
    return this.#value;
  }

  set(value: Value): void {
    this.#value = value;
    this.#number++;
    this.#waiting.wake();
  }

  /** There will be no more: readers end, with this error if there is one. */
  close(problem: unknown = null): void {
    this.#isClosed = true;
    this.#problem = problem;
    this.#waiting.wake();
  }

  /** The value that there is, and then each that replaces it, until `signal` is aborted. */
  async *values(signal: AbortSignal): AsyncGenerator<Value> {
    let seen = 0;
    while (!signal.aborted && !this.#isClosed) {
      if (this.#value === null || this.#number === seen) await this.#waiting.next(signal);
      else {
        seen = this.#number;
        yield this.#value;
      }
    }
    if (this.#problem !== null) throw this.#problem;
  }
}
