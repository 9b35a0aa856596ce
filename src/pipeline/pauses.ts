/** Lets the event loop serve others between the steps of something long. */
import { setImmediate } from 'node:timers/promises';

/** Steps follow each other for so long. */
const sliceMs = 0.5;

export class Pauses {
  #startedAt = performance.now();

  /** Null: go on at once. */
  due(): Promise<void> | null {
    if (performance.now() - this.#startedAt < sliceMs) return null;
    return setImmediate().then(() => {
      this.#startedAt = performance.now();
    });
  }
}
