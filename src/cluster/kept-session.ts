/**
 * What the record of one session does not say yet: messages that the session is to get, and QoS 2 exchanges of its
 * client. Whoever inherits the session finds these in the log, behind what the record says: so the checkpoint of the
 * node stays before them, until they are settled or the record is written.
 */
import type { Sequence } from '../contracts/cluster-engine.ts';
import type { PacketId } from '../protocol/packets.ts';

/** Deliveries that began within a while of each other. */
interface Generation {
  /** The session was given them behind the entry before this one. */
  readonly since: Sequence;
  /** No entry before this one has any of them: what was retained may be from long before. */
  low: Sequence;
  readonly startedAt: number;
  /** The record names them. */
  isRecorded: boolean;
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
/** So many deliveries that were there before are one generation. */
const restoredAtOnce = 64;
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
  /** The same as `received`, but as the log says up to where the node has read it. */
  readonly #logged = new Set<PacketId>();
  /** Of these the record says otherwise: since which entry, and when. */
  #changed = new Map<PacketId, { readonly since: Sequence; readonly at: number }>();

  constructor(clientId: string) {
    this.clientId = clientId;
  }

  /** The lowest entry of the log that has something that is not in the record; Infinity: there is none. */
  get since(): Sequence {
    let lowest = this.#firstUnrecorded?.since ?? Number.POSITIVE_INFINITY;
    for (const { since } of this.#changed.values()) lowest = Math.min(lowest, since);
    return lowest;
  }

  get #firstUnrecorded(): Generation | undefined {
    return this.#generations.find(({ isRecorded }) => !isRecorded);
  }

  /** The lowest entry of the log that the session, or its record, still needs a message of; Infinity: there is none. */
  get low(): Sequence {
    return this.#generations.reduce((lowest, { low }) => Math.min(lowest, low), Number.POSITIVE_INFINITY);
  }

  get logged(): ReadonlySet<PacketId> {
    return this.#logged;
  }

  /** The record should be written anew: something has waited for long, or half of what it says is over. */
  isDue(now: number): boolean {
    const oldest = this.#firstUnrecorded;
    if (oldest !== undefined && now - oldest.startedAt >= stuckMs) return true;
    for (const { at } of this.#changed.values()) if (now - at >= stuckMs) return true;
    const recorded = this.#generations.filter(({ isRecorded }) => isRecorded);
    return 2 * recorded.reduce((sum, { open }) => sum + open, 0) < this.#recorded.deliveries;
  }

  /** It came here with these. */
  restoreReceived(received: Iterable<PacketId>): void {
    for (const packetId of received) {
      this.received.add(packetId);
      this.#logged.add(packetId);
    }
  }

  /** `low`: where the log has the message. */
  delivered(messageId: number, entry: Sequence, now: number, low = entry): void {
    const newest = this.#generations.at(-1);
    if (newest !== undefined && !newest.isRecorded && !this.#isMarked && now - newest.startedAt < generationMs) {
      newest.lastId = messageId;
      newest.low = Math.min(newest.low, low);
      newest.open++;
      return;
    }
    this.#isMarked = false;
    const generation = { since: entry, low, startedAt: now, isRecorded: false, firstId: messageId, lastId: messageId };
    this.#generations.push({ ...generation, open: 1 });
  }

  /** What it was given up to the last of these is as they say: it came here with them, or their places have changed. */
  restoreDeliveries(deliveries: readonly { readonly id: number; readonly low: Sequence }[]): void {
    const last = deliveries.at(-1);
    if (last === undefined) return;
    const restored: Generation[] = [];
    for (let from = 0; from < deliveries.length; from += restoredAtOnce) {
      const some = deliveries.slice(from, from + restoredAtOnce);
      const low = Math.min(...some.map((each) => each.low));
      const [firstId, lastId] = [some[0]!.id, some.at(-1)!.id];
      restored.push({ since: low, low, startedAt: 0, isRecorded: true, firstId, lastId, open: some.length });
    }
    this.#generations = [...restored, ...this.#generations.filter(({ firstId }) => firstId > last.id)];
  }

  settled(messageId: number): void {
    const at = this.#generations.findIndex(({ firstId, lastId }) => firstId <= messageId && messageId <= lastId);
    if (at >= 0 && --this.#generations[at]!.open === 0) this.#generations.splice(at, 1);
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
    return { at, lastId, deliveries, received: new Set(this.#logged) };
  }

  /** That record is written. */
  recorded(mark: RecordMark, now: number): void {
    this.#recorded = mark;
    for (const generation of this.#generations) if (generation.lastId <= mark.lastId) generation.isRecorded = true;
    this.#changed = new Map();
    for (const packetId of new Set([...mark.received, ...this.#logged])) this.#compare(packetId, mark.at + 1, now);
  }
}
