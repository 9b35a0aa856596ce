/**
 * The messages of a node: what its clients publish goes to the other nodes, and what all of them publish comes here.
 *
 * A node that starts reads the log from its first entry: what is retained is in it, published or copied. Nothing else
 * of that is given to anybody, since there are no sessions yet.
 *
 * QoS 1 and 2, and what is retained, goes into the log. Every node reads that to its end, this one as well, and gives
 * each message to its sessions in the order of the log: so all nodes agree on what is retained, and on what comes
 * before what. QoS 0 goes to the sessions here at once, and to other nodes by the bus.
 */
import type { Clock, Timers } from '../base/clock.ts';
import type { ForwardDetails, NodeSessions, PendingAppends } from '../contracts/cluster.ts';
import type { ClusterEngine, EngineStream, Entry, Sequence } from '../contracts/cluster-engine.ts';
import type { Message } from '../protocol/message.ts';
import type { PacketId } from '../protocol/packets.ts';
import { isOfBridge, wholeWillPublisher } from '../protocol/publisher.ts';
import { Appender } from './appender.ts';
import { fenceOff } from './fence.ts';
import { FrameError, type Origin, openFrame, publisherBytesMax } from './frame.ts';
import { FrameAssembly, type Whole } from './frame-assembly.ts';
import { FrameWriter } from './frame-writer.ts';
import { type Logged, type LoggedShared, LogReader } from './log-reader.ts';
import { LogTail } from './log-tail.ts';
import { type Place, placeOf, setPlace } from './places.ts';
import { RecentTopics } from './recent-topics.ts';
import { RetainedPlaces } from './retained-places.ts';
import type { NodeRecorder } from './session-recorder.ts';
import type { MembersCopy } from './shared-frame.ts';
import { Sharing } from './sharing.ts';

export interface NodeMessagesOptions {
  readonly engine: Pick<ClusterEngine, 'bus' | 'entryBytesMax'>;
  readonly log: EngineStream;
  readonly node: string;
  readonly token: string;
  readonly timers: Timers;
  readonly clock: Clock;
  /** Of the largest message that a client may publish, and a turn of others. */
  readonly frameBytesMax: number;
  readonly fenced: (reason: string) => void;
  readonly failed: (error: unknown) => void;
  /** Something of the log is given to the sessions here: an exchange of QoS 2 has begun, or is over. */
  readonly logged: (logged: Logged) => void;
  readonly recorder: Pick<NodeRecorder, 'hold' | 'changedOf'>;
  /** Entries of the log were gone before this node had seen them. */
  readonly lost: (after: Sequence, upTo: Sequence) => void;
}

const qos0Subject = 'qos0';
/** A frame of QoS 0 leaves before the end of the round once it has so much. */
const qos0FrameBytes = 262_144;
/** What a message takes in a frame beside topic, properties and payload, at most. */
const aroundMessageBytes = 131_072;
/** So many messages may wait to be given; then those of QoS 0 are dropped. */
const arrivingMax = 20_000;
/** Entries that are read at once where the ring does not reach back. */
const entriesPerRead = 64;
const tickMs = 5_000;
/** With the last message of a will, instead of a packet identifier: all of it is published. */
export const willEnd = 1;

export class NodeMessages implements PendingAppends {
  onBegun: () => void = () => {};
  readonly #options: NodeMessagesOptions;
  readonly #appender: Appender;
  readonly #tail: LogTail;
  readonly #recent: RecentTopics;
  readonly #assembly: FrameAssembly;
  readonly #qos0 = new FrameWriter();
  #isQoS0Scheduled = false;
  #sessions: NodeSessions | null = null;
  #reader: LogReader | null = null;
  #begun = 0;
  #done = 0;
  readonly retained = new RetainedPlaces();
  readonly sharing: Sharing;
  /** While the log is read from its beginning: parts of copies of all members, by who writes them. */
  readonly #memberCopies = new Map<string, MembersCopy[]>();
  /** It reads what was in the log before its own first entry, at `#beganAt`. */
  #isReplaying = true;
  #beganAt: Sequence = 0;
  readonly #waiting: { readonly count: number; readonly callback: () => void }[] = [];
  /** The last entry that was given: all sessions have it once `#left` is 0. */
  #at: Sequence = 0;
  /** Messages of the entry behind it that not all sessions have yet. */
  #left = 0;
  #isGiving = false;
  /** Entries that had left the ring, and are read. */
  #older: Entry[] = [];
  #isReading = false;
  readonly #atBoundary: ((at: Sequence) => void)[] = [];
  #stopListening: (() => void)[] = [];
  #hasEnded = false;
  /** Messages of QoS 0 that came faster than they could be given. */
  qos0Dropped = 0;

