/**
 * Follows one partition of the log: every entry, in order and once, to the node's core, and into a ring for whoever has
 * to catch up.
 *
 * What the engine calls a tail may stand still and never say so, and may start behind entries that are there. So it is
 * watched: it must reach what is known to be in the log, and no sequence may be missing between two entries unless the
 * log says that it is gone. Else it is started anew behind the last entry.
 */
import type { Clock, Timers } from '../base/clock.ts';
import {
  type EngineStream,
  EngineUnavailable,
  type Entry,
  type Sequence,
  type StopTail,
} from '../contracts/cluster-engine.ts';
import { LogRing } from './log-ring.ts';

export interface LogTailOptions {
  /** Keeps everything. */
  readonly stream: EngineStream;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly onEntry: (entry: Entry) => void;
  /** Entries `(after, upTo]` are gone, purged or dropped, before this node has seen them. */
  readonly lost: (after: Sequence, upTo: Sequence) => void;
  /** A bug: nothing that this node says can be trusted. */
  readonly failed: (error: unknown) => void;
  readonly ringBytesMax?: number;
}

const ringBytesMaxDefault = 67_108_864;
const lookMs = 250;
/** Without progress for so long, though there is more, the tail stands still. */
const behindMs = 1_500;
/** How long after no answer the same is asked again. */
const retryMs = 100;

export class LogTail {
  readonly #options: LogTailOptions;
  #ring: LogRing;
  #at: Sequence = 0;
  /** The highest sequence that is known to be in the log. */
  #known: Sequence = 0;
  #stop: StopTail | null = null;
  /** Each start has a number: entries of an earlier one count no more. */
  #start = 0;
  #isStarting = false;
  /** Since when it has not moved, though there is more. */
  #stillSince: number | null = null;
  #stopLooking: (() => void) | null = null;
  #hasEnded = false;
  readonly #waiting: { readonly sequence: Sequence; readonly reached: () => void }[] = [];
  /** How often it was started anew. */
  restarts = 0;

  constructor(options: LogTailOptions) {
    this.#options = options;
    this.#ring = new LogRing(0, options.ringBytesMax ?? ringBytesMaxDefault);
  }

  /** The last entry that was given. */
  get at(): Sequence {
    return this.#at;
  }

  /** Behind this it can be asked for entries without a look into the log. */
  get ringAfter(): Sequence {
    return this.#ring.after;
  }

  /** Gives everything behind `after`. */
  async start(after: Sequence): Promise<void> {
    this.#at = this.#known = after;
    this.#ring = new LogRing(after, this.#options.ringBytesMax ?? ringBytesMaxDefault);
    await this.#follow();
    this.#stopLooking = this.#options.timers.every(lookMs, () => this.#look());
  }

  /** An entry of this sequence is in the log. */
  expect(sequence: Sequence): void {
    this.#known = Math.max(this.#known, sequence);
  }

  /** Resolves once everything up to there has been given; never, once it is closed. */
  reached(sequence: Sequence): Promise<void> {
    if (sequence <= this.#at) return Promise.resolve();
    this.expect(sequence);
    return new Promise((reached) => this.#waiting.push({ sequence, reached }));
  }

  /** An entry that was given; null: the log has to be asked. */
  recent(sequence: Sequence): Entry | null {
    return this.#ring.get(sequence);
  }

  /**
   * Visits the entries in `(after, to]` that are still there, in order and each once. `to` is at most `at`. What is in
   * the ring is visited in the same go as the call, or behind what had to be read from the log.
   */
  async scan(after: Sequence, to: Sequence, visit: (entry: Entry) => void): Promise<void> {
    const { stream } = this.#options;
    let at = after;
    while (at < to && at < this.#ring.after && !this.#hasEnded) {
      const end = Math.min(to, this.#ring.after);
      try {
        await stream.scan(at, end, (entry) => {
          at = entry.sequence;
          visit(entry);
        });
        at = end;
      } catch (error) {
        if (!(error instanceof EngineUnavailable)) throw error;
        await this.#pause();
      }
    }
    for (at = Math.max(at, this.#ring.after); at < to; ) {
      const entry = this.#ring.get(++at);
      if (entry !== null) visit(entry);
    }
  }

  close(): void {
    this.#hasEnded = true;
    this.#stopLooking?.();
    this.#stop?.();
    this.#stop = null;
  }

  async #follow(): Promise<void> {
    const start = ++this.#start;
    this.#stop?.();
    this.#stop = null;
    this.#isStarting = true;
    try {
      const stop = await this.#options.stream.tail(this.#at, (entry) => this.#give(entry, start));
      if (this.#hasEnded || start !== this.#start) stop();
      else this.#stop = stop;
    } catch (error) {
      // The next look tries again.
      if (!(error instanceof EngineUnavailable)) throw error;
    } finally {
      this.#isStarting = false;
    }
  }

  #give(entry: Entry, start: number): void {
    if (start !== this.#start || this.#hasEnded || entry.sequence <= this.#at) return;
    if (entry.sequence > this.#at + 1) return this.#explainGap(entry.sequence);
    this.#stillSince = null;
    this.#at = entry.sequence;
    this.#ring.add(entry);
    this.#options.onEntry(entry);
    this.#tellWaiting();
  }

  #tellWaiting(): void {
    while (this.#waiting.length > 0) {
      const next = this.#waiting.findIndex(({ sequence }) => sequence <= this.#at);
      if (next < 0) return;
      this.#waiting.splice(next, 1)[0]!.reached();
    }
  }

  /** Entries are missing before this one: they are gone, or the tail has passed over them. */
  #explainGap(next: Sequence): void {
    this.expect(next);
    // What comes meanwhile counts no more: it is given again.
    this.#start++;
    this.#run(async () => {
      const { first } = await this.#options.stream.bounds();
      // Where the first one is beyond what came, that is gone by now as well.
      if (first > this.#at + 1) {
        this.#options.lost(this.#at, first - 1);
        this.#at = first - 1;
        this.#ring = new LogRing(this.#at, this.#options.ringBytesMax ?? ringBytesMaxDefault);
        this.#tellWaiting();
      } else this.restarts++;
      await this.#follow();
    });
  }

  #look(): void {
    if (this.#hasEnded || this.#isStarting) return;
    const now = this.#options.clock.now();
    if (this.#known <= this.#at) this.#stillSince = null;
    else this.#stillSince ??= now;
    const isStill = this.#stillSince !== null && now - this.#stillSince >= behindMs;
    if (!isStill && this.#stop !== null) return;
    this.#stillSince = null;
    this.restarts++;
    this.#run(() => this.#follow());
  }

  #run(task: () => Promise<void>): void {
    task().catch((error: unknown) => {
      if (!(error instanceof EngineUnavailable)) return this.#options.failed(error);
      // Nobody knows yet why entries are missing: the next look starts anew.
      this.#stop?.();
      this.#stop = null;
    });
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#options.timers.after(retryMs, resolve));
  }
}
