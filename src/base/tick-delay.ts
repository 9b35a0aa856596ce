/**
 * How late the event loop is, by a timer that ticks anyway: nothing more has to wake the loop for it. A stop of the
 * loop is seen if a tick falls into it, so of short ones only a part is, as large as their part of the time between two
 * ticks. That leaves means and percentiles right, if there are enough.
 */
import { delayBounds, Histogram } from './histogram.ts';

export class TickDelay {
  readonly seconds = new Histogram(delayBounds);
  readonly #interval: number;
  #due = Number.POSITIVE_INFINITY;

  /** `intervalMs`: between two ticks, counted from the beginning of each. */
  constructor(intervalMs: number) {
    this.#interval = intervalMs * 1_000;
  }

  /** `now`: in microseconds, from any origin. */
  tick(now: number): void {
    if (this.#due !== Number.POSITIVE_INFINITY) this.seconds.add(Math.max(0, now - this.#due) / 1e6);
    this.#due = now + this.#interval;
  }
}
