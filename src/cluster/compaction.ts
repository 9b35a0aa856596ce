/**
 * Keeps the log short. What is still needed of entries that are older than a while is copied to the end of the log:
 * each node does so for what waits for its sessions, and one of them for what is retained. That one then takes the
 * entries away that nobody needs any more.
 *
 * So the log is about as long as that while of traffic, and a client that is absent for a year pins nothing. A copy is
 * no message: nobody is given it. Only its place counts, for records of sessions and for nodes that start.
 */
import type { Clock, Timers } from '../base/clock.ts';
import type { NodeSessions } from '../contracts/cluster.ts';
import { type EngineStream, EngineUnavailable, type Sequence } from '../contracts/cluster-engine.ts';
import type { Message } from '../protocol/message.ts';
import { FrameWriter } from './frame-writer.ts';
import type { Membership } from './membership.ts';
import type { NodeMessages } from './messages.ts';
import { addTo } from './moved-session.ts';
import { placeOf, setPlace } from './places.ts';
import { PurgeLimit } from './purge.ts';
import type { NodeRecorder } from './session-recorder.ts';
import { copyOf } from './sharing.ts';

export interface CompactionOptions {
  readonly node: string;
  readonly log: EngineStream;
  readonly messages: NodeMessages;
  readonly membership: Membership;
  readonly recorder: NodeRecorder;
  readonly sessions: NodeSessions;
  readonly timers: Timers;
  readonly clock: Clock;
  /** What waits for longer is copied. */
  readonly keepMs: number;
  /** What nobody needs any more stays for so long. */
  readonly purgeAfterMs: number;
  /** Writes the record of a client. False: it is another node's, or about to be. */
  readonly record: (clientId: string) => Promise<boolean>;
  readonly failed: (error: unknown) => void;
}

/** As a round of publishing has it. */
const frameBytesMax = 524_288;
const looksPerKeep = 10;
const lookMsMax = 10_000;

export class Compaction {
  readonly #options: CompactionOptions;
  readonly #limit: PurgeLimit;
  /** Before this nobody asks who the members of a shared subscription were. */
  readonly #membersLimit: PurgeLimit;
  readonly #stopLooking: () => void;
  /** Where the log was some time ago. */
  readonly #ends: { readonly at: number; readonly end: Sequence }[] = [];
  #isCopying = false;
  #isPurging = false;
  #hasEnded = false;
  /** Up to here this node has purged the log. */
  purged: Sequence = 0;

  constructor(options: CompactionOptions) {
    this.#options = options;
    const { keepMs, purgeAfterMs, timers } = options;
    this.#limit = new PurgeLimit(0, purgeAfterMs);
    this.#membersLimit = new PurgeLimit(0, purgeAfterMs, 'at');
    const lookMs = Math.min(lookMsMax, Math.min(keepMs, purgeAfterMs) / looksPerKeep);
    this.#stopLooking = timers.every(lookMs, () => this.#look());
  }

  close(): void {
    this.#hasEnded = true;
    this.#stopLooking();
  }

