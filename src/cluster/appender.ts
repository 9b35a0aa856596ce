/**
 * Appends what this node publishes to one partition of the log: one entry in flight, and what comes meanwhile collects
 * in the next frame.
 *
 * Each node writes to a subject of its own, and every append names the sequence that the subject had last. So the
 * engine itself refuses an entry that comes twice, and all that a node has in flight once another one has written a
 * fence to its subject. With one entry in flight there are two kinds of newer entries only: this very one, stored by an
 * earlier attempt, and a fence.
 */
import type { Clock, Timers } from '../base/clock.ts';
import { Deque } from '../base/deque.ts';
import {
  type AppendOutcome,
  type EngineStream,
  EngineUnavailable,
  type Sequence,
} from '../contracts/cluster-engine.ts';
import type { Message } from '../protocol/message.ts';
import type { Origin } from './frame.ts';
import { FrameParts, FrameWriter, markFrame } from './frame-writer.ts';
import type { Place } from './places.ts';

export interface AppenderOptions {
  /** Keeps everything. */
  readonly stream: EngineStream;
  /** The subject of this node, which nobody has written to before. */
  readonly node: string;
  /** By chance: it tells our entries from those of another node to which the same name was given. */
  readonly token: string;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly entryBytesMax: number;
  /** Beyond so many bytes that wait publishers are to wait. */
  readonly behindBytes?: number;
  /** A new entry of ours is in the log: its tail must reach it. */
  readonly stored?: (sequence: Sequence) => void;
  /** Another node has declared this one dead: it acknowledges nothing more, and ends. Once. */
  readonly fenced: (reason: string) => void;
  /** A bug: nothing that this node says can be trusted. */
  readonly failed: (error: unknown) => void;
}

type Done = (place: Omit<Place, 'isCopy'>) => void;

interface Batch {
  readonly frame: Buffer;
  /** By index: who is told once it is in the log. */
  readonly waiting: readonly (Done | null)[];
}

/** A frame takes no more, and the next one begins: some messages of a turn share what an entry costs. */
const frameBytesMax = 524_288;
const behindBytesDefault = 33_554_432;
/** How long after an outcome that decides nothing the same is asked again. */
const retryMs = 100;
/** A change of the leader takes some seconds, in which publishers wait without being told. */
const patienceMs = 10_000;
/** While the log is full: what makes room takes longer. */
const fullRetryMs = 500;

export class Appender {
  readonly #options: AppenderOptions;
  readonly #writer = new FrameWriter();
  #waiting: (Done | null)[] = [];
  /** Frames that are closed, and wait for those before them. */
  readonly #closed = new Deque<Batch>();
  #closedBytes = 0;
  #inFlightBytes = 0;
  #isSending = false;
  #isScheduled = false;
  #last: Sequence = 0;
  #state: 'open' | 'fenced' | 'closed' = 'open';
  #trouble: { readonly since: number; readonly text: string; readonly isFull: boolean } | null = null;
  #whenIdle: (() => void)[] = [];

  constructor(options: AppenderOptions) {
    this.#options = options;
  }

  /** The sequence of this node's newest entry; 0: it has none yet. */
  get last(): Sequence {
    return this.#last;
  }

  /** Of what is not known to be in the log. */
  get waitingBytes(): number {
    const collecting = this.#writer.count === 0 ? 0 : this.#writer.bytes;
    return collecting + this.#closedBytes + this.#inFlightBytes;
  }

