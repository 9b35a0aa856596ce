/**
 * A session's life: it begins or resumes with CONNECT, outlives its connection for as long as the client asked, and
 * ends. What becomes of its will then is in `wills.ts`. [MQTT5 4.1]
 */
import { isDeepStrictEqual } from 'node:util';
import { Timer } from '../base/timer-wheel.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { RestoredSession, RestoredState } from '../contracts/session-store.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { parseFilter } from '../protocol/topic.ts';
import { type Traits, traitsOf } from '../protocol/traits.ts';
import { neverExpires, type SessionWill } from './client-session.ts';
import { Delivery } from './delivery.ts';
import { groupNamed } from './member.ts';
import type { CoreParts } from './parts.ts';
import { Awaiting, beyondNote } from './send-window.ts';
import { Session } from './session.ts';
import { subscriptionOf } from './subscription.ts';
import { takeWill } from './wills.ts';

export interface ConnectRequest {
  readonly clientId: string;
  readonly traits: Traits;
  /** Clean Session or Clean Start. */
  readonly clean: boolean;
  readonly expirySeconds: number;
  /** How many QoS 1 and 2 messages the client takes at a time. */
  readonly receiveMaximum: number;
  readonly packetBytesMax: number;
  readonly will: SessionWill | null;
  /** The broker's connection. */
  readonly channel: object;
  /** Kept with the session, and decides on its rights; null for clients within the process, which have all. */
  readonly identity: ClientIdentity | null;
}

/**
 * The client's session. One whose time is up ends here: thousands may be due together, after a restart above all, and
 * its timer may not have fired.
 */
export function sessionOf(parts: CoreParts, clientId: string): Session | undefined {
  const { directory, wills, now } = parts;
  const session = directory.get(clientId);
  if (session?.isConnected) return session;
  wills.fireIfDue(clientId);
  if (session === undefined) return undefined;
  if (now >= expiryOf(session)) end(parts, session, 'expired');
  return session.isEnded ? undefined : session;
}

/** When a session whose client is away is over. [MQTT5 3.1.2.11.2] */
function expiryOf({ disconnectedAt, expirySeconds }: Session): number {
  return expirySeconds === neverExpires ? Number.POSITIVE_INFINITY : disconnectedAt! + expirySeconds * 1000;
}

export interface Connected<AnySession> {
  readonly session: AnySession;
  readonly sessionPresent: boolean;
  /** The client had a session of which the store does not have yet that it has ended. */
  readonly isEndUnstored: boolean;
}

/** Begins or resumes the session. Once the CONNACK has left, the broker calls `ready`. */
export function connect(parts: CoreParts, request: ConnectRequest): Connected<Session> {
  let session = sessionOf(parts, request.clientId);
  if (session?.channel) {
    takenOver(parts, session);
  }
  if (session?.isEnded) session = undefined;
  if (session !== undefined && request.clean) {
    end(parts, session, 'clean');
    session = undefined;
  }
  parts.wills.clientIsBack(request.clientId, request.identity);
  const sessionPresent = session !== undefined;
  const isEndUnstored = !sessionPresent && parts.unstoredEnds.has(request.clientId);
  session ??= begin(parts, request);

  parts.timers.cancel(session.expiryTimer);
  session.traits = request.traits;
  session.expirySeconds = request.expirySeconds;
  session.isPersistent ||= session.outlivesConnection;
  session.queue.isPaged = session.isPersistent && parts.store.canPage;
  session.packetBytesMax = request.packetBytesMax;
  session.will = request.will;
  session.channel = request.channel;
  parts.directory.attached(session);
  session.disconnectedAt = null;
  identify(parts, session, request.identity);
  session.isReady = session.isCongested = false;
  const { inflight, inflightBytes } = parts.settings.limits;
  session.window.resume(Math.min(request.receiveMaximum, inflight), inflightBytes || Number.POSITIVE_INFINITY);
  save(parts, session);
  // CONNACK waits for that, and all that is sent follows.
  if (session.isPersistent) session.window.noted(session.window.next);
  return { session, sessionPresent, isEndUnstored };
}

/** The client has another connection, here or elsewhere. */
export function takenOver(parts: CoreParts, session: Session): void {
  const { channel } = session;
  if (channel === null) return;
  // The older connection's will is published unless its delay lets the new connection cancel it. [MQTT5 3.1.4-3]
  disconnected(parts, session, true);
  parts.sink.disconnect(channel, ReasonCode.SessionTakenOver);
}

/** The CONNACK has left: what waits for the client follows. */
export function ready(parts: CoreParts, session: Session): void {
  session.isReady = true;
  settleMemberships(parts, session);
  if (session.memberships !== null) parts.shared?.changed(session.clientId);
  parts.delivering.pump(session);
}