  /** The same for all that see the same records. */
  get #isPurger(): boolean {
    const { membership, node } = this.#options;
    const living = [...membership.nodes].filter(([, { state }]) => state !== 'dead').map(([id]) => id);
    return living.sort()[0] === node;
  }

  #look(): void {
    const { clock, messages, membership } = this.#options;
    if (this.#hasEnded) return;
    const now = clock.now();
    const old = this.#oldEnd(now);
    const { retained, sharing } = messages;
    const first = Math.min(retained.first, sharing.table.first);
    const upTo = this.#limit.look(now, membership.nodes, messages.at, first);
    sharing.table.forgetBefore(this.#membersLimit.look(now, membership.nodes, messages.at, Number.POSITIVE_INFINITY));
    // Neither waits for the other: while the log is full, no copy gets in before something is purged.
    if (!this.#isPurging && this.#isPurger && upTo > this.purged) this.#run(this.#purge(upTo));
    if (!this.#isCopying) this.#run(this.#copyAll(old));
  }

  #run(work: Promise<void>): void {
    work.catch((error: unknown) => {
      // The next look tries again.
      if (!(error instanceof EngineUnavailable)) this.#options.failed(error);
    });
  }

  async #purge(upTo: Sequence): Promise<void> {
    this.#isPurging = true;
    try {
      await this.#options.log.purge(upTo);
      this.purged = upTo;
    } finally {
      this.#isPurging = false;
    }
  }

  async #copyAll(old: Sequence): Promise<void> {
    const { messages } = this.#options;
    this.#isCopying = true;
    try {
      await this.#copyWaiting(old);
      if (this.#isPurger) await this.#copyRetained(old);
      if (this.#isPurger && messages.sharing.table.first < old) await this.#copyMembers();
    } finally {
      this.#isCopying = false;
    }
  }

  /** Behind the last entry that is old enough. */
  #oldEnd(now: number): Sequence {
    const { keepMs, messages } = this.#options;
    const ends = this.#ends;
    ends.push({ at: now, end: messages.at + 1 });
    while (ends.length > 1 && ends[1]!.at <= now - keepMs) ends.shift();
    return ends[0]!.at <= now - keepMs ? ends[0]!.end : 0;
  }

  async #copyWaiting(old: Sequence): Promise<void> {
    const { recorder, sessions, record } = this.#options;
    for (const clientId of recorder.neededBefore(old)) {
      if (this.#hasEnded) return;
      const waiting = sessions.exportOf(clientId);
      if (waiting === null) continue;
      const deliveries = [...waiting.sendings.map(({ delivery }) => delivery), ...waiting.queue];
      // Two may be of one message.
      const copied = new Set(deliveries.map(({ message }) => message.original).filter((each) => isBefore(each, old)));
      await this.#copy([...copied]);
      // Its record names the copies from then on. What is under way to another node names entries that stay a while.
      if (!(await record(clientId))) continue;
      const now = sessions.exportOf(clientId);
      if (now !== null) recorder.moved(clientId, now, waiting.lastMessageId);
    }
  }

  async #copy(all: readonly Message[]): Promise<void> {
    const frames = new FrameWriter();
    let some: Message[] = [];
    const send = async () => {
      if (some.length === 0) return;
      const { sequence, firstPart } = await this.#options.messages.copy(frames.take('waiting'));
      for (const [index, message] of some.entries()) {
        const before = placeOf(message);
        const earlier = before === null ? {} : { before: { sequence: before.sequence, index: before.index } };
        setPlace(message, { sequence, index, firstPart, isCopy: true, ...earlier });
      }
      some = [];
    };
    for (const message of all) {
      addTo(frames, message);
      some.push(message);
      if (frames.bytes >= frameBytesMax || frames.isFull) await send();
    }
    await send();
  }

  async #copyRetained(old: Sequence): Promise<void> {
    const { messages } = this.#options;
    while (messages.retained.first < old && !this.#hasEnded) {
      const frame = await new Promise<Buffer | null>((resolve) => {
        // As of an entry that all of the node has.
        messages.whenBetweenEntries((at) => resolve(this.#retainedFrame(old, at)));
      });
      if (frame === null) return;
      const { sequence } = await messages.copy(frame);
      // Reading the copies moves them behind the others.
      await messages.reached(sequence);
    }
  }

  /** Of shared subscriptions: who reads the log from its first entry has them by that. */
  async #copyMembers(): Promise<void> {
    const { messages } = this.#options;
    const frames = await new Promise<readonly Buffer[]>((resolve) => {
      messages.whenBetweenEntries((at) => resolve(copyOf(messages.sharing.table, at)));
    });
    for (const frame of frames) {
      const { sequence } = await messages.copy(frame);
      await messages.reached(sequence);
    }
  }

  /** Null: nothing of it is retained any more. */
  #retainedFrame(old: Sequence, asOf: Sequence): Buffer | null {
    const { messages, sessions } = this.#options;
    const frames = new FrameWriter();
    const gone: string[] = [];
    for (const name of messages.retained.before(old)) {
      const message = sessions.retained(name);
      if (message === null) gone.push(name);
      else addTo(frames, message);
      if (frames.bytes >= frameBytesMax || frames.isFull) break;
    }
    for (const name of gone) messages.retained.forget(name);
    return frames.count === 0 ? null : frames.takeRetained(asOf);
  }
}

const isBefore = (message: Message, entry: Sequence) => (placeOf(message)?.firstPart ?? entry) < entry;
