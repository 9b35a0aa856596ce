/**
 * Time that passes as fast as work allows: what is due runs in order, and all that promises lead to runs in between.
 */
import type { Timers } from '../../src/base/clock.ts';

interface Due {
  readonly at: number;
  readonly run: () => void;
}

export class VirtualTime implements Timers {
  now = 0;
  /** In order; of the same time, as they were set. */
  readonly #due: Due[] = [];

  after(ms: number, run: () => void): void {
    const at = this.now + ms;
    const later = this.#due.findIndex((each) => each.at > at);
    this.#due.splice(later < 0 ? this.#due.length : later, 0, { at, run });
  }

  every(ms: number, run: () => void): () => void {
    let hasEnded = false;
    const again = () => {
      if (hasEnded) return;
      run();
      this.after(ms, again);
    };
    this.after(ms, again);
    return () => {
      hasEnded = true;
    };
  }

  /** Until `done`, or nothing is left to wait for. */
  async run(done: Promise<unknown>): Promise<void> {
    let isDone = false;
    const end = () => {
      isDone = true;
    };
    void done.then(end, end);
    for (;;) {
      // Behind all that follows from promises which are settled.
      await new Promise((resolve) => setImmediate(resolve));
      if (isDone) break;
      const next = this.#due.shift();
      if (next === undefined) break;
      this.now = next.at;
      next.run();
    }
    await done;
  }

  async pass(ms: number): Promise<void> {
    await this.run(new Promise<void>((resolve) => this.after(ms, resolve)));
  }
}
