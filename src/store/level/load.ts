/**
 * Reading everything back at the start: sessions and retained messages whole, of queued messages only who waits for them.
 */
import type { Log } from '../../contracts/log.ts';
import type {
  RestoredSession,
  StoredDelivery,
  StoredPendingWill,
  StoredSending,
  StoredSession,
  StoredSubscription,
} from '../../contracts/session-store.ts';
import type { Message } from '../../protocol/message.ts';
import type { PacketId } from '../../protocol/packets.ts';
import type { Database } from './database.ts';
import type { LevelQuarantine } from './quarantine.ts';
import {
  type Floor,
  key,
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
  readonly lastMessageId: number;
  readonly lastSessionId: number;
}

/** Fills the store's own state on the way. What is damaged or left over is staged to be set aside or deleted. */
export async function loadAll(
  database: Database,
  states: Map<number, SessionState>,
  references: Map<number, number>,
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
  const lastMessageId = await loadRecipients(readEach, found, states, references, staged);
  const sessions: RestoredSession[] = [];
  let lastSessionId = 0;
  for (const [sid, each] of found) {
    lastSessionId = Math.max(lastSessionId, sid);
    sessions.push(await restored(database, each, states.get(sid)!, staged));
  }
  const retained: Message[] = [];
  await readEach(Prefix.retained, (_, value) => retained.push(readContent(value, 0)));
  const wills: StoredPendingWill[] = [];
  await readEach(Prefix.will, (at, value) => wills.push(readWill(value, numberOf(at))));
  await readEach(Prefix.quarantine, (at, value) => quarantine.restore(at, value));
  if (damaged > 0) log.warn({ records: damaged }, 'damaged records were set aside; see sluice db check');
  const lastNumber = wills.reduce((last, { number }) => Math.max(last, number), lastMessageId);
  return { sessions, retained, wills, lastMessageId: lastNumber, lastSessionId };
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
  states: Map<number, SessionState>,
  references: Map<number, number>,
  staged: Staged,
): Promise<number> {
  const done = new Map<number, Set<number>>();
  for (const [sid, { floor }] of found) {
    states.set(sid, new SessionState(floor.floor));
    done.set(sid, new Set(floor.done));
  }
  let lastMessageId = 0;
  await readEach(Prefix.message, (at, value) => {
    const messageId = numberOf(at);
    lastMessageId = Math.max(lastMessageId, messageId);
    const { bytes, expiresAt, recipients, isInline } = readMessage(value, messageId);
    let waiting = 0;
    for (const { sid, qos, retain, subscriptionIds, group } of recipients) {
      const session = found.get(sid);
      if (session === undefined || messageId <= session.floor.floor) continue;
      const { outstanding } = states.get(sid)!;
      if (done.get(sid)!.has(messageId)) {
        outstanding.pushDone(messageId);
        continue;
      }
      session.holdsShared ||= group !== null;
      const hasDetails = subscriptionIds !== null || group !== null;
      outstanding.push({ messageId, bytes, expiresAt, qos, retain, hasDetails, isInline });
      waiting++;
    }
    if (waiting === 0) {
      staged.doneMessages.push(messageId);
      if (!isInline) staged.doneContents.push(messageId);
    }
    if (waiting > 1) references.set(messageId, waiting);
  });
  return lastMessageId;
}

async function restored(
  database: Database,
  found: Found,
  state: SessionState,
  staged: Staged,
): Promise<RestoredSession> {
  const { session, subscriptions, received, holdsShared } = found;
  for (const { topicFilter } of subscriptions) state.filters.add(topicFilter);
  for (const packetId of received) state.received.add(packetId);
  const sendings = await restoredSendings(database, found, staged);
  let bytes = state.outstanding.bytes;
  for (const { packetId, messageId, delivery } of sendings) {
    state.sendings.set(packetId, messageId);
    bytes -= delivery.message.size;
  }
  const backlog = { messages: state.outstanding.count - sendings.length, bytes };
  return { session, subscriptions, received, sendings, backlog, holdsShared };
}

/**
 * Deliveries under way by their identifiers: their messages are needed at once, in the order in which they were sent. One that cannot be read is
 * under way no more: it is set aside like any other, here or when its page is read.
 */
async function restoredSendings(
  database: Database,
  { session, sendings }: Found,
  staged: Staged,
): Promise<RestoredSession['sendings'][number][]> {
  if (sendings.length === 0) return [];
  const values = await database.getMany(sendings.map(({ messageId }) => key(Prefix.message, messageId)));
  const contents = await database.getMany(sendings.map(({ messageId }) => key(Prefix.content, messageId)));
  const all = sendings.flatMap((sending, index) => {
    const delivery = deliveryOf(session.sid, sending.messageId, values[index], contents[index]);
    if (delivery !== null) return [{ ...sending, delivery }];
    staged.delete(packetKey(Prefix.sending, session.sid, sending.packetId));
    return [];
  });
  return all.sort((a, b) => a.messageId - b.messageId);
}

/** Null if a record is missing or damaged. */
function deliveryOf(sid: number, id: number, value?: Buffer, large?: Buffer): StoredDelivery | null {
  if (value === undefined) return null;
  try {
    const { recipients, isInline, content } = readMessage(value, id);
    if (!isInline && large === undefined) return null;
    const message = isInline ? content() : readContent(large!, id);
    const own = recipients.find((recipient) => recipient.sid === sid);
    return own === undefined ? null : { ...own, message };
  } catch {
    return null;
  }
}
