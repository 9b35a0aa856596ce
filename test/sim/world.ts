/**
 * Time in the simulation: a clock that stands still, and events that are due at some time of it. Everything that the
 * broker, the network, the disk and the clients do later is an event here, so that one seed gives one run, to the last
 * detail.
 */
import { createHash } from 'node:crypto';
import type { Clock, Timers } from '../../src/base/clock.ts';

/** A run of the broker process: what it had planned ends with it. */
export interface Life {
  isOver: boolean;
}

interface SimulatedEvent {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  readonly life: Life | null;
}

/** What must hold does not. */
export class Violation extends Error {
  override readonly name = 'Violation';
  /** The invariant's name: a smaller run has the same failure if it fails at the same. */
  readonly invariant: string;

  constructor(invariant: string, message: string) {
    super(`${invariant}: ${message}`);
    this.invariant = invariant;
  }
}

/** More than ever happens at one time. */
const eventsAtOnceMax = 20_000;
/** Longest chain of promises between one event and the next, in the broker. */
const microtasks = 16;

export class World implements Clock {
  /** Milliseconds since the epoch. */
  time: number;
  readonly startedAt: number;
  /** Null: nobody reads it. */
  readonly lines: string[] | null;
  events = 0;
  #order = 0;
  #eventsNow = 0;
  /** What has to be over before anything else happens. */
  #held: Promise<void> | null = null;
  #heap: SimulatedEvent[] = [];

  constructor(isTraced: boolean, startedAt = 1_800_000_000_000) {
    this.time = this.startedAt = startedAt;
    this.lines = isTraced ? [] : null;
  }

  now(): number {
    return this.time;
  }

  /** For who reads the trace: what happened, and when. */
  tell(text: () => string): void {
    if (this.lines === null) return;
    this.lines.push(`${((this.time - this.startedAt) / 1000).toFixed(3).padStart(9)}  ${text()}`);
  }

  hash(): string {
    return createHash('sha256')
      .update((this.lines ?? []).join('\n'))
      .digest('hex');
  }

  /** `life`: whose it is; it does not happen when that is over. */
  after(ms: number, run: () => void, life: Life | null = null): void {
    this.#push({ at: this.time + ms, order: this.#order++, run, life });
  }

  /** The timers of one process. */
  timersOf(life: Life): Timers {
    return {
      after: (ms, run) => this.after(ms, run, life),
      every: (ms, run) => {
        let isEnded = false;
        const again = () => {
          if (isEnded) return;
          run();
          this.after(ms, again, life);
        };
        this.after(ms, again, life);
        return () => {
          isEnded = true;
        };
      },
    };
  }

  /** Lets everything happen that is due by then, or until `isEnough`. */
  async runUntil(time: number, isEnough: () => boolean = () => false): Promise<void> {
    while (this.#heap.length > 0 && this.#heap[0]!.at <= time) {
      const event = this.#pop();
      if (event.life?.isOver) continue;
      this.#countAt(event.at);
      this.time = Math.max(this.time, event.at);
      this.events++;
      event.run();
      await this.#whenReleased();
      await settled();
      if (isEnough()) return;
    }
    this.time = Math.max(this.time, time);
  }

  /** Nothing else happens before this promise is settled. */
  hold(promise: Promise<void>): void {
    this.#held = promise;
  }

  async #whenReleased(): Promise<void> {
    const held = this.#held;
    this.#held = null;
    if (held !== null) await held;
  }

  /** A broker that is busy without anything happening would stop the clock. */
  #countAt(time: number): void {
    if (time > this.time) this.#eventsNow = 0;
    if (++this.#eventsNow > eventsAtOnceMax)
      throw new Violation('the broker comes to rest', 'it turns and turns at one time');
  }

  #push(event: SimulatedEvent): void {
    const heap = this.#heap;
    heap.push(event);
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!isBefore(heap[i]!, heap[parent]!)) break;
      [heap[i], heap[parent]] = [heap[parent]!, heap[i]!];
      i = parent;
    }
  }

  #pop(): SimulatedEvent {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    heap[0] = last;
    for (let i = 0; ; ) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < heap.length && isBefore(heap[child]!, heap[least]!)) least = child;
      }
      if (least === i) return first;
      [heap[i], heap[least]] = [heap[least]!, heap[i]!];
      i = least;
    }
  }
}

const isBefore = (a: SimulatedEvent, b: SimulatedEvent) => a.at < b.at || (a.at === b.at && a.order < b.order);

/** Lets promises that are settled be heard. */
export async function settled(): Promise<void> {
  for (let i = 0; i < microtasks; i++) await undefined;
}
