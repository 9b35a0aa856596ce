/**
 * The durable store, on LevelDB: an answer leaves when the batch with what it promises is on disk.
 *
 * A message is stored once, with the list of its recipients, and deleted when the last of them is done with it; one
 * whose recipients were all done before its batch left never touches the disk. In memory stay the sessions, 24 bytes
 * for each delivery that waits, and a bounded cache of the newest messages.
 */

import { systemTimers, type Timers } from '../../base/clock.ts';
import type { Metric } from '../../base/metrics.ts';
import { NumberedTable } from '../../base/numbered-table.ts';
import type { Log } from '../../contracts/log.ts';
import { defaultPipelineLimits } from '../../contracts/pipeline-settings.ts';
import {
  type DeliverySummary,
  queuedBytes,
  type SessionStore,
  type StoredDelivery,
  type StoredPendingWill,
  type StoredSending,
  type StoredSession,
  type StoredSubscription,
} from '../../contracts/session-store.ts';
import { defaultLimits } from '../../contracts/settings.ts';
import type { Message } from '../../protocol/message.ts';
import type { PacketId } from '../../protocol/packets.ts';
import type { Topic } from '../../protocol/topic.ts';
import { ByteWriter } from './bytes.ts';
import { Contents } from './contents.ts';
import { assertEmpty, copyAll } from './copy.ts';
import { Database, DatabaseClosed } from './database.ts';
import type { Batch, Disk } from './disk.ts';
import { type Durability, type DurabilityOptions, durabilityOf } from './durability.ts';
import { IdLists } from './id-lists.ts';
import { loadAll } from './load.ts';
import { MessageRing, type Recipient, ResidentMessage } from './message-ring.ts';
import { storeMetrics } from './metrics.ts';
import type { Entry } from './outstanding.ts';
import { type PageReader, Paging } from './paging.ts';
import { LevelQuarantine, type QuarantineLimits } from './quarantine.ts';
import {
  key,
  Prefix,
  packetKey,
  writeCommit,
  writeFloor,
  writeNothing,
  writeSending,
  writeSession,
  writeSubscription,
  writeWill,
} from './records.ts';
import { SessionState } from './session-state.ts';
import { LevelChanges, Staged, type UnwrittenBytes } from './staged.ts';

export interface LevelStoreOptions extends DurabilityOptions {
  readonly directory: string;
  /** How long a commit may wait for more to come, so that flash memory is written less often. */
  readonly maxCommitDelayMs: number;
  /** Bytes of stored messages kept in memory as well: the newest. */
  readonly cacheBytes: number;
  /**
   * So many records of a batch are handed to the database in one round of the event loop; default: 256, about a
   * millisecond.
   */
  readonly recordsInRow?: number;
  /** Lists of so many subscription identifiers have records of their own; default: `longListMin`. */
  readonly longListMin?: number;
  /** Default: as a configuration without `pipelineLimits`. */
  readonly quarantine?: QuarantineLimits;
  /** More than so much is not to wait for the disk: see `isBehind`. Default: as a configuration without `limits`. */
  readonly unwrittenBytes?: number;
  readonly acceptLoss: boolean;
  readonly log: Log;
  readonly timers?: Timers;
  /** Default: the file system. */
  readonly disk?: Disk;
  /**
   * A commit cannot be made because of a bug of ours: nothing of it is written, and nothing is acknowledged any more.
   * Default: the error is thrown where nobody catches it, which ends the process.
   */
  readonly onFatal?: (error: Error) => void;
}

/**
 * Nobody waits for an answer to retained messages of QoS 0: so many topics wait for the disk, however little they
 * retain.
 */
const retainedInBatch = 10_000;
/** A number in an array. */
const bytesPerId = 8;
/** More messages than are numbered before the next commit is made: `limits.unwrittenBytes` has no room for them. */
const numbersPerCommit = 2 ** 20;

