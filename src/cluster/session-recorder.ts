/**
 * Which sessions of this node have changed since their records were written, and up to where in the log the records
 * have everything: the checkpoint of the node.
 */
import type { Clock, Timers } from '../base/clock.ts';
import type { SessionRecorder } from '../contracts/cluster.ts';
import { EngineUnavailable, type Sequence } from '../contracts/cluster-engine.ts';
import type { ExportedSession, MovedSession } from '../contracts/session-move.ts';
import type { StoredDelivery, StoredPendingWill, StoredSession } from '../contracts/session-store.ts';
import type { PacketId } from '../protocol/packets.ts';
import { isProgramClient } from '../protocol/publisher.ts';
import type { Origin } from './frame.ts';
import { KeptSession } from './kept-session.ts';
import type { ClusterNotes } from './notes.ts';
import { placeOf } from './places.ts';

export interface NodeRecorderOptions {
  readonly timers: Timers;
  readonly clock: Clock;
  /** Up to here all sessions of this node have everything that is in the log. */
  readonly readTo: () => Sequence;
  /** Says in the log that the client has released this identifier. */
  readonly release: (clientId: string, packetId: PacketId) => void;
  /** Writes the record of this client as it is then. Rejects where the node has left the cluster. */
  readonly record: (clientId: string) => Promise<void>;
  readonly notes: Pick<ClusterNotes, 'values' | 'isShared' | 'write'>;
  readonly failed: (error: unknown) => void;
}

const lookMs = 250;

export class NodeRecorder implements SessionRecorder {
  onChange: () => void = () => {};
  failure: string | null = null;
  readonly #options: NodeRecorderOptions;
  readonly #bySid = new Map<number, KeptSession>();
  readonly #byClient = new Map<string, KeptSession>();
  /** By client identifier: wills that wait, or are under way. */
  readonly #wills = new Map<string, StoredPendingWill[]>();
  readonly #willOwners = new Map<number, string>();
  #changed = new Set<string>();
  #changedNotes = new Map<string, Buffer | null>();
  /** By client identifier: since where in the log its record lacks something else than `KeptSession` knows. */
  readonly #pins = new Map<string, Sequence>();
  /** The same, of what is being written. */
  readonly #pinsOfWrites = new Map<string, Sequence>();
  /** Where the checkpoint was when something began to go on to others, by what lets it go. */
  readonly #holds = new Map<() => void, { readonly checkpoint: Sequence; readonly low: Sequence }>();
  #changes = 0;
  #checkpoint: Sequence = 0;
  #low: Sequence = 0;
  #written = 0;
  readonly #stopLooking: () => void;

  constructor(options: NodeRecorderOptions) {
    this.#options = options;
    this.#stopLooking = options.timers.every(lookMs, () => this.#look());
  }

  get changes(): number {
    return this.#changes;
  }

  get written(): number {
    return this.#written;
  }

  get notes(): ReadonlyMap<string, Buffer> {
    return this.#options.notes.values;
  }

