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
import type { Core } from './core.ts';
import { Delivery } from './delivery.ts';
import { Awaiting, beyondNote } from './send-window.ts';
import { neverExpires, Session, type SessionWill } from './session.ts';
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
export function sessionOf(core: Core, clientId: string): Session | undefined {
  const { directory, wills, now } = core;
  const session = directory.get(clientId);
  if (session?.isConnected) return session;
  wills.fireIfDue(clientId);
  if (session === undefined) return undefined;
  if (now >= expiryOf(session)) end(core, session, 'expired');
  return session.isEnded ? undefined : session;
}

/** When a session whose client is away is over. [MQTT5 3.1.2.11.2] */
function expiryOf({ disconnectedAt, expirySeconds }: Session): number {
  return expirySeconds === neverExpires ? Number.POSITIVE_INFINITY : disconnectedAt! + expirySeconds * 1000;
}

/** Begins or resumes the session. Once the CONNACK has left, the broker calls `ready`. */
export function connect(core: Core, request: ConnectRequest): { session: Session; sessionPresent: boolean } {
  let session = sessionOf(core, request.clientId);
  if (session?.channel) {
    const { channel } = session;
    // The older connection's will is published unless its delay lets the new connection cancel it. [MQTT5 3.1.4-3]
    disconnected(core, session, true);
    core.sink.disconnect(channel, ReasonCode.SessionTakenOver);
  }
  if (session?.isEnded) session = undefined;
  if (session !== undefined && request.clean) {
    end(core, session, 'clean');
    session = undefined;
  }
  core.wills.clientIsBack(request.clientId, request.identity);
  const sessionPresent = session !== undefined;
  session ??= begin(core, request);

  core.timers.cancel(session.expiryTimer);
  session.traits = request.traits;
  session.expirySeconds = request.expirySeconds;
  session.isPersistent ||= session.outlivesConnection;
  session.queue.isPaged = session.isPersistent && core.store.canPage;
  session.packetBytesMax = request.packetBytesMax;
  session.will = request.will;
  session.channel = request.channel;
  core.directory.attached(session);
  session.disconnectedAt = null;
  identify(core, session, request.identity);
  session.isReady = session.isCongested = false;
  session.window.resume(Math.min(request.receiveMaximum, core.settings.limits.inflight));
  save(core, session);
  // CONNACK waits for that, and all that is sent follows.
  if (session.isPersistent) session.window.noted(session.window.next);
  return { session, sessionPresent };
}

/** The CONNACK has left: what waits for the client follows. */
export function ready(core: Core, session: Session): void {
  session.isReady = true;
  settleMemberships(core, session);
  core.delivering.pump(session);
}

/** Its shared subscriptions learn that the client has come or gone, in the background if they are many. */
function settleMemberships(core: Core, session: Session): void {
  if (session.memberships === null) return;
  const members = session.memberships.values();
  const step = () => {
    for (let left = core.stepSizes.subscriptions; left > 0; left--) {
      const { value: member, done } = members.next();
      if (done) return false;
      member.group.settle(member);
    }
    return true;
  };
  if (step()) core.sink.background(step);
}

/** Whose session it is, and what that lets its client do, from now on. */
export function identify(core: Core, session: Session, identity: ClientIdentity | null): void {
  const before = session.identity;
  const rights = identity === null ? null : rightsOf(core, identity);
  session.identity = identity;
  session.rights = rights;
  if (rights === null || session.subscriptions.size === 0 || isSame(before, identity)) return;
  core.rightsChangedOf(session);
}

const rightsOf = ({ access }: Core, identity: ClientIdentity) => access?.rightsOf(identity) ?? null;

/** Whether rules cannot tell the two apart. */
function isSame(one: ClientIdentity | null, other: ClientIdentity | null): boolean {
  if (one === null || other === null) return false;
  const withoutPort = ({ remoteAddress, ...identity }: ClientIdentity) => {
    return { ...identity, address: remoteAddress.slice(0, remoteAddress.lastIndexOf(':')) };
  };
  return isDeepStrictEqual(withoutPort(one), withoutPort(other));
}

function begin(core: Core, { clientId, traits, expirySeconds }: ConnectRequest): Session {
  const session = new Session({ clientId, sid: core.store.nextSessionId(), traits, expirySeconds }, core);
  core.directory.add(session);
  return session;
}

function expireAt(core: Core, session: Session, time: number): void {
  core.timers.set((session.expiryTimer ??= new Timer(() => end(core, session, 'expired'))), time);
}

/** In the store belongs what outlives the connection: the session, or at least a will that a crash must not lose. */
function save(core: Core, session: Session): void {
  if (!session.isPersistent && session.will === null && !session.isStored) return;
  session.isStored = true;
  core.store.putSession(session.stored);
}

/** The connection is gone; `publishesWill` is false only if the client said so. [MQTT5 3.14.4-3] */
export function disconnected(core: Core, session: Session, publishesWill: boolean): void {
  // Who was sent no CONNACK was never connected, so there is nothing to tell others of.
  if (!publishesWill || !session.isReady) session.will = null;
  // After a restart, those that were connected have no channel any more.
  if (session.channel !== null) core.directory.detached(session);
  session.channel = null;
  session.disconnectedAt = core.now;
  session.isReady = session.isCongested = false;
  // All of the window is to be sent again.
  session.heldBack = null;
  session.packetBytesMax = Number.POSITIVE_INFINITY;
  if (!session.outlivesConnection) return end(core, session, 'disconnected');
  settleMemberships(core, session);
  core.delivering.redistribution.begin(session, null);
  if (core.store.canPage) session.queue.spillAll();
  core.wills.leave(session);
  if (session.expirySeconds !== neverExpires) expireAt(core, session, core.now + session.expirySeconds * 1000);
  save(core, session);
}

