/** Refusals that are kept back: so few at one time that nobody can fill memory with them. */
import type { ServerResponse } from 'node:http';

const delayedMax = 256;

export class Delays {
  #count = 0;

  /** Resolves after this time, at once if too many wait already, and when nobody waits for the answer any more. */
  wait(ms: number, response: ServerResponse): Promise<void> {
    if (ms === 0 || this.#count >= delayedMax || response.destroyed) return Promise.resolve();
    this.#count++;
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        response.off('close', done);
        this.#count--;
        resolve();
      };
      const timer = setTimeout(done, ms);
      response.once('close', done);
    });
  }
}
