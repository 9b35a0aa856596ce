/**
 * Of all strangers, so many are read at one time: however many there are and whatever they say, not more than these can become
 * readable in one round of the event loop, and libuv reads at once whatever is.
 *
 * While there are places nobody waits. Otherwise the one that has been read for the longest time makes room: at once for a
 * newcomer, which mostly sends its CONNECT at once, and after a while for those that had to make room before they could say anything.
 */
import { systemTimers, type Timers } from '../base/clock.ts';

/** What strangers are here, each of which is in one `ReadTurns` at most. */
export interface Reader {
  /** Its turn begins. */
  startReading(): void;
  /** Its turn is over; the next one comes by itself. */
  stopReading(): void;
}

export interface ReadTurnsOptions {
  readonly after?: Timers['after'];
  /** Runs its argument in the next round. */
  readonly schedule?: (run: () => void) => void;
}

/** Of those who are read, one in so many makes room at a time, and of the places as many are filled in a round. */
const shares = 4;

export class ReadTurns {
  readonly #places: number;
  readonly #turnMs: number;
  readonly #after: Timers['after'];
  readonly #schedule: (run: () => void) => void;
  /** Sets keep the order in which their members came. */
  readonly #reading = new Set<Reader>();
  readonly #waiting = new Set<Reader>();
  #isTimed = false;
  #isScheduled = false;

  /** So many places; whoever waits for one has it for `turnMs` at least, unless newcomers press. */
  constructor(
    places: number,
    turnMs: number,
    { after = systemTimers.after, schedule = setImmediate }: ReadTurnsOptions = {},
  ) {
    this.#places = places;
    this.#turnMs = turnMs;
    this.#after = after;
    this.#schedule = schedule;
  }

  /** It is read from now on, until it leaves or is told that others are. */
  enter(reader: Reader): void {
    if (this.#reading.size >= this.#places) this.#makeRoom(1);
    this.#reading.add(reader);
  }

  /** It has a name now, or is gone, or nothing more is to be read of it. */
  leave(reader: Reader): void {
    if (this.#reading.delete(reader)) this.#fillSoon();
    else this.#waiting.delete(reader);
  }

  #makeRoom(count: number): void {
    for (const reader of this.#reading) {
      this.#reading.delete(reader);
      this.#waiting.add(reader);
      reader.stopReading();
      if (--count === 0) break;
    }
    if (this.#isTimed) return;
    this.#isTimed = true;
    this.#after(this.#turnMs / shares, this.#takeTurns);
  }

  /** Not at once: those who leave as soon as they are read would all have their turn in one round. */
  #fillSoon(): void {
    if (this.#isScheduled || this.#waiting.size === 0) return;
    this.#isScheduled = true;
    this.#schedule(this.#fill);
  }

  readonly #fill = (): void => {
    this.#isScheduled = false;
    let left = this.#places / shares;
    for (const reader of this.#waiting) {
      if (this.#reading.size >= this.#places) return;
      if (left-- <= 0) return this.#fillSoon();
      this.#waiting.delete(reader);
      this.#reading.add(reader);
      reader.startReading();
    }
  };

  readonly #takeTurns = (): void => {
    this.#isTimed = false;
    const count = Math.min(this.#places / shares, this.#waiting.size);
    if (count === 0) return;
    this.#makeRoom(count);
    this.#fill();
  };
}

/** There is one event loop, so all listeners share them. */
export const readTurns = new ReadTurns(64, 8);
