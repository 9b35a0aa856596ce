/**
 * The broker's time: what the clock says, as long as the clock can be believed.
 *
 * It never goes back: a clock that is set back is followed from there on at its distance, which a later step forward
 * makes up for. And it knows when it went on after a gap, because the process stood still (stopped, suspended, starved)
 * or the clock was set forward: what clients sent meanwhile has not been read yet, so nobody may be called late for it.
 */
import type { Clock } from '../base/clock.ts';

/** The broker looks at the clock ten times a second. */
const gapMs = 1_000;

export class Timekeeper {
  /** As of the last reading. */
  now: number;
  /** When time last went on after a gap. */
  resumedAt = Number.NEGATIVE_INFINITY;
  /** How far the broker's time is ahead of a clock that was set back. */
  #ahead = 0;
  #isWatched = false;
  readonly #clock: Clock;
  /** Told of each step of a second and more, once `watch` was called: milliseconds, forward or back. */
  readonly #stepped: (ms: number) => void;

  constructor(clock: Clock, stepped: (ms: number) => void) {
    this.#clock = clock;
    this.#stepped = stepped;
    this.now = clock.now();
  }

  /** The broker has started, however long that took, and looks at the clock from now on. */
  watch(): void {
    this.#isWatched = true;
  }

  read(): number {
    const step = this.#clock.now() + this.#ahead - this.now;
    if (step < 0) {
      this.#ahead -= step;
      if (step <= -gapMs) this.#tell(step);
      return this.now;
    }
    this.now += step;
    if (step > gapMs) this.#resume(step);
    return this.now;
  }

  #resume(step: number): void {
    const madeUp = Math.min(this.#ahead, step);
    this.#ahead -= madeUp;
    this.now -= madeUp;
    this.resumedAt = this.now;
    this.#tell(step);
  }

  #tell(step: number): void {
    if (this.#isWatched) this.#stepped(step);
  }

  /** A moment that was read off the clock, in the broker's time. */
  at(clockTime: number): number {
    return clockTime + this.#ahead;
  }
}