  constructor(options: NodeMessagesOptions) {
    this.#options = options;
    const { log, node, token, timers, clock, engine, fenced, failed } = options;
    const append = (frame: Buffer, done: () => void) =>
      this.#append((stored) => this.#appendShared(frame, done, stored));
    this.sharing = new Sharing({ bus: engine.bus, timers, recorder: options.recorder, append, failed });
    this.#recent = new RecentTopics(clock);
    this.#assembly = new FrameAssembly(options.frameBytesMax);
    this.#tail = new LogTail({
      stream: log,
      timers,
      clock,
      onEntry: () => this.#giveNext(),
      lost: (after, upTo) => this.#lost(after, upTo),
      failed,
    });
    this.#appender = new Appender({
      stream: log,
      node,
      token,
      timers,
      clock,
      entryBytesMax: engine.entryBytesMax,
      stored: (sequence) => this.#tail.expect(sequence),
      fenced,
      failed,
    });
  }

  get begun(): number {
    return this.#begun;
  }

  get done(): number {
    return this.#done;
  }

  get waitingBytes(): number {
    return this.#appender.waitingBytes;
  }

  get isBehind(): boolean {
    return this.#appender.isBehind;
  }

  get failure(): string | null {
    return this.#appender.failure;
  }

  /** Up to here all sessions of this node have everything. */
  get at(): Sequence {
    return this.#left === 0 ? this.#at : this.#at - 1;
  }

  whenDone(count: number, callback: () => void): void {
    if (this.#done >= count) callback();
    else this.#waiting.push({ count, callback });
  }

  /** Resolves once the sessions have all that was in the log before the call. */
  async start(sessions: NodeSessions): Promise<void> {
    const { log, engine, timers, failed } = this.#options;
    this.#sessions = sessions;
    this.#reader = new LogReader({
      tail: this.#tail,
      topics: sessions.topics,
      frameBytesMax: this.#options.frameBytesMax,
      at: () => this.#at,
      whenBetweenEntries: (callback) => this.whenBetweenEntries(callback),
    });
    this.sharing.start(sessions, this.#reader);
    await this.#appender.tick();
    const beganAt = this.#appender.last;
    const { first } = await log.bounds();
    this.#at = first - 1;
    this.#beganAt = beganAt;
    await this.#tail.start(this.#at);
    this.#stopListening = [
      engine.bus.listen(qos0Subject, (bytes) => this.#run(() => this.#takeQoS0(bytes))),
      timers.every(tickMs, () => void this.#appender.tick().catch(failed)),
    ];
    // What was purged since is copied before this one.
    await this.#appender.tick();
    await this.idle();
    await this.reached(this.#appender.last);
    this.retained.endReplay();
    this.#memberCopies.clear();
    this.#isReplaying = false;
  }

  isLogged(message: Message): boolean {
    const { qos, retain, topic, size } = message;
    if (retain && qos === 0) this.#recent.add(topic.name);
    const isTooLong = size + aroundMessageBytes > this.#options.engine.entryBytesMax;
    return qos > 0 || retain || isTooLong || this.#recent.has(topic.name);
  }

  forward(messages: readonly Message[], details: ForwardDetails): void {
    const last = details.logged.lastIndexOf(true);
    messages.forEach((message, which) => {
      const from = originOf(message, details, which === last);
      if (details.logged[which]) this.#append((done) => this.#appender.append(message, from, done));
      else this.#giveUnlogged(message, from);
    });
  }

  #giveUnlogged(message: Message, from: Origin | null): void {
    this.#broadcast(message, from);
    this.sharing.giveUnlogged(message, from);
  }

  /** `stored` counts it before anybody is told. */
  #appendShared(frame: Buffer, done: () => void, stored: () => void): void {
    this.#appender.copy(frame, () => {
      stored();
      done();
    });
  }

  /** The client has released this packet identifier. */
  release(publisher: string, packetId: PacketId): void {
    this.#append((done) => this.#appender.release({ publisher, packetId }, done));
  }

  /** What has been published, of the log: for sessions that come here. Once it is started. */
  get reader(): LogReader {
    return this.#reader!;
  }

  /** Resolves once all that was given so far is in the log, and all sessions have it. */
  async settled(): Promise<void> {
    this.sharing.flush();
    await new Promise<void>((resolve) => this.whenDone(this.#begun, resolve));
    await this.reached(this.#appender.last);
  }

  /** Resolves, once all sessions have what a dead node has written, to the end of that. */
  async fence(node: string): Promise<Sequence> {
    const { log, token, timers } = this.#options;
    const end = await fenceOff({ stream: log, node, by: token, timers, hasEnded: () => this.#hasEnded });
    await this.reached(end);
    return end;
  }

  /** Copies of messages, in a frame that `FrameWriter` has made. Resolves to where it is. */
  copy(frame: Buffer): Promise<Omit<Place, 'isCopy'>> {
    return new Promise((resolve) => this.#appender.copy(frame, resolve));
  }

  /** The lowest entry that a frame begins with of which not all parts have come. */
  get incompleteFrom(): Sequence {
    return this.#assembly.firstPart;
  }

  /** The last entry that has come. */
  get tailAt(): Sequence {
    return this.#tail.at;
  }

  /** Resolves once all that was given so far is in the log. */
  idle(): Promise<void> {
    return this.#appender.idle();
  }

  /** Resolves once all sessions have everything up to there. */
  async reached(sequence: Sequence): Promise<void> {
    await this.#tail.reached(sequence);
    while (this.#at < sequence && !this.#hasEnded) {
      await new Promise<void>((resolve) => this.whenBetweenEntries(() => resolve()));
    }
  }

  /**
   * Calls back once no entry is only half given, with the last one that all sessions have. What is done in the call
   * stands between that one and the next.
   */
  whenBetweenEntries(callback: (at: Sequence) => void): void {
    this.#atBoundary.push(callback);
    this.#giveNext();
  }

  close(): void {
    this.#hasEnded = true;
    for (const stop of this.#stopListening) stop();
    this.sharing.close();
    this.#tail.close();
    this.#appender.close();
  }

  #append(append: (done: () => void) => void): void {
    const isFirst = this.#begun === this.#done;
    const number = ++this.#begun;
    append(() => {
      this.#done = number;
      while (this.#waiting.length > 0 && this.#waiting[0]!.count <= number) this.#waiting.shift()!.callback();
    });
    if (isFirst) this.onBegun();
  }

  #broadcast(message: Message, origin: Origin | null): void {
    if (this.#qos0.isFull) this.#flushQoS0();
    this.#qos0.add(message, origin);
    if (this.#qos0.bytes >= qos0FrameBytes) return this.#flushQoS0();
    if (this.#isQoS0Scheduled) return;
    this.#isQoS0Scheduled = true;
    this.#options.timers.after(0, () => {
      this.#isQoS0Scheduled = false;
      this.#flushQoS0();
    });
  }

  #flushQoS0(): void {
    if (this.#qos0.count > 0 && !this.#hasEnded) this.#options.engine.bus.broadcast(qos0Subject, this.#qos0.take());
  }

  #takeQoS0(bytes: Uint8Array): void {
    const frame = openFrame(bytes);
    if (frame.kind !== 'messages') throw new FrameError(`QoS 0 comes in a frame of kind ${frame.kind}`);
    const sessions = this.#sessions!;
    for (const message of this.#reader!.readUnlogged(frame)) {
      if (sessions.arriving < arrivingMax) sessions.arrived(message, () => {});
      else this.qos0Dropped++;
    }
  }

  /** Gives the next entries, one after the other: behind each, all sessions have it. */
  #giveNext(): void {
    if (this.#isGiving || this.#sessions === null) return;
    this.#isGiving = true;
    this.#run(() => {
      while (this.#left === 0 && !this.#isReading && !this.#hasEnded) {
        for (const callback of this.#atBoundary.splice(0)) callback(this.#at);
        if (this.#at >= this.#tail.at) break;
        const entry = this.#older.shift() ?? this.#tail.recent(this.#at + 1);
        if (entry === null) this.#readOlder();
        else this.#give(entry);
      }
    });
    this.#isGiving = false;
  }

  #give(entry: Entry): void {
    const { sequence } = entry;
    const frame = this.#assembly.add(entry);
    const isShared = frame?.kind === 'shared';
    const messages = !isShared && frame !== null && 'bytes' in frame ? this.#messagesOf(frame, sequence) : [];
    this.#at = sequence;
    this.#left = messages.length;
    for (const message of messages) {
      this.#sessions!.arrived(message, () => {
        this.sharing.arrived(message);
        this.#given();
      });
    }
    if (isShared) this.#giveShared(frame, entry);
  }

  #given(): void {
    if (--this.#left === 0) this.#giveNext();
  }

  #giveShared(frame: Extract<Whole, { kind: 'shared' }>, { sequence, subject }: Entry): void {
    const shared = this.#reader!.readShared(frame, sequence);
    if (this.#isReplaying) return this.#restoreShared(shared, subject);
    // One more than there are, so that the entry is not given before all of it is looked at.
    this.#left = 1;
    this.#left += shared.handed.length;
    const left = this.sharing.read(shared, subject === this.#options.node, () => this.#given());
    this.#left -= shared.handed.length - left;
    this.#given();
  }

  /** There are no sessions yet. */
  #restoreShared(shared: LoggedShared, subject: string): void {
    const { changes, copy } = shared;
    this.sharing.table.apply(shared.sequence, changes);
    if (copy === null) return;
    const { asOf, part, parts } = copy;
    const others = (part === 0 ? null : this.#memberCopies.get(subject)) ?? [];
    const all = [...others, copy];
    this.#memberCopies.set(subject, all);
    if (part < parts - 1 || all.length < parts || all.some((each) => each.asOf !== asOf)) return;
    this.#memberCopies.delete(subject);
    this.sharing.table.restore(
      asOf,
      all.flatMap(({ members }) => members),
    );
  }

  /** What of it is given to the sessions here. */
  #messagesOf(frame: Whole, sequence: Sequence): Message[] {
    if (frame.kind === 'waiting') return [];
    const found = this.#reader!.read(frame, sequence);
    const messages = found.flatMap(({ message }) => (message === null ? [] : [message]));
    if (frame.kind === 'retained') {
      const current = messages.filter((message) => this.retained.copied(message, frame.asOf));
      if (this.#isReplaying) return current;
      for (const message of current) {
        const here = this.#sessions!.retained(message.topic.name);
        if (here !== null) setPlace(here, placeOf(message)!);
      }
      return [];
    }
    for (const each of found) this.#options.logged(each);
    for (const message of messages) if (message.retain) this.retained.changed(message);
    return sequence > this.#beganAt ? messages : messages.filter(({ retain }) => retain);
  }

  /** This node is so far behind that the ring has gone on. */
  #readOlder(): void {
    this.#isReading = true;
    const to = Math.min(this.#at + entriesPerRead, this.#tail.at);
    const reading = this.#tail.scan(this.#at, to, (entry) => this.#older.push(entry));
    reading.then(() => {
      this.#isReading = false;
      // What is not there any more is passed over.
      if (this.#older.length === 0) this.#at = to;
      this.#giveNext();
    }, this.#options.failed);
  }

  #lost(after: Sequence, upTo: Sequence): void {
    // Before the first one that is there: what was retained has been copied behind it.
    if (!this.#isReplaying) this.#options.lost(after, upTo);
    this.#giveNext();
  }

  /** What cannot be read must not be passed over: it was acknowledged. */
  #run(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#options.failed(error);
    }
  }
}

/** Of the messages of a will, so many names are no longer than a frame can have. */
const willName = (clientId: string, cut: string): string => {
  const whole = wholeWillPublisher(clientId);
  return Buffer.byteLength(whole) <= publisherBytesMax ? whole : cut;
};

/** Who published it, whole: a message has it cut. `isLast`: with it, all of the PUBLISH or will is in the log. */
function originOf({ publisher }: Message, details: ForwardDetails, isLast: boolean): Origin | null {
  const { origin, packetId, willOf } = details;
  if (willOf !== null) return { publisher: willName(willOf, publisher ?? ''), packetId: isLast ? willEnd : 0 };
  const isBridge = origin !== null && isOfBridge(origin);
  if (publisher?.startsWith('\0') && !isBridge) return { publisher, packetId: 0 };
  const name = origin ?? publisher;
  return name === null ? null : { publisher: name, packetId: isLast && origin !== null ? packetId : 0 };
}
