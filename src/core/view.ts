/**
 * Walks through what the core has, for lists that are read page by page: see `Pages`. They only look, and each step of
 * one is a look at one session, subscription or node.
 */
import type { Walk } from '../base/pages.ts';
import type { QueuedView, RetainedView, SessionView, SubscriptionView } from '../contracts/views.ts';
import { type Message, never } from '../protocol/message.ts';
import type { Core } from './core.ts';
import { neverExpires, type Session } from './session.ts';
import type { Subscription } from './subscription.ts';

/** In no particular order. */
export function* walkSessions({ directory }: Core): Walk<SessionView> {
  for (const session of directory) yield sessionView(session);
}

function sessionView(session: Session): SessionView {
  const { clientId, identity, traits, isConnected, disconnectedAt, expirySeconds, queue, window, will } = session;
  return {
    clientId,
    username: identity?.username ?? null,
    isConnected,
    address: identity?.remoteAddress ?? null,
    listener: identity?.listener ?? null,
    protocolVersion: traits.version,
    disconnectedAt,
    expirySeconds: expirySeconds === neverExpires ? null : expirySeconds,
    subscriptions: session.subscriptionCount,
    queuedMessages: queue.length,
    queuedBytes: queue.bytes,
    inFlight: window.count,
    hasWill: will !== null,
    memoryBytes: session.account.bytes,
  };
}

/** By session, and of each in the order in which they were made. */
export function* walkSubscriptions({ directory }: Core): Walk<SubscriptionView> {
  for (const session of directory) {
    if (session.subscriptionCount === 0) yield null;
    else for (const each of session.subscriptions.values()) yield subscriptionView(each);
  }
}

function subscriptionView(subscription: Subscription): SubscriptionView {
  const { session, topicFilter, qos, noLocal, retainAsPublished, retainHandling, identifier } = subscription;
  const options = { qos, noLocal, retainAsPublished, retainHandling };
  return { clientId: session.clientId, topicFilter, ...options, identifier: identifier === 0 ? null : identifier };
}

/** In no particular order; those below `$` come last. */
export function* walkRetained({ retained }: Core): Walk<RetainedView> {
  const all = retained[Symbol.iterator]();
  const walk = { stepsLeft: 0 };
  while (!all.isDone) {
    walk.stepsLeft = 1;
    const message = all.take(walk);
    yield message === null ? null : retainedView(message);
  }
}

const retainedView = ({ topic, qos, payloadBytes, expiresAt }: Message): RetainedView => {
  return { topic: topic.name, qos, payloadBytes, expiresAt: timeOf(expiresAt) };
};

/**
 * What waits for a session, in order: what is in memory as it was when the walk began, and then what is on disk. Of
 * that, the store is not asked for more than it has at hand.
 */
export function* walkQueue({ store }: Core, session: Session): Walk<QueuedView> {
  const { queue, sid } = session;
  const inMemory = [...queue];
  let last = inMemory.at(-1)?.message.id ?? queue.position;
  for (const { message, qos, bytes } of inMemory) {
    yield { topic: message.topic.name, qos, bytes, expiresAt: timeOf(message.expiresAt) };
  }
  while (store.canPage && !session.isEnded) {
    const next = store.peekDelivery(sid, last);
    if (next === null) return;
    last = next.messageId;
    yield { topic: null, qos: null, bytes: next.bytes, expiresAt: timeOf(next.expiresAt) };
  }
}

const timeOf = (expiresAt: number) => (expiresAt === never ? null : expiresAt);
