import { Scheduler } from '../../src/base/scheduler.ts';

/**
 * Rounds of the event loop that pass when the test says so, and a clock that stands still but for what the test adds to
 * it.
 */
export class Rounds {
  readonly scheduler: Scheduler;
  readonly #scheduled: (() => void)[] = [];
  /** Microseconds. */
  now = 0;
  /** Added to the clock whenever it is read. */
  perReading = 0;

  constructor() {
    this.scheduler = new Scheduler({
      clock: () => (this.now += this.perReading),
      afterArrivals: (run) => this.#scheduled.push(run),
    });
  }

  round(): void {
    for (const run of this.#scheduled.splice(0)) run();
  }

  get isAtRest(): boolean {
    return this.#scheduled.length === 0;
  }

  rest(): void {
    while (!this.isAtRest) this.round();
  }

  /** What `count` is after each round in which it changes, until nothing more is to be done. */
  follow(count: () => number): number[] {
    const counts = [count()];
    while (!this.isAtRest) {
      this.round();
      if (counts.at(-1) !== count()) counts.push(count());
    }
    return counts;
  }
}

/** A scheduler whose rounds end at once, and whose time stands still. */
export const immediately = (): Scheduler => new Scheduler({ clock: () => 0, afterArrivals: (run) => run() });

/** A scheduler for which no work takes any time, so that a slow machine changes nothing. */
export const timeless = (): Scheduler => new Scheduler({ clock: () => 0 });
