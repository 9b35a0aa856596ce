/**
 * Many coarse timers at little cost: a hierarchical wheel. Setting and cancelling are O(1), and nothing runs while
 * nothing is due. Time comes from outside: `advance(now)` fires what is due by then, in the order of the ticks.
 */
import { assert } from './assert.ts';

const slotBits = 6;
const slotsPerLevel = 1 << slotBits;
const levels = 6;

/** One timer: embed it or extend it. It is in at most one wheel, once. */
export class Timer {
  readonly fire: () => void;
  /** The tick at which it is due; only the wheel writes these. */
  tick = 0;
  next: Timer | null = null;
  previous: Timer | null = null;
  list: TimerList | null = null;

  constructor(fire: () => void) {
    this.fire = fire;
  }

  get isSet(): boolean {
    return this.list !== null;
  }
}

/** Slots of 64 to the power of the level's number ticks each. */
class Level {
  readonly slots = Array.from({ length: slotsPerLevel }, () => new TimerList(this));
  count = 0;
}

/** The timers of a slot. */
class TimerList {
  readonly #level: Level;
  first: Timer | null = null;
  #last: Timer | null = null;

  constructor(level: Level) {
    this.#level = level;
  }

  add(timer: Timer): void {
    this.#level.count++;
    timer.previous = this.#last;
    timer.next = null;
    if (this.#last === null) this.first = timer;
    else this.#last.next = timer;
    this.#last = timer;
    timer.list = this;
  }

  remove(timer: Timer): void {
    this.#level.count--;
    if (timer.previous === null) this.first = timer.next;
    else timer.previous.next = timer.next;
    if (timer.next === null) this.#last = timer.previous;
    else timer.next.previous = timer.previous;
    timer.next = timer.previous = timer.list = null;
  }
}

/** To deal out so many timers anew takes no longer than to fire one. */
const dealtPerFired = 16;

export class TimerWheel {
  readonly #tickMs: number;
  readonly #levels: readonly Level[];
  #tick: number;
  /** Of the levels that have gone on to another slot with this tick, the lowest whose slot is still to be dealt out. */
  #dealt = levels;

  /** `now` in milliseconds; timers fire up to one `tickMs` late, never early. */
  constructor(now: number, tickMs = 100) {
    this.#tickMs = tickMs;
    this.#tick = Math.floor(now / tickMs);
    this.#levels = Array.from({ length: levels }, () => new Level());
  }

  get count(): number {
    return this.#levels.reduce((sum, level) => sum + level.count, 0);
  }

  /** Sets or moves a timer to `at` (milliseconds). A time that has passed means the next tick. */
  set(timer: Timer, at: number): void {
    this.cancel(timer);
    timer.tick = Math.max(Math.ceil(at / this.#tickMs), this.#tick + 1);
    this.#place(timer);
  }

  /** Null is a timer that was never made. */
  cancel(timer: Timer | null): void {
    timer?.list?.remove(timer);
  }

  /**
   * Fires a timer before others that are due, if it is due by `now`: `advance` may have left it. Null is a timer that
   * was never made.
   */
  fireIfDue(timer: Timer | null, now: number): void {
    if (timer === null || !timer.isSet || timer.tick > Math.floor(now / this.#tickMs)) return;
    this.cancel(timer);
    timer.fire();
  }

  /**
   * Fires what is due by `now`, but no more than `most`: returns whether that was all. Called again it goes on from
   * there. A timer may set itself or others meanwhile.
   */
  advance(now: number, most: number = Number.POSITIVE_INFINITY): boolean {
    const target = Math.floor(now / this.#tickMs);
    for (let left = most; ; ) {
      left -= this.#deal(left * dealtPerFired) / dealtPerFired;
      if (this.#dealt < levels) return false;
      const due = this.#levels[0]!.slots[this.#tick & (slotsPerLevel - 1)]!;
      for (let timer = due.first; timer !== null; timer = due.first) {
        assert(timer.tick <= this.#tick, 'a timer is early');
        if (left <= 0) return false;
        left--;
        this.cancel(timer);
        timer.fire();
      }
      if (this.#tick >= target) return true;
      this.#tick = Math.min(this.#nextTick(), target);
      this.#dealt = 1;
    }
  }

  /**
   * The next tick in which anything can happen: the lowest level that holds timers goes on by a slot; Infinity without
   * timers. After a sleep, or a step of the clock, stepping through every tick would be felt.
   */
  #nextTick(): number {
    let slotTicks = 1;
    for (const { count } of this.#levels) {
      if (count > 0) return (Math.floor(this.#tick / slotTicks) + 1) * slotTicks;
      slotTicks *= slotsPerLevel;
    }
    return Number.POSITIVE_INFINITY;
  }

  #place(timer: Timer): void {
    // The level is where the highest bits differ: slots of lower levels would come round before the timer is due.
    let level = 0;
    while (
      level < levels - 1 &&
      timer.tick / 2 ** (slotBits * (level + 1)) >= Math.floor(this.#tick / 2 ** (slotBits * (level + 1))) + 1
    ) {
      level++;
    }
    // Beyond the last level's reach: it waits in the farthest slot and is placed again from there.
    const reach = this.#tick + (slotsPerLevel - 1) * 2 ** (slotBits * level);
    const tick = Math.min(timer.tick, reach);
    this.#levels[level]!.slots[Math.floor(tick / 2 ** (slotBits * level)) & (slotsPerLevel - 1)]!.add(timer);
  }

  /**
   * When a level has gone round, the next slot of the level above is dealt out anew: no more than `most` timers in one
   * go, since a slot of a higher level may have those of hours. Returns how many it dealt out; all of them are once
   * `#dealt` is beyond the levels.
   */
  #deal(most: number): number {
    let count = 0;
    for (; this.#dealt < levels; this.#dealt++) {
      const slotTicks = 2 ** (slotBits * this.#dealt);
      if (this.#tick % slotTicks !== 0) break;
      const slot = this.#levels[this.#dealt]!.slots[Math.floor(this.#tick / slotTicks) & (slotsPerLevel - 1)]!;
      for (let timer = slot.first; timer !== null; timer = slot.first) {
        if (count >= most) return count;
        count++;
        slot.remove(timer);
        this.#place(timer);
      }
    }
    this.#dealt = levels;
    return count;
  }
}
