/**
 * Reading everything back at the start: sessions and retained messages whole, of queued messages only who waits for
 * them.
 */
import type { NumberedTable } from '../../base/numbered-table.ts';
import type { Log } from '../../contracts/log.ts';
import {
  queuedBytes,
  type RestoredSession,
  type StoredPendingWill,
  type StoredSending,
  type StoredSession,
  type StoredSubscription,
} from '../../contracts/session-store.ts';
import type { Message } from '../../protocol/message.ts';
import type { PacketId } from '../../protocol/packets.ts';
import type { Contents } from './contents.ts';
import type { Database } from './database.ts';
import { IdList, type IdLists } from './id-lists.ts';
import type { LevelQuarantine } from './quarantine.ts';
import { readMessages } from './read-messages.ts';
import {
  type Floor,
  type IdListReference,
  idListKey,
  numberOf,
  Prefix,
  packetKey,
  readContent,
  readFloor,
  readMessage,
  readSending,
  readSession,
  readSubscription,
  readWill,
  restOf,
} from './records.ts';
import { SessionState } from './session-state.ts';
import type { Staged } from './staged.ts';

interface Found {
  readonly session: StoredSession;
  readonly subscriptions: StoredSubscription[];
  readonly received: PacketId[];
  readonly sendings: StoredSending[];
  floor: Floor;
  holdsShared: boolean;
}

const noFloor: Floor = { floor: 0, done: [] };

export interface Loaded {
  readonly sessions: RestoredSession[];
  readonly retained: Message[];
  readonly wills: StoredPendingWill[];
  readonly notes: ReadonlyMap<string, Buffer>;
  readonly lastMessageId: number;
  readonly lastSessionId: number;
}

/** Fills the store's own state on the way. What is damaged or left over is staged to be set aside or deleted. */
export async function loadAll(
  database: Database,
  states: NumberedTable<SessionState>,
  references: Map<number, number>,
  contents: Contents,
  idLists: IdLists,
  staged: Staged,
  quarantine: LevelQuarantine,
  log: Log,
): Promise<Loaded> {
  let damaged = 0;
  /** Reads one value; a damaged one is set aside, and the rest goes on. */
  const readEach = async (prefix: number, read: (at: Buffer, value: Buffer) => void) => {
    for await (const [at, value] of database.scan(prefix)) {
      try {
        read(at, value);
      } catch (error) {
        damaged++;
        const record = at.toString('hex');
        log.error({ record, cause: (error as Error).message }, 'a stored record cannot be read and was set aside');
        staged.put(Buffer.concat([Buffer.of(Prefix.setAside), at]), value);
        staged.delete(at);
      }
    }
  };
  const found = await loadSessions(readEach, staged);
  const lastMessageId = await loadRecipients(readEach, found, states, references, contents, idLists, staged);
  const sessions: RestoredSession[] = [];
  let lastSessionId = 0;
  for (const [sid, each] of found) {
    lastSessionId = Math.max(lastSessionId, sid);
    sessions.push(await restored(database, contents, idLists, each, states.get(sid)!, staged));
  }
  const retained: Message[] = [];
  await readEach(Prefix.retained, (_, value) => retained.push(readContent(value, 0)));
  const wills: StoredPendingWill[] = [];
  await readEach(Prefix.will, (at, value) => wills.push(readWill(value, numberOf(at))));
  await readEach(Prefix.quarantine, (at, value) => quarantine.restore(at, value));
  const notes = new Map<string, Buffer>();
  await readEach(Prefix.note, (at, value) => notes.set(at.toString('utf8', 1), value));
  if (damaged > 0) log.warn({ records: damaged }, 'damaged records were set aside; see sluice db check');
  const lastNumber = wills.reduce((last, { number }) => Math.max(last, number), lastMessageId);
  return { sessions, retained, wills, notes, lastMessageId: lastNumber, lastSessionId };
}

type ReadEach = (prefix: number, read: (at: Buffer, value: Buffer) => void) => Promise<void>;

async function loadSessions(readEach: ReadEach, staged: Staged): Promise<Map<number, Found>> {
  const found = new Map<number, Found>();
  await readEach(Prefix.session, (at, value) => {
    const session = readSession(value, numberOf(at));
    const nothing = { subscriptions: [], received: [], sendings: [], floor: noFloor, holdsShared: false };
    found.set(session.sid, { session, ...nothing });
  });
  /** Records of a session that is gone have no use any more. */
  const ofSession = (read: (each: Found, at: Buffer, value: Buffer) => void) => (at: Buffer, value: Buffer) => {
    const each = found.get(numberOf(at));
    if (each === undefined) staged.delete(at);
    else read(each, at, value);
  };
  await readEach(
    Prefix.subscription,
    ofSession((each, at, value) => each.subscriptions.push(readSubscription(value, restOf(at).toString()))),
  );
  await readEach(
    Prefix.floor,
    ofSession((each, _, value) => {
      each.floor = readFloor(value);
    }),
  );
  await readEach(
    Prefix.received,
    ofSession((each, at) => each.received.push(restOf(at).readUInt16BE())),
  );
  await readEach(
    Prefix.sending,
    ofSession((each, at, value) => each.sendings.push(readSending(value, restOf(at).readUInt16BE()))),
  );
  return found;
}

