/** Sessions that move between nodes, and what they are given while they do. */
import type { MissedMessage, SharedSubscriptions } from '../contracts/cluster.ts';
import type { MovedSession } from '../contracts/session-move.ts';
import type { StoredDelivery, StoredPendingWill } from '../contracts/session-store.ts';
import type { Message } from '../protocol/message.ts';
import type { QoS } from '../protocol/packets.ts';
import { matches } from '../protocol/topic.ts';
import type { OwnQueueLimits } from './client-session.ts';
import { Delivery } from './delivery.ts';
import { restore } from './lifecycle.ts';
import { giveMember, groupNamed } from './member.ts';
import { targetOfAll } from './outlook.ts';
import type { CoreParts } from './parts.ts';
import { Awaiting } from './send-window.ts';
import type { Session } from './session.ts';
import { storedForm } from './subscription.ts';

/** All that waits for it is in memory: no store keeps any of it. */
export function exportSession(session: Session): MovedSession {
  const { window, queue, stored } = session;
  const { sid, ...rest } = stored;
  const owed = new Set(session.replays.map(({ subscription }) => subscription.topicFilter));
  const sendings = [...window].flatMap((packetId) => {
    const delivery = window.delivery(packetId);
    const isReceived = window.awaiting(packetId) === Awaiting.pubcomp;
    return delivery === null ? [] : [{ packetId, isReceived, delivery }];
  });
  return {
    session: rest,
    subscriptions: [...session.subscriptions.values()].map((each) => storedForm(each, owed.has(each.topicFilter))),
    sendings,
    received: [...session.received],
    queue: [...queue],
  };
}

/**
 * Its messages get numbers of this node, in their order. It has missed some on its way here. Whether those of a session
 * whose node has died were sent before nobody knows.
 */
export function importSession(
  parts: CoreParts,
  moved: MovedSession,
  missed: readonly Missed[],
  limits: OwnQueueLimits | null,
): void {
  const { shared, distributor } = parts;
  const endsHere = shared !== null && moved.session.expirySeconds === 0 && moved.session.disconnectedAt === null;
  // It ended with its connection. What was for it as a member of shared subscriptions is for the others.
  if (endsHere) handOnAll(shared, moved, missed);
  const session = restoreMoved(parts, endsHere ? { ...moved, sendings: [], queue: [] } : moved);
  if (session === null) return;
  if (limits !== null) distributor.limitQueue(session, limits);
  for (const { message, isOwn, group } of missed) {
    if (session.isEnded) return;
    if (group === null) deliverTo(parts, session, message, isOwn ? session : null);
    else giveMember(parts, session, group, message);
  }
  if (moved.session.disconnectedAt === null) session.sentUpTo = session.lastMessageId;
}

/** `isOwn`: its own client has published it. */
export interface Missed extends MissedMessage {
  readonly isOwn: boolean;
}

/** Wills of clients that are gone, which get numbers of this node. */
export function importWills({ store, wills }: CoreParts, left: readonly StoredPendingWill[]): void {
  const numbered = left.map((will) => ({ ...will, number: store.nextMessageId() }));
  for (const will of numbered) store.putWill(will);
  wills.restore(numbered);
}

/** QoS 2 that was under way ends with the session. [MQTT5 4.8.2-5] */
function handOnAll(shared: SharedSubscriptions, moved: MovedSession, missed: readonly Missed[]): void {
  const { clientId } = moved.session;
  const unanswered = moved.sendings.map(({ delivery }) => delivery).filter(({ qos }) => qos === 1);
  for (const { message, group } of [...unanswered, ...moved.queue]) {
    if (group !== null) shared.handOn(clientId, group.name, message, false);
  }
  for (const { message, group } of missed) if (group !== null) shared.handOn(clientId, group, message, false);
}

/** Null: it ended with the connection that its client had at a node that has died. */
function restoreMoved(parts: CoreParts, moved: MovedSession): Session | null {
  const { store } = parts;
  const numbered = (delivery: StoredDelivery): StoredDelivery => {
    const message = delivery.message.renumbered(store.nextMessageId(), false);
    return { ...delivery, message };
  };
  const sendings = moved.sendings.map((each) => ({
    ...each,
    messageId: 0,
    delivery: numbered(each.delivery),
  }));
  const sentUpTo = sendings.at(-1)?.delivery.message.id ?? 0;
  const nextPacketId = moved.session.progress?.nextPacketId ?? 1;
  const session = { ...moved.session, sid: store.nextSessionId(), progress: { sentUpTo, nextPacketId } };
  const { subscriptions, received } = moved;
  const backlog = { messages: 0, bytes: 0 };
  const restored = { session, subscriptions, sendings, received, backlog };
  // First, so that what becomes of it is noted.
  store.putSession(session);
  restore(parts, { sessions: [restored], retained: [], wills: [], notes: new Map(), lastMessageId: sentUpTo });
  const joined = parts.directory.get(session.clientId);
  if (joined === undefined) return null;
  joined.lastMessageId = sentUpTo;
  for (const delivery of moved.queue) {
    const waiting = Delivery.restored(numbered(delivery), { group: (name) => groupNamed(parts, name) });
    joined.lastMessageId = waiting.message.id;
    joined.queue.push(waiting);
  }
  return joined;
}

/** As `Distributor.publish` would, but to one session. */
function deliverTo(parts: CoreParts, session: Session, message: Message, origin: Session | null): void {
  const { name } = message.topic;
  const matching = [...session.subscriptions.values()].filter(
    ({ shareName, filter }) => shareName === null && matches(filter, name),
  );
  const target = targetOfAll(matching, origin);
  if (target === null || message.isExpired(parts.now)) return;
  if (session.rights?.receive(name) === false) return;
  const qos = Math.min(message.qos, target.qos) as QoS;
  const retain = message.retain && target.retainAsPublished;
  parts.delivering.deliver(session, message, qos, retain, target.subscriptionIds, null);
}