  /** So much waits that whoever would publish more is to wait until it is less. */
  get isBehind(): boolean {
    return this.waitingBytes > (this.#options.behindBytes ?? behindBytesDefault);
  }

  /** Why nothing gets in, in words for an operator; null while nothing is in the way. */
  get failure(): string | null {
    const trouble = this.#trouble;
    if (trouble === null) return null;
    return trouble.isFull || this.#options.clock.now() - trouble.since >= patienceMs ? trouble.text : null;
  }

  get isIdle(): boolean {
    return this.#writer.count === 0 && this.#closed.length === 0 && !this.#isSending;
  }

  /**
   * The message, which may be borrowed, goes into the log with what else comes in this round. `done` is told in the
   * order of the calls, and never if this node is fenced or closed before.
   */
  append(message: Message, origin: Origin | null, done: Done | null): void {
    if (this.#state !== 'open') return;
    if (this.#writer.isFull) this.#closeFrame();
    this.#writer.add(message, origin);
    this.#added(done);
  }

  /** The same for the end of an exchange. */
  release(origin: Origin, done: Done | null): void {
    if (this.#state !== 'open') return;
    if (this.#writer.isFull) this.#closeFrame();
    this.#writer.release(origin);
    this.#added(done);
  }

  /** A frame of its own, behind what was given before. `done` is told where it is. */
  copy(frame: Buffer, done: Done): void {
    if (this.#state !== 'open') return;
    this.#closeFrame();
    this.#closedBytes += frame.length;
    this.#closed.push({ frame, waiting: [done] });
    this.#schedule();
  }

  /**
   * An entry without messages. A node begins with one, so that a fence can refuse it, and writes one every few seconds
   * when it has nothing else, so that its newest entry is not purged.
   */
  async tick(): Promise<void> {
    if (this.#state !== 'open' || !this.isIdle) return;
    this.#isSending = true;
    await this.#store(markFrame('tick', this.#options.token));
    this.#sent();
  }

  /** Resolves once all that was given so far is in the log; or never, if this node is fenced or closed before. */
  idle(): Promise<void> {
    if (this.isIdle) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  /** Nothing more is appended or told. */
  close(): void {
    if (this.#state === 'open') this.#state = 'closed';
  }

  #added(done: Done | null): void {
    this.#waiting.push(done);
    if (this.#writer.bytes >= frameBytesMax) this.#closeFrame();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isSending || this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.timers.after(0, () => {
      this.#isScheduled = false;
      this.#sendNext();
    });
  }

  #closeFrame(): void {
    if (this.#writer.count === 0) return;
    const frame = this.#writer.take();
    this.#closedBytes += frame.length;
    this.#closed.push({ frame, waiting: this.#waiting });
    this.#waiting = [];
  }

  #sendNext(): void {
    if (this.#isSending || this.#state !== 'open') return;
    if (this.#closed.length === 0) this.#closeFrame();
    const batch = this.#closed.shift();
    if (batch === undefined) return;
    this.#closedBytes -= batch.frame.length;
    this.#inFlightBytes = batch.frame.length;
    this.#isSending = true;
    this.#send(batch).catch((error: unknown) => this.#options.failed(error));
  }

  async #send({ frame, waiting }: Batch): Promise<void> {
    const parts = new FrameParts(frame, this.#options.entryBytesMax);
    let firstPart: Sequence = 0;
    for (;;) {
      const { entry, isLast } = parts.next();
      if (!(await this.#store(entry))) return;
      if (firstPart === 0) firstPart = this.#last;
      if (isLast) break;
      parts.stored(this.#last);
    }
    const sequence = this.#last;
    this.#inFlightBytes = 0;
    for (let index = 0; index < waiting.length; index++) waiting[index]?.({ sequence, index, firstPart });
    this.#sent();
  }

  #sent(): void {
    if (this.#state !== 'open') return;
    this.#isSending = false;
    this.#sendNext();
    if (!this.isIdle) return;
    const resolvers = this.#whenIdle;
    this.#whenIdle = [];
    for (const resolve of resolvers) resolve();
  }

  /** Until it is in the log. False: this node is fenced, or closed. */
  async #store(entry: Buffer): Promise<boolean> {
    const { stream, node } = this.#options;
    while (this.#state === 'open') {
      const outcome = await stream.append(node, entry, this.#last);
      if (this.#state !== 'open') return false;
      const sequence = outcome.state === 'outdated' ? await this.#whose(entry, outcome.last) : sequenceOf(outcome);
      if (this.#state !== 'open') return false;
      if (sequence !== null) {
        this.#last = sequence;
        this.#trouble = null;
        this.#options.stored?.(sequence);
        return true;
      }
      const isFull = outcome.state === 'full';
      const since = this.#trouble?.since ?? this.#options.clock.now();
      this.#trouble = { since, isFull, text: this.#describe(outcome) };
      await this.#pause(isFull ? fullRetryMs : retryMs);
    }
    return false;
  }

  /** The subject has a newer entry than ours. Its sequence, if it is this one; null: that cannot be told yet. */
  async #whose(entry: Buffer, last: Sequence): Promise<Sequence | null> {
    const { stream } = this.#options;
    try {
      if (last > this.#last) {
        const found = await stream.read(last);
        // A server that lags has answered.
        if (found === null) return null;
        if (Buffer.compare(found.bytes, entry) === 0) return found.sequence;
        this.#fence('another node has written to the log in its place, since it was silent for too long');
      } else if ((await stream.bounds()).first > this.#last) {
        this.#fence('its entries in the log are gone, since it was silent for very long');
      }
      return null;
    } catch (error) {
      if (error instanceof EngineUnavailable) return null;
      throw error;
    }
  }

  #fence(reason: string): void {
    if (this.#state !== 'open') return;
    this.#state = 'fenced';
    this.#options.fenced(reason);
  }

  #describe(outcome: AppendOutcome): string {
    const { name, bytesMax } = this.#options.stream.settings;
    if (outcome.state === 'full') return `the log is full: stream ${name} has its ${bytesMax} bytes`;
    return `the log does not answer: stream ${name}${outcome.state === 'unknown' ? `, ${outcome.reason}` : ''}`;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#options.timers.after(ms, resolve));
  }
}

const sequenceOf = (outcome: AppendOutcome): Sequence | null => (outcome.state === 'stored' ? outcome.sequence : null);