/** Its shared subscriptions learn that the client has come or gone, in the background if they are many. */
function settleMemberships(parts: CoreParts, session: Session): void {
  if (session.memberships === null) return;
  const members = session.memberships.values();
  const step = () => {
    for (let left = parts.stepSizes.subscriptions; left > 0; left--) {
      const { value: member, done } = members.next();
      if (done) return false;
      member.group.settle(member);
    }
    return true;
  };
  if (step()) parts.sink.background(step);
}

/** Whose session it is, and what that lets its client do, from now on. */
export function identify(parts: CoreParts, session: Session, identity: ClientIdentity | null): void {
  const before = session.identity;
  const rights = identity === null ? null : rightsOf(parts, identity);
  session.identity = identity;
  session.rights = rights;
  if (rights === null || session.subscriptions.size === 0 || isSame(before, identity)) return;
  parts.rightsChangedOf(session);
}

const rightsOf = ({ access }: CoreParts, identity: ClientIdentity) => access?.rightsOf(identity) ?? null;

/** Whether rules cannot tell the two apart. */
function isSame(one: ClientIdentity | null, other: ClientIdentity | null): boolean {
  if (one === null || other === null) return false;
  const withoutPort = ({ remoteAddress, ...identity }: ClientIdentity) => {
    return { ...identity, address: remoteAddress.slice(0, remoteAddress.lastIndexOf(':')) };
  };
  return isDeepStrictEqual(withoutPort(one), withoutPort(other));
}

function begin(parts: CoreParts, { clientId, traits, expirySeconds }: ConnectRequest): Session {
  const session = new Session({ clientId, sid: parts.store.nextSessionId(), traits, expirySeconds }, parts);
  parts.directory.add(session);
  return session;
}

function expireAt(parts: CoreParts, session: Session, time: number): void {
  parts.timers.set((session.expiryTimer ??= new Timer(() => end(parts, session, 'expired'))), time);
}

/** In the store belongs what outlives the connection: the session, or at least a will that a crash must not lose. */
function save(parts: CoreParts, session: Session): void {
  if (!session.isPersistent && session.will === null && !session.isStored) return;
  session.isStored = true;
  parts.store.putSession(session.stored);
}

/** The connection is gone; `publishesWill` is false only if the client said so. [MQTT5 3.14.4-3] */
export function disconnected(parts: CoreParts, session: Session, publishesWill: boolean): void {
  // Who was sent no CONNACK was never connected, so there is nothing to tell others of.
  if (!publishesWill || !session.isReady) session.will = null;
  // After a restart, those that were connected have no channel any more.
  if (session.channel !== null) parts.directory.detached(session);
  session.channel = null;
  session.disconnectedAt = parts.now;
  session.isReady = session.isCongested = false;
  session.timing = null;
  // All of the window is to be sent again.
  session.heldBack = null;
  session.packetBytesMax = Number.POSITIVE_INFINITY;
  if (!session.outlivesConnection) return end(parts, session, 'disconnected');
  settleMemberships(parts, session);
  if (session.memberships !== null) parts.shared?.changed(session.clientId);
  parts.delivering.redistribution.begin(session, null);
  if (parts.store.canPage) session.queue.spillAll();
  parts.wills.leave(session);
  if (session.expirySeconds !== neverExpires) expireAt(parts, session, parts.now + session.expirySeconds * 1000);
  save(parts, session);
}

/** Ends a session whose client is away. A will that still waits is published now. [MQTT5 3.1.3-9] */
export function end(parts: CoreParts, session: Session, why: 'expired' | 'clean' | 'disconnected' | 'deleted'): void {
  session.isEnded = true;
  parts.timers.cancel(session.expiryTimer);
  parts.directory.remove(session);
  parts.removeSubscriptions(session);
  parts.distributor.forget(session);
  if (session.mayHoldShared) parts.shared?.left(session.clientId, null);
  // First, so that what stays of the session in the store does not have the will any more.
  parts.wills.leave(session);
  leaveBacklog(parts, session);
  if (session.isStored) parts.unstoredEnds.add(session.clientId);
  parts.wills.sessionEnded(session.clientId);
  if (!session.isOfProgram) parts.sink.sessionEnded(session, why);
}

/** It goes on elsewhere. Its client is there, so a will that waits is called off. */
export function forget(parts: CoreParts, session: Session): void {
  takenOver(parts, session);
  if (session.isEnded) return;
  session.isEnded = true;
  parts.timers.cancel(session.expiryTimer);
  parts.directory.remove(session);
  parts.removeSubscriptions(session);
  parts.distributor.forget(session);
  parts.delivering.redistribution.forget(session);
  parts.wills.clientIsBack(session.clientId, session.identity);
  if (session.isStored) parts.removeStored(session.sid);
  session.end();
}

/**
 * What other members of its shared subscriptions are to get is passed on, and then nothing is kept of a session that
 * has ended.
 */