/** Who waits for which message; returns the highest message number. */
async function loadRecipients(
  readEach: ReadEach,
  found: Map<number, Found>,
  states: NumberedTable<SessionState>,
  references: Map<number, number>,
  contents: Contents,
  idLists: IdLists,
  staged: Staged,
): Promise<number> {
  const done = new Map<number, Set<number>>();
  for (const [sid, { floor }] of found) {
    states.set(sid, new SessionState(floor.floor));
    done.set(sid, new Set(floor.done));
  }
  let lastMessageId = 0;
  const apart = new ContentsOfMessages();
  const lists = new ListsOfMessages(idLists);
  await readEach(Prefix.message, (at, value) => {
    const messageId = numberOf(at);
    const { bytes, expiresAt, recipients, contentNumber } = readMessage(value, messageId);
    const isInline = contentNumber === null;
    lastMessageId = Math.max(lastMessageId, messageId, contentNumber ?? 0);
    let waiting = 0;
    for (const { sid, qos, retain, subscriptionIds, idList, group } of recipients) {
      const session = found.get(sid);
      if (session === undefined || messageId <= session.floor.floor) continue;
      const { outstanding } = states.get(sid)!;
      if (done.get(sid)!.has(messageId)) {
        outstanding.pushDone(messageId);
        continue;
      }
      session.holdsShared ||= group !== null;
      if (idList !== null) lists.note(sid, messageId, idList);
      const ids = idList ?? subscriptionIds;
      const hasDetails = ids !== null || group !== null;
      const size = queuedBytes({ size: bytes }, ids);
      outstanding.push({ messageId, bytes: size, expiresAt, qos, retain, hasDetails, isInline });
      waiting++;
    }
    if (waiting === 0) staged.doneMessages.push(messageId);
    if (contentNumber !== null) apart.note(messageId, contentNumber, waiting > 0);
    if (waiting > 1) references.set(messageId, waiting);
  });
  apart.settle(contents, staged);
  await readEach(Prefix.idList, (at) => {
    if (!lists.areWanted(at)) staged.delete(at);
  });
  return lastMessageId;
}

/** Which messages have long lists of identifiers. */
class ListsOfMessages {
  readonly #idLists: IdLists;
  /** By their keys, in hex. */
  readonly #wanted = new Map<string, IdList>();

  constructor(idLists: IdLists) {
    this.#idLists = idLists;
  }

  /** A session waits for a message with this list. */
  note(sid: number, messageId: number, reference: IdListReference): void {
    const at = idListKey(sid, reference.number).toString('hex');
    let list = this.#wanted.get(at);
    if (list === undefined) this.#wanted.set(at, (list = new IdList(sid, reference)));
    this.#idLists.add(messageId, list);
  }

  areWanted(at: Buffer): boolean {
    return this.#wanted.has(at.toString('hex'));
  }
}

/** Which messages have content in records of their own. */
class ContentsOfMessages {
  /** Messages with the content of their own number: whether somebody wants them. */
  readonly #own = new Map<number, boolean>();
  /** By the number of content: those others that have it and are wanted. */
  readonly #others = new Map<number, number[]>();

  note(messageId: number, contentNumber: number, isWanted: boolean): void {
    if (messageId === contentNumber) {
      this.#own.set(messageId, isWanted);
      return;
    }
    const others = this.#others.get(contentNumber);
    if (others === undefined) this.#others.set(contentNumber, isWanted ? [messageId] : []);
    else if (isWanted) others.push(messageId);
  }

  /** What nobody has any more is deleted. */
  settle(contents: Contents, staged: Staged): void {
    for (const [number, others] of this.#others) {
      const messageIds = this.#own.get(number) === true ? [number, ...others] : others;
      if (messageIds.length > 0) contents.restore(number, messageIds);
      else staged.doneContents.push(number);
      this.#own.delete(number);
    }
    for (const [number, isWanted] of this.#own) if (!isWanted) staged.doneContents.push(number);
  }
}

async function restored(
  database: Database,
  contents: Contents,
  idLists: IdLists,
  found: Found,
  state: SessionState,
  staged: Staged,
): Promise<RestoredSession> {
  const { session, subscriptions, received, holdsShared } = found;
  for (const { topicFilter } of subscriptions) state.filters.add(topicFilter);
  for (const packetId of received) state.received.add(packetId);
  const sendings = await restoredSendings(database, contents, idLists, found, staged);
  let bytes = state.outstanding.bytes;
  for (const { packetId, messageId, delivery } of sendings) {
    state.sendings.set(packetId, messageId);
    state.outstanding.claim(messageId);
    bytes -= queuedBytes(delivery.message, delivery.subscriptionIds);
  }
  const backlog = { messages: state.outstanding.count - sendings.length, bytes };
  return { session, subscriptions, received, sendings, backlog, holdsShared };
}

/**
 * Deliveries under way by their identifiers: their messages are needed at once, in the order in which they were sent.
 * One that cannot be read is under way no more: it is set aside like any other, here or when its page is read.
 */
async function restoredSendings(
  database: Database,
  contents: Contents,
  idLists: IdLists,
  { session, sendings }: Found,
  staged: Staged,
): Promise<RestoredSession['sendings'][number][]> {
  const messageIds = sendings.map(({ messageId }) => messageId);
  const read = await readMessages(database, contents, idLists, session.sid, messageIds);
  const all = sendings.flatMap((sending, index) => {
    const each = read[index]!;
    if ('delivery' in each) {
      if (!each.isInline) contents.loaded(each.delivery.message);
      return [{ ...sending, delivery: each.delivery }];
    }
    staged.delete(packetKey(Prefix.sending, session.sid, sending.packetId));
    return [];
  });
  return all.sort((a, b) => a.messageId - b.messageId);
}