/** Ends a session whose client is away. A will that still waits is published now. [MQTT5 3.1.3-9] */
export function end(core: Core, session: Session, why: 'expired' | 'clean' | 'disconnected'): void {
  session.isEnded = true;
  core.timers.cancel(session.expiryTimer);
  core.directory.remove(session);
  core.removeSubscriptions(session);
  // First, so that what stays of the session in the store does not have the will any more.
  core.wills.leave(session);
  leaveBacklog(core, session);
  core.wills.sessionEnded(session.clientId);
  if (!session.isOfProgram) core.sink.sessionEnded(session, why);
}

/**
 * What other members of its shared subscriptions are to get is passed on, and then nothing is kept of a session that
 * has ended.
 */
function leaveBacklog(core: Core, session: Session): void {
  let isGone = false;
  core.delivering.redistribution.begin(session, null, () => {
    isGone = true;
    for (const { message } of session.queue) core.sink.dropped('sessionEnded', session, message);
    if (session.queue.spilled > 0) core.sink.dropped('sessionEnded', session, null, session.queue.spilled);
    if (session.isStored) core.removeStored(session.sid);
    session.end();
  });
  // Until then, a restart has to know that it has ended.
  if (!isGone) save(core, session);
}

/** Puts back the sessions and wills of the last run. Those whose connection was open have just lost it. */
export function restore(core: Core, { sessions, wills, lastMessageId }: RestoredState): void {
  const wereOpen: Session[] = [];
  const hadEnded: Session[] = [];
  const restored: [Session, RestoredSession][] = [];
  for (const record of sessions) {
    const { sid, clientId, protocolVersion, expirySeconds, disconnectedAt, will, identity } = record.session;
    const session = new Session({ clientId, sid, traits: traitsOf[protocolVersion], expirySeconds }, core);
    session.will = will;
    session.identity = identity;
    session.rights = identity === null ? null : rightsOf(core, identity);
    session.isStored = true;
    session.disconnectedAt = disconnectedAt;
    session.isPersistent ||= record.backlog.messages > 0;
    session.queue.isPaged = session.isPersistent && core.store.canPage;
    session.mayHoldShared = record.holdsShared === true;
    restored.push([session, record]);
    if (record.session.hasEnded === true) {
      session.isEnded = session.mayHoldShared = true;
      hadEnded.push(session);
      continue;
    }
    core.directory.add(session);
    for (const stored of record.subscriptions) {
      const parsed = parseFilter(stored.topicFilter);
      if (parsed === null) continue;
      const { filter, shareName } = parsed;
      const subscription = subscriptionOf(session, stored.topicFilter, parsed, stored);
      session.subscriptions.set(stored.topicFilter, subscription);
      if (stored.owesRetained) session.replays.push({ subscription, messages: core.retained.match(filter) });
      session.subscribed(Buffer.byteLength(stored.topicFilter));
      core.router.add(subscription);
      session.mayHoldShared ||= shareName !== null;
    }
    if (disconnectedAt === null) wereOpen.push(session);
    else {
      const pending = takeWill(session);
      if (pending !== null) {
        core.wills.restoreOf(pending, disconnectedAt);
        save(core, session);
      }
      if (expirySeconds !== neverExpires) expireAt(core, session, disconnectedAt + expirySeconds * 1000);
    }
  }
  // Shared groups exist only when all subscriptions do.
  for (const [session, record] of restored) {
    restoreQueue(core, session, record);
    restoreProgress(session, record, lastMessageId);
  }
  for (const session of hadEnded) leaveBacklog(core, session);
  const leftBehind = wereOpen.map(takeWill);
  for (const session of wereOpen) disconnected(core, session, true);
  // Behind all sessions that end with their connections: a full queue of theirs must not keep out the wills of others.
  core.wills.restore(wills);
  for (const pending of leftBehind) if (pending !== null) core.wills.restoreOf(pending, null);
}

function restoreQueue(core: Core, session: Session, record: RestoredSession): void {
  for (const { packetId, isReceived, delivery } of record.sendings) {
    const awaiting = delivery.qos === 1 ? Awaiting.puback : isReceived ? Awaiting.pubcomp : Awaiting.pubrec;
    session.window.restore(packetId, Delivery.restored(delivery, core.router), awaiting);
  }
  for (const packetId of record.received) session.received.add(packetId);
  session.queue.restoreSpilled(record.backlog, core.settings.limits);
}

/** Of a session that was connected until a crash, all may have been sent, and by identifiers that nobody wrote down. */
function restoreProgress(session: Session, { session: { progress }, sendings }: RestoredSession, last: number): void {
  const wasOpen = session.disconnectedAt === null;
  session.sentUpTo = wasOpen || progress === null ? last : progress.sentUpTo;
  const noted = progress?.nextPacketId ?? sendings.at(-1)?.packetId ?? 1;
  session.window.startAt(wasOpen ? beyondNote(noted) : noted);
}