export class LevelStore implements SessionStore {
  readonly canPage = true;
  readonly outlivesProcess = true;
  staged = 0;
  durableChanges = 0;
  recordsWritten = 0;
  onUrgent: () => void = () => {};
  readonly quarantine: LevelQuarantine;
  readonly #options: LevelStoreOptions;
  readonly #timers: Timers;
  readonly #writer = new ByteWriter();
  readonly #sessions = new NumberedTable<SessionState>();
  /** Of sessions that are removed: what is left of them. */
  readonly #remains = new Map<number, SessionState>();
  /** How many sessions still want a message, where it is more than one. */
  readonly #references = new Map<number, number>();
  /** Messages that are not written yet, and the newest of those that are. */
  readonly #resident: MessageRing;
  readonly #contents = new Contents();
  readonly #idLists: IdLists;
  readonly #paging: Paging;
  #database: Database | null = null;
  readonly #unwritten: UnwrittenBytes = { bytes: 0 };
  #collecting = new Staged(this.#unwritten);
  #committing: Staged | null = null;
  readonly #unwrittenBytesMax: number;
  #lastMessageId = 0;
  #lastSessionId = 0;
  #whenIdle: (() => void) | null = null;
  #isClosed = false;
  /** All that was staged before it was closed is written. */
  #isSettled = false;
  /** A bug that keeps commits from being made. */
  #bug: Error | null = null;

