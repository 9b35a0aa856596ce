/**
 * What the record of one session does not say yet: messages that the session is to get, and QoS 2 exchanges of its
 * client. Whoever inherits the session finds these in the log, behind what the record says: so the checkpoint of the
 * node stays before them, until they are settled or the record is written.
 */
import type { Sequence } from '../contracts/cluster-engine.ts';
import type { PacketId } from '../protocol/packets.ts';

/** Deliveries that began within a while of each other. */
interface Generation {
  /** No entry before this one has any of them. */
  readonly since: Sequence;
  readonly startedAt: number;
  /** The numbers of their messages. */
  readonly firstId: number;
  lastId: number;
  /** How many of them are not settled. */
  open: number;
}

/** What a record has that is made now. */
export interface RecordMark {
  /** It has everything up to this entry. */
  readonly at: Sequence;
  /** The number of the last message that the session was given. */
  readonly lastId: number;
  readonly deliveries: number;
  readonly received: ReadonlySet<PacketId>;
}

const generationMs = 500;
/** What is not settled within this time is written down. */
const stuckMs = 1_000;

export class KeptSession {
  readonly clientId: string;
  /** Exchanges that the client has begun and not released. */
  readonly received = new Set<PacketId>();
  /** By who looks for what is due. */
  isBeingWritten = false;
  #generations: Generation[] = [];
  /** A record is being written: deliveries from now on are in generations of their own. */
  #isMarked = false;
  #recorded: RecordMark = { at: 0, lastId: 0, deliveries: 0, received: new Set() };
  /** How many of its deliveries are not settled. */
  #recordedOpen = 0;
  #markedId = 0;
  #settledSinceMark = 0;
  /** The same as `received`, but as the log says up to where the node has read it. */
  readonly #logged = new Set<PacketId>();
  /** Of these the record says otherwise: since which entry, and when. */
  #changed = new Map<PacketId, { readonly since: Sequence; readonly at: number }>();

  constructor(clientId: string) {
    this.clientId = clientId;
  }

  /** The lowest entry of the log that has something that is not in the record; Infinity: there is none. */
  get since(): Sequence {
    let lowest = this.#generations[0]?.since ?? Number.POSITIVE_INFINITY;
    for (const { since } of this.#changed.values()) lowest = Math.min(lowest, since);
    return lowest;
  }

  get logged(): ReadonlySet<PacketId> {
    return this.#logged;
  }

  /** The record should be written anew: something has waited for long, or half of what it says is over. */
  isDue(now: number): boolean {
    const [oldest] = this.#generations;
    if (oldest !== undefined && now - oldest.startedAt >= stuckMs) return true;
    for (const { at } of this.#changed.values()) if (now - at >= stuckMs) return true;
    return Math.max(0, this.#recordedOpen) * 2 < this.#recorded.deliveries;
  }

  /** It came here with these. */
  restoreReceived(received: Iterable<PacketId>): void {
    for (const packetId of received) {
      this.received.add(packetId);
      this.#logged.add(packetId);
    }
  }

  delivered(messageId: number, entry: Sequence, now: number): void {
    const newest = this.#generations.at(-1);
    if (newest !== undefined && !this.#isMarked && now - newest.startedAt < generationMs) {
      newest.lastId = messageId;
      newest.open++;
      return;
    }
    this.#isMarked = false;
    this.#generations.push({ since: entry, startedAt: now, firstId: messageId, lastId: messageId, open: 1 });
  }

  settled(messageId: number): void {
    if (messageId <= this.#markedId) this.#settledSinceMark++;
    const at = this.#generations.findIndex(({ firstId, lastId }) => firstId <= messageId && messageId <= lastId);
    if (at < 0) this.#recordedOpen--;
    else if (--this.#generations[at]!.open === 0) this.#generations.splice(at, 1);
  }

  loggedReceived(packetId: PacketId, entry: Sequence, now: number): void {
    this.#logged.add(packetId);
    this.#compare(packetId, entry, now);
  }

  loggedReleased(packetId: PacketId, entry: Sequence, now: number): void {
    this.#logged.delete(packetId);
    this.#compare(packetId, entry, now);
  }

  #compare(packetId: PacketId, since: Sequence, at: number): void {
    const isAsRecorded = this.#recorded.received.has(packetId) === this.#logged.has(packetId);
    if (isAsRecorded) this.#changed.delete(packetId);
    else if (!this.#changed.has(packetId)) this.#changed.set(packetId, { since, at });
  }

  mark(at: Sequence, lastId: number, deliveries: number): RecordMark {
    this.#isMarked = true;
    this.#markedId = lastId;
    this.#settledSinceMark = 0;
    return { at, lastId, deliveries, received: new Set(this.#logged) };
  }

  /** That record is written. */
  recorded(mark: RecordMark, now: number): void {
    this.#recorded = mark;
    this.#recordedOpen = mark.deliveries - this.#settledSinceMark;
    this.#generations = this.#generations.filter(({ lastId }) => lastId > mark.lastId);
    this.#changed = new Map();
    for (const packetId of new Set([...mark.received, ...this.#logged])) this.#compare(packetId, mark.at + 1, now);
  }
}