  noted(name: string, value: Uint8Array | null): void {
    if (!this.#options.notes.isShared(name)) return;
    this.#count(() => this.#changedNotes.set(name, value === null ? null : Buffer.from(value)));
  }

  /** Up to here the log has nothing for sessions of this node that is neither settled nor in a record. */
  get checkpoint(): Sequence {
    // What was once written stays written.
    this.#checkpoint = Math.max(this.#checkpoint, this.#lowest() - 1);
    return this.#checkpoint;
  }

  #lowest(): Sequence {
    let lowest = this.#options.readTo() + 1;
    for (const kept of this.#bySid.values()) lowest = Math.min(lowest, kept.since);
    for (const pins of [this.#pins, this.#pinsOfWrites]) {
      for (const since of pins.values()) lowest = Math.min(lowest, since);
    }
    for (const { checkpoint } of this.#holds.values()) lowest = Math.min(lowest, checkpoint + 1);
    return lowest;
  }

  /**
   * What sessions here are to be done with from now on is not in the log yet: until what is returned is called, nobody
   * is told that they are.
   */
  hold(): () => void {
    const release = () => void this.#holds.delete(release);
    // As they were told last: to find them out is a look at all sessions.
    this.#holds.set(release, { checkpoint: this.#checkpoint, low: this.#low });
    return release;
  }

  of(clientId: string): KeptSession | null {
    return this.#byClient.get(clientId) ?? null;
  }

  willsOf(clientId: string): readonly StoredPendingWill[] {
    return this.#wills.get(clientId) ?? [];
  }

  write(done: () => void): void {
    const upTo = this.#changes;
    const { record, notes } = this.#options;
    const [clients, noted] = [[...this.#changed], [...this.#changedNotes]];
    this.#changed = new Set();
    this.#changedNotes = new Map();
    if (clients.length + noted.length === 0) return done();
    const writing = [
      ...clients.map((clientId) => record(clientId)),
      ...noted.map(([name, value]) => notes.write(name, value)),
    ];
    Promise.all(writing).then(
      () => {
        this.#written = Math.max(this.#written, upTo);
        done();
      },
      (error: unknown) => this.#failed(error),
    );
  }

  /** Writes what is not settled as well: this node is about to leave. */
  async writeAll(): Promise<void> {
    const clients = [...this.#byClient.values()].filter(({ since }) => since < Number.POSITIVE_INFINITY);
    await Promise.all(clients.map(({ clientId }) => this.#options.record(clientId)));
  }

  opened({ sid, clientId }: StoredSession): void {
    // It ends with the process.
    if (isProgramClient(clientId)) return;
    if (!this.#bySid.has(sid)) {
      const kept = new KeptSession(clientId);
      this.#bySid.set(sid, kept);
      this.#byClient.set(clientId, kept);
    }
    this.#note(clientId);
  }

  changed(sid: number): void {
    const kept = this.#bySid.get(sid);
    if (kept !== undefined) this.#note(kept.clientId);
  }

  changedOf(clientId: string): void {
    if (this.#byClient.has(clientId)) this.#note(clientId);
  }

  ended(sid: number): void {
    const kept = this.#bySid.get(sid);
    if (kept === undefined) return;
    this.#remove(sid, kept);
    // The client may use these identifiers again.
    for (const packetId of kept.received) this.#options.release(kept.clientId, packetId);
    this.#note(kept.clientId);
  }

  /** It is another node's. */
  letGo(clientId: string): void {
    for (const [sid, kept] of this.#bySid) if (kept.clientId === clientId) this.#remove(sid, kept);
    this.#pins.delete(clientId);
    this.#pinsOfWrites.delete(clientId);
    for (const { number } of this.willsOf(clientId)) this.#willOwners.delete(number);
    this.#wills.delete(clientId);
  }

  #remove(sid: number, kept: KeptSession): void {
    this.#bySid.delete(sid);
    if (this.#byClient.get(kept.clientId) === kept) this.#byClient.delete(kept.clientId);
  }

  delivered(sid: number, { message }: StoredDelivery): void {
    const { readTo, clock } = this.#options;
    const next = readTo() + 1;
    const low = Math.min(next, placeOf(message)?.firstPart ?? next);
    this.#bySid.get(sid)?.delivered(message.id, next, clock.now(), low);
  }

  /** Its record, as it is written now or about to be, names the places of these. */
  restoreDeliveries(clientId: string, { sendings, queue }: Pick<MovedSession, 'sendings' | 'queue'>): void {
    const deliveries = [...sendings.map(({ delivery }) => delivery), ...queue];
    const withPlaces = deliveries.flatMap(({ message }) => {
      const place = placeOf(message);
      return place === null ? [] : [{ id: message.id, low: place.firstPart }];
    });
    this.of(clientId)?.restoreDeliveries(withPlaces.sort((one, other) => one.id - other.id));
  }

  /** Up to this message its deliveries stand elsewhere in the log now, and its record says so. */
  moved(clientId: string, { sendings, queue }: Pick<MovedSession, 'sendings' | 'queue'>, lastMessageId: number): void {
    const isMoved = ({ message }: StoredDelivery) => message.id <= lastMessageId;
    const moved = sendings.filter(({ delivery }) => isMoved(delivery));
    this.restoreDeliveries(clientId, { sendings: moved, queue: queue.filter(isMoved) });
  }

  /** The lowest entry of the log that a session here needs. */
  get low(): Sequence {
    let lowest = this.#lowest();
    for (const kept of this.#bySid.values()) lowest = Math.min(lowest, kept.low);
    for (const { low } of this.#holds.values()) lowest = Math.min(lowest, low);
    this.#low = lowest;
    return lowest;
  }

  /** Whose sessions need something before this entry. */
  neededBefore(entry: Sequence): string[] {
    return [...this.#bySid.values()].filter(({ low }) => low < entry).map(({ clientId }) => clientId);
  }

  settled(sid: number, messageId: number): void {
    this.#bySid.get(sid)?.settled(messageId);
  }

  received(sid: number, packetId: PacketId): void {
    this.#bySid.get(sid)?.received.add(packetId);
  }

  released(sid: number, packetId: PacketId): void {
    const kept = this.#bySid.get(sid);
    if (kept === undefined) return;
    kept.received.delete(packetId);
    this.#options.release(kept.clientId, packetId);
  }

  willWaits(will: StoredPendingWill): void {
    const { number, clientId } = will;
    const others = this.willsOf(clientId).filter((each) => each.number !== number);
    this.#wills.set(clientId, [...others, will]);
    this.#willOwners.set(number, clientId);
    this.#note(clientId);
  }

  willEnded(number: number): void {
    const clientId = this.#willOwners.get(number);
    if (clientId === undefined) return;
    this.#willOwners.delete(number);
    const others = this.willsOf(clientId).filter((each) => each.number !== number);
    if (others.length > 0) this.#wills.set(clientId, others);
    else this.#wills.delete(clientId);
    this.#note(clientId);
  }

  /** This entry of the log has a QoS 2 message by this exchange. */
  loggedReceived({ publisher, packetId }: Origin, entry: Sequence): void {
    this.#byClient.get(publisher)?.loggedReceived(packetId, entry, this.#options.clock.now());
  }

  loggedReleased({ publisher, packetId }: Origin, entry: Sequence): void {
    this.#byClient.get(publisher)?.loggedReleased(packetId, entry, this.#options.clock.now());
  }

  close(): void {
    this.#stopLooking();
  }

  #note(clientId: string): void {
    if (!this.#pins.has(clientId)) this.#pins.set(clientId, this.#options.readTo() + 1);
    this.#count(() => this.#changed.add(clientId));
  }

  #count(change: () => void): void {
    const isFirst = this.#changed.size + this.#changedNotes.size === 0;
    change();
    this.#changes++;
    if (isFirst) this.onChange();
  }

  /** The record is made now, and has the log up to here. Returns what to call once it is written. */
  recording(clientId: string, at: Sequence, exported: ExportedSession | null): () => void {
    const pin = this.#pins.get(clientId);
    const kept = this.of(clientId);
    const deliveries = exported === null ? 0 : exported.sendings.length + exported.queue.length;
    const mark = kept?.mark(at, exported?.lastMessageId ?? 0, deliveries);
    // What changes from now on is not in it.
    this.#pins.delete(clientId);
    if (pin !== undefined) this.#pinsOfWrites.set(clientId, pin);
    return () => {
      this.#pinsOfWrites.delete(clientId);
      if (mark !== undefined) kept!.recorded(mark, this.#options.clock.now());
    };
  }

  /** What has waited for long is written, so that the checkpoint gets past it. */
  #look(): void {
    const now = this.#options.clock.now();
    for (const kept of this.#byClient.values()) {
      if (!kept.isDue(now) || kept.isBeingWritten) continue;
      kept.isBeingWritten = true;
      const writing = this.#options.record(kept.clientId).finally(() => {
        kept.isBeingWritten = false;
      });
      writing.catch((error: unknown) => this.#failed(error));
    }
  }

  #failed(error: unknown): void {
    // Records were closed: this node has left.
    if (!(error instanceof EngineUnavailable)) this.#options.failed(error);
  }
}