  constructor(options: LevelStoreOptions) {
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    this.#unwrittenBytesMax = options.unwrittenBytes ?? defaultLimits.unwrittenBytes;
    this.#idLists = new IdLists(options.longListMin);
    this.#resident = new MessageRing(options.cacheBytes, (message) => this.#contents.evicted(message));
    this.#paging = new Paging({
      sessions: this.#sessions,
      inMemory: this.#resident,
      contents: this.#contents,
      idLists: this.#idLists,
      database: () => this.#database!,
      timers: this.#timers,
      isClosed: () => this.#isClosed,
      log: options.log,
      onDamaged: (sid, messageId, value, error) => this.#setAside(sid, messageId, value, error),
    });
    this.quarantine = new LevelQuarantine({
      limits: options.quarantine ?? defaultPipelineLimits,
      database: () => this.#database!,
      nextId: () => this.nextMessageId(),
      collecting: () => this.#collecting,
      committing: () => this.#committing,
      onStaged: () => this.#mark(this.#options.durability),
      writer: this.#writer,
    });
  }

  async load(): ReturnType<SessionStore['load']> {
    const database = await Database.open(this.#options);
    this.#database = database;
    const loaded = await loadAll(
      database,
      this.#sessions,
      this.#references,
      this.#contents,
      this.#idLists,
      this.#collecting,
      this.quarantine,
      this.#options.log,
    ).catch(async (error: unknown) => {
      this.#database = null;
      await database.close();
      throw error;
    });
    this.#lastMessageId = Math.max(database.lastMessageId, loaded.lastMessageId);
    this.#lastSessionId = Math.max(database.lastSessionId, loaded.lastSessionId);
    return { ...loaded, lastMessageId: this.#lastMessageId };
  }

  nextSessionId(): number {
    return ++this.#lastSessionId;
  }

  nextMessageId(): number {
    return ++this.#lastMessageId;
  }

  // What is staged

  putSession(session: StoredSession): void {
    this.#state(session.sid);
    this.#put(key(Prefix.session, session.sid), writeSession(this.#writer, session));
  }

  removeSession(sid: number, most: number = Number.POSITIVE_INFINITY): boolean {
    const state = this.#sessions.get(sid);
    if (state !== undefined) {
      this.#sessions.delete(sid);
      this.#remains.set(sid, state);
      this.#collecting.delete(key(Prefix.session, sid));
      this.#collecting.delete(key(Prefix.floor, sid));
      this.#mark(this.#options.durability);
    }
    const remains = this.#remains.get(sid);
    if (remains === undefined) return false;
    const hasMore = this.#removeSome(sid, remains, most);
    this.#collecting.floors.delete(sid);
    if (!hasMore) this.#remains.delete(sid);
    return hasMore;
  }

  /** Returns whether there are more records of the session. */
  #removeSome(sid: number, { filters, received, sendings, outstanding }: SessionState, most: number): boolean {
    let left = most;
    for (const filter of filters) {
      if (left-- <= 0) return true;
      filters.delete(filter);
      this.#collecting.delete(key(Prefix.subscription, sid, filter));
    }
    for (const packetId of received) {
      if (left-- <= 0) return true;
      received.delete(packetId);
      this.#collecting.delete(packetKey(Prefix.received, sid, packetId));
    }
    for (const packetId of sendings.keys()) {
      if (left-- <= 0) return true;
      sendings.delete(packetId);
      this.#collecting.delete(packetKey(Prefix.sending, sid, packetId));
    }
    for (let entry = outstanding.first; entry !== null; entry = outstanding.first) {
      if (left-- <= 0) return true;
      outstanding.remove(entry.messageId);
      this.#release(sid, entry);
    }
    return false;
  }

  putSubscription(sid: number, subscription: StoredSubscription): void {
    this.#state(sid).filters.add(subscription.topicFilter);
    this.#put(key(Prefix.subscription, sid, subscription.topicFilter), writeSubscription(this.#writer, subscription));
  }

  replayDone(sid: number, subscription: StoredSubscription): void {
    const at = key(Prefix.subscription, sid, subscription.topicFilter);
    this.#collecting.put(at, writeSubscription(this.#writer, { ...subscription, owesRetained: false }));
  }

  removeSubscription(sid: number, topicFilter: string): void {
    this.#state(sid).filters.delete(topicFilter);
    this.#collecting.delete(key(Prefix.subscription, sid, topicFilter));
    this.#mark(this.#options.durability);
  }

  putDelivery(sid: number, delivery: StoredDelivery, changes: LevelChanges | null = null): void {
    const { message } = delivery;
    const batch = changes === null ? this.#collecting : changes.staged;
    const idList = this.#idLists.take(sid, message.id, delivery.subscriptionIds, batch);
    const recipient = { sid, delivery, idList };
    let resident = this.#resident.get(message.id);
    if (resident === undefined) resident = this.#collect(message, recipient, batch);
    else {
      // All its recipients are staged in the same batch, so it has not been written yet.
      resident.batch!.addRecipient(recipient);
      resident.recipients.push(recipient);
      this.#references.set(message.id, resident.recipients.length);
    }
    if (idList !== null) resident.idBytes += idList.length * bytesPerId;
    this.#state(sid).outstanding.push({
      messageId: message.id,
      bytes: queuedBytes(message, delivery.subscriptionIds),
      expiresAt: message.expiresAt,
      qos: delivery.qos,
      retain: delivery.retain,
      hasDetails: delivery.subscriptionIds !== null || delivery.group !== null,
      isInline: resident.content === null,
    });
    this.#mark(durabilityOf(message.topic, this.#options), batch);
  }

  #collect(message: Message, recipient: Recipient, batch: Staged): ResidentMessage {
    const resident = new ResidentMessage(message, [recipient], this.#contents.take(message, batch), batch);
    this.#resident.add(message.id, resident);
    batch.add(resident);
    return resident;
  }

  removeDelivery(sid: number, messageId: number): void {
    const removed = this.#sessions.get(sid)?.outstanding.remove(messageId);
    if (removed) this.#release(sid, removed);
  }

  claimDelivery(sid: number, messageId: number): void {
    this.#sessions.get(sid)?.outstanding.claim(messageId);
  }

  /** One recipient less. The message goes with the last one. */
  #release(sid: number, { messageId, isInline, hasDetails }: Entry): void {
    const idList = hasDetails ? this.#idLists.release(sid, messageId) : null;
    if (idList !== null) this.#collecting.doneIdLists.push(idList);
    const references = this.#references.get(messageId) ?? 1;
    if (references > 2) this.#references.set(messageId, references - 1);
    else if (references === 2) this.#references.delete(messageId);
    const resident = this.#resident.get(messageId);
    if (resident !== undefined && resident.batch !== null) {
      // Written without this recipient, or not at all.
      const { recipients, batch } = resident;
      recipients.splice(
        recipients.findIndex((recipient) => recipient.sid === sid),
        1,
      );
      if (recipients.length > 0) return;
      batch.takenBack();
    } else if (references > 1) return void this.#collecting.floors.add(sid);
    else this.#collecting.doneMessages.push(messageId);
    this.#resident.delete(messageId);
    const content = isInline ? 0 : this.#contents.release(messageId);
    if (content > 0) this.#collecting.doneContents.push(content);
  }

  putSending(sid: number, sending: StoredSending, changes: LevelChanges | null = null): void {
    const state = this.#state(sid);
    state.sendings.set(sending.packetId, sending.messageId);
    state.outstanding.claim(sending.messageId);
    if (changes !== null) return void changes.sendings.push({ sid, sending });
    this.#put(packetKey(Prefix.sending, sid, sending.packetId), writeSending(this.#writer, sending));
  }

  newChangeSet(): LevelChanges {
    return new LevelChanges(this.#unwritten);
  }

  join({ staged, sendings, isEmpty }: LevelChanges): void {
    const { isUrgent } = this.#collecting;
    if (!isEmpty) {
      this.#collecting.join(staged);
      if (staged.isUrgent) this.staged++;
      if (staged.isUrgent && !isUrgent) this.onUrgent();
    }
    // The session may have ended meanwhile.
    for (const { sid, sending } of sendings) {
      if (this.#sessions.get(sid)?.sendings.get(sending.packetId) === sending.messageId) this.putSending(sid, sending);
    }
  }

  removeSending(sid: number, packetId: PacketId): void {
    if (this.#sessions.get(sid)?.sendings.delete(packetId)) {
      this.#collecting.delete(packetKey(Prefix.sending, sid, packetId));
    }
  }

  putReceived(sid: number, packetId: PacketId): void {
    this.#state(sid).received.add(packetId);
    this.#put(packetKey(Prefix.received, sid, packetId), writeNothing(this.#writer));
  }

  removeReceived(sid: number, packetId: PacketId): void {
    if (!this.#sessions.get(sid)?.received.delete(packetId)) return;
    this.#collecting.delete(packetKey(Prefix.received, sid, packetId));
    this.#mark(this.#options.durability);
  }

  putWill(will: StoredPendingWill): void {
    this.#put(key(Prefix.will, will.number), writeWill(this.#writer, will));
  }

  removeWill(number: number): void {
    this.#collecting.delete(key(Prefix.will, number));
    this.#mark(this.#options.durability);
  }

  putRetained(message: Message): void {
    this.#collecting.retain(message.topic, message);
    this.#mark(durabilityOf(message.topic, this.#options));
  }

  removeRetained(topic: Topic): void {
    this.#collecting.retain(topic, null);
    this.#mark(durabilityOf(topic, this.#options));
  }

  putNote(name: string, value: Uint8Array | null): void {
    this.#collecting.note(name, value);
    this.#mark(this.#options.durability);
  }

  #state(sid: number): SessionState {
    let state = this.#sessions.get(sid);
    if (state === undefined) this.#sessions.set(sid, (state = new SessionState()));
    return state;
  }

  #put(at: Buffer, value: Buffer): void {
    this.#collecting.put(at, value);
    this.#mark(this.#options.durability);
  }

  /** What is not urgent becomes so before it has grown too much. */
  #mark(durability: Durability, batch = this.#collecting): void {
    if (durability === 'memory' && !this.isBehind) return;
    if (durability === 'sync') batch.isSynced = true;
    const wasUrgent = batch.isUrgent;
    batch.isUrgent = true;
    // What joins later is nothing to wait for yet.
    if (batch !== this.#collecting) return;
    this.staged++;
    if (!wasUrgent) this.onUrgent();
  }

  // Reading back

  peekDelivery(sid: number, afterMessageId: number): DeliverySummary | null {
    return this.#paging.peek(sid, afterMessageId);
  }

  readDeliveries(sid: number, afterMessageId: number, bytesMax: number, done: PageReader): void {
    this.#paging.read(sid, afterMessageId, bytesMax, done);
  }

  lookAtDeliveries(sid: number, afterMessageId: number, bytesMax: number): Promise<readonly StoredDelivery[]> {
    return this.#paging.look(sid, afterMessageId, bytesMax);
  }

  /** A damaged message costs itself: it is kept under another key for whoever wants to look, and the rest goes on. */
  #setAside(sid: number, messageId: number, value: Buffer | undefined, error: Error): void {
    const damaged = key(Prefix.message, messageId);
    this.#options.log.error({ messageId, cause: error.message }, 'a stored message cannot be read and was set aside');
    if (value !== undefined) this.#collecting.put(Buffer.concat([Buffer.of(Prefix.setAside), damaged]), value);
    this.removeDelivery(sid, messageId);
  }

  // Committing

  get hasStaged(): boolean {
    return !this.#collecting.isEmpty;
  }

  get isBehind(): boolean {
    return this.unwrittenBytes >= this.#unwrittenBytesMax || this.#collecting.retainedCount >= retainedInBatch;
  }

  get unwrittenBytes(): number {
    return this.#unwritten.bytes;
  }

  get isDurable(): boolean {
    return !this.#collecting.isUrgent && this.#committing?.isUrgent !== true;
  }

  economize(isShort: boolean): boolean {
    return this.#resident.limitCache(isShort ? 0 : this.#options.cacheBytes);
  }

  /** What of the written messages is in memory as well; at most `cacheBytes`. */
  get cachedBytes(): number {
    return this.#resident.cachedBytes;
  }

  get isFailing(): boolean {
    return this.failure !== null;
  }

  get failure(): string | null {
    return this.#bug === null ? (this.#database?.failure ?? null) : `a bug: ${this.#bug.message}`;
  }

  commit(done: () => void): void {
    // What is left then is written by `close`, one batch at a time as well.
    if (this.#isClosed) return;
    if (this.#collecting.isEmpty) return this.#nothingToWrite(done);
    const { maxCommitDelayMs } = this.#options;
    if (maxCommitDelayMs === 0) this.#write(done);
    else this.#timers.after(maxCommitDelayMs, () => this.#isClosed || this.#write(done));
  }

  /** What was staged has been taken back: there is nothing to wait for any more. */
  #nothingToWrite(done: () => void): void {
    this.#collecting.written();
    this.#collecting = new Staged(this.#unwritten);
    this.durableChanges = this.staged;
    done();
  }

  #write(done: () => void): void {
    if (this.#collecting.isEmpty) return this.#nothingToWrite(done);
    const batch = this.#collecting;
    const upTo = this.staged;
    this.#collecting = new Staged(this.#unwritten);
    this.#committing = batch;
    batch.seal();
    const floors = [...batch.floors].flatMap((sid) => {
      const outstanding = this.#sessions.get(sid)?.outstanding;
      return outstanding === undefined ? [] : [[key(Prefix.floor, sid), outstanding.floor] as const];
    });
    const { recordsInRow = 256 } = this.#options;
    const writer = this.#writer;
    function* fill(into: Batch): Generator<void> {
      yield* batch.fill(into, writer, recordsInRow);
      for (const [at, floor] of floors) into.put(at, writeFloor(writer, floor));
    }
    const { records } = batch;
    const finish = () => {
      this.#committing = null;
      this.recordsWritten += records;
      this.durableChanges = upTo;
      batch.written();
      for (const { message, recipients } of batch.messages)
        if (recipients.length > 0) this.#resident.written(message.id);
      done();
      this.#whenIdle?.();
    };
    const commit = this.#database!.commit(fill, () => this.#commitRecord(numbersPerCommit), batch.isSynced);
    commit.then(finish, (error: Error) => this.#commitFailed(error));
  }

  /** Nothing is promised any more: the batch counts as under way for ever. */
  #commitFailed(error: Error): void {
    if (!(error instanceof DatabaseClosed)) {
      this.#bug = error;
      const { onFatal = throwUncaught } = this.#options;
      onFatal(error);
    }
    this.#whenIdle?.();
  }

  /**
   * A message of QoS 1 leaves before it is stored, and another Sluice knows it by its number, so after a crash no other
   * message gets one of those that may have been given since. An orderly close knows which these are.
   */
  #commitRecord(numbersAhead: number): Buffer {
    const lastMessageId = this.#lastMessageId + numbersAhead;
    return writeCommit(this.#writer, { lastMessageId, lastSessionId: this.#lastSessionId });
  }

  get metrics(): Metric[] {
    return storeMetrics(this.#options.directory, async () => (await this.#database?.diskBytes()) ?? null);
  }

  /**
   * Copies everything that is committed at this moment; returns how many records. Rejects if `directory` is not empty.
   */
  async backup(directory: string): Promise<number> {
    await assertEmpty(directory);
    const copy = await Database.open({ directory, acceptLoss: false, log: this.#options.log });
    try {
      return await copyAll(this.#database!, copy);
    } finally {
      await copy.close();
    }
  }

  get unwritten(): number {
    // What timers and pages stage behind that was promised to nobody, and the next start does it.
    if (this.#isSettled) return 0;
    return this.#collecting.changes + (this.#committing?.changes ?? 0);
  }

  giveUp(): void {
    this.#database?.giveUp();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#database === null) return;
    if (!this.isFailing) {
      await this.#settle();
      this.#isSettled = !this.isFailing;
      if (this.#isSettled) return this.#database.close(this.#commitRecord(0));
    }
    await this.#database.close();
  }

  async abandon(): Promise<void> {
    this.#isClosed = true;
    if (this.#committing !== null && !this.isFailing) await this.#idle();
    await this.#database?.close();
  }

  async #idle(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
    });
    this.#whenIdle = null;
  }

  /** Lets the commit under way end, and writes what is left, answers or not. */
  async #settle(): Promise<void> {
    if (this.#committing !== null) await this.#idle();
    // While it is written, more may come.
    while (!this.#collecting.isEmpty && this.#committing === null && !this.isFailing) {
      const idle = this.#idle();
      this.#write(() => {});
      await idle;
    }
  }
}

function throwUncaught(error: Error): void {
  setImmediate(() => {
    throw error;
  });
}