function leaveBacklog(parts: CoreParts, session: Session): void {
  if (parts.shared !== null) return leaveToNodes(parts, session);
  let isGone = false;
  parts.delivering.redistribution.begin(session, null, () => {
    isGone = true;
    for (const { message } of session.queue) parts.sink.dropped('sessionEnded', session, message);
    if (session.queue.spilled > 0) parts.sink.dropped('sessionEnded', session, null, session.queue.spilled);
    if (session.isStored) parts.removeStored(session.sid);
    session.end();
  });
  // Until then, a restart has to know that it has ended.
  if (!isGone) save(parts, session);
}

/** The same where the log has all of its messages: no restart goes on with it. */
function leaveToNodes(parts: CoreParts, session: Session): void {
  parts.delivering.redistribution.begin(session, null, () => session.end());
  // At once: its client may begin another one, and publish by the same identifiers.
  if (session.isStored) parts.removeStored(session.sid);
}

/** Puts back sessions, wills and retained messages. Those whose connection was open have just lost it. */
export function restore(parts: CoreParts, { sessions, wills, retained, lastMessageId }: RestoredState): void {
  for (const message of retained) parts.retained.set(message);
  const wereOpen: Session[] = [];
  const hadEnded: Session[] = [];
  const restored: [Session, RestoredSession][] = [];
  for (const record of sessions) {
    const { sid, clientId, protocolVersion, expirySeconds, disconnectedAt, will, identity } = record.session;
    const session = new Session({ clientId, sid, traits: traitsOf[protocolVersion], expirySeconds }, parts);
    session.will = will;
    session.identity = identity;
    session.rights = identity === null ? session.rights : rightsOf(parts, identity);
    session.isStored = true;
    session.disconnectedAt = disconnectedAt;
    session.isPersistent ||= record.backlog.messages > 0;
    session.queue.isPaged = session.isPersistent && parts.store.canPage;
    session.mayHoldShared = record.holdsShared === true;
    restored.push([session, record]);
    if (record.session.hasEnded === true) {
      session.isEnded = session.mayHoldShared = true;
      hadEnded.push(session);
      continue;
    }
    parts.directory.add(session);
    for (const stored of record.subscriptions) {
      const parsed = parseFilter(stored.topicFilter);
      if (parsed === null) continue;
      const { filter, shareName } = parsed;
      const subscription = subscriptionOf(session, stored.topicFilter, parsed, stored);
      session.subscriptions.set(stored.topicFilter, subscription);
      if (stored.owesRetained) session.replays.push({ subscription, messages: parts.retained.match(filter) });
      session.subscribed(Buffer.byteLength(stored.topicFilter));
      parts.router.add(subscription);
      session.mayHoldShared ||= shareName !== null;
    }
    if (disconnectedAt === null) wereOpen.push(session);
    else {
      const pending = takeWill(session);
      if (pending !== null) {
        parts.wills.restoreOf(pending, disconnectedAt);
        save(parts, session);
      }
      if (expirySeconds !== neverExpires) expireAt(parts, session, disconnectedAt + expirySeconds * 1000);
    }
  }
  // Shared groups exist only when all subscriptions do.
  for (const [session, record] of restored) {
    restoreQueue(parts, session, record);
    restoreProgress(session, record, lastMessageId);
  }
  for (const session of hadEnded) leaveBacklog(parts, session);
  const leftBehind = wereOpen.map(takeWill);
  for (const session of wereOpen) disconnected(parts, session, true);
  // Behind all sessions that end with their connections: a full queue of theirs must not keep out the wills of others.
  parts.wills.restore(wills);
  for (const pending of leftBehind) if (pending !== null) parts.wills.restoreOf(pending, null);
}

function restoreQueue(parts: CoreParts, session: Session, record: RestoredSession): void {
  for (const { packetId, isReceived, delivery } of record.sendings) {
    const awaiting = delivery.qos === 1 ? Awaiting.puback : isReceived ? Awaiting.pubcomp : Awaiting.pubrec;
    const restored = Delivery.restored(delivery, { group: (name) => groupNamed(parts, name) });
    session.window.restore(packetId, restored, awaiting);
  }
  for (const packetId of record.received) session.received.add(packetId);
  session.queue.restoreSpilled(record.backlog, parts.settings.limits);
}

/** Of a session that was connected until a crash, all may have been sent, and by identifiers that nobody wrote down. */
function restoreProgress(session: Session, { session: { progress }, sendings }: RestoredSession, last: number): void {
  const wasOpen = session.disconnectedAt === null;
  session.sentUpTo = wasOpen || progress === null ? last : progress.sentUpTo;
  const noted = progress?.nextPacketId ?? sendings.at(-1)?.packetId ?? 1;
  session.window.startAt(wasOpen ? beyondNote(noted) : noted);
}
