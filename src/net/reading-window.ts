/**
 * Of the connections that are not authenticated, so many are read at one time. libuv reads at once whatever is
 * readable, up to 1,024 sockets before anything else is done, so what is not to be read in one round must not be asked
 * for.
 *
 * While there is room every connection is read. Otherwise the one that has been read for the longest time is read no
 * more: at once if a new connection comes, which mostly sends its CONNECT at once, and after a while for those that
 * wait.
 */
import { systemTimers, type Timers } from '../base/clock.ts';

/** Something that is read, or waits to be. It is in one `ReadingWindow` at most. */
export interface Reader {
  startReading(): void;
  /** `startReading` follows by itself. */
  stopReading(): void;
}

export interface ReadingWindowOptions {
  readonly after?: Timers['after'];
  /** Runs its argument in the next round. */
  readonly schedule?: (run: () => void) => void;
}

/** Of those that are read, one in so many is replaced at a time. */
const shares = 4;

export class ReadingWindow {
  readonly #size: number;
  readonly #leastMs: number;
  readonly #after: Timers['after'];
  readonly #schedule: (run: () => void) => void;
  /** Sets keep the order in which their members came. */
  readonly #reading = new Set<Reader>();
  readonly #waiting = new Set<Reader>();
  #isTimed = false;
  #isScheduled = false;

  /** `size` are read at a time, each for `leastMs` at least unless new ones come. */
  constructor(
    size: number,
    leastMs: number,
    { after = systemTimers.after, schedule = setImmediate }: ReadingWindowOptions = {},
  ) {
    this.#size = size;
    this.#leastMs = leastMs;
    this.#after = after;
    this.#schedule = schedule;
  }

  /** It is read from now on, until it leaves or is told that others are. */
  enter(reader: Reader): void {
    if (this.#reading.size >= this.#size) this.#stopOldest(1);
    this.#reading.add(reader);
  }

  /** It is authenticated now, or gone, or nothing more is to be read of it. */
  leave(reader: Reader): void {
    if (this.#reading.delete(reader)) this.#fillSoon();
    else this.#waiting.delete(reader);
  }

  #stopOldest(count: number): void {
    for (const reader of this.#reading) {
      this.#reading.delete(reader);
      this.#waiting.add(reader);
      reader.stopReading();
      if (--count === 0) break;
    }
    if (this.#isTimed) return;
    this.#isTimed = true;
    this.#after(this.#leastMs / shares, this.#rotate);
  }

  /** Not at once: those that leave as soon as they are read would all be read in one round. */
  #fillSoon(): void {
    if (this.#isScheduled || this.#waiting.size === 0) return;
    this.#isScheduled = true;
    this.#schedule(this.#fill);
  }

  readonly #fill = (): void => {
    this.#isScheduled = false;
    let left = this.#size / shares;
    for (const reader of this.#waiting) {
      if (this.#reading.size >= this.#size) return;
      if (left-- <= 0) return this.#fillSoon();
      this.#waiting.delete(reader);
      this.#reading.add(reader);
      reader.startReading();
    }
  };

  readonly #rotate = (): void => {
    this.#isTimed = false;
    const count = Math.min(this.#size / shares, this.#waiting.size);
    if (count === 0) return;
    this.#stopOldest(count);
    this.#fill();
  };
}

/** There is one event loop, so all listeners share one. */
export const readingWindow = new ReadingWindow(64, 8);
