/**
 * What the core has, for whoever looks: counts, and walks for lists that are read page by page (see `Pages`). Looking
 * changes nothing, and each step of a walk is a look at one session, subscription or node.
 */
import type { Walk } from '../base/pages.ts';
import type { QueuedView, RetainedView, SessionView, SubscriptionView } from '../contracts/views.ts';
import { type Message, never } from '../protocol/message.ts';
import { type ClientSession, neverExpires } from './client-session.ts';
import type { CoreParts } from './parts.ts';
import type { Session } from './session.ts';
import type { Subscription } from './subscription.ts';

export class CoreView {
  readonly #parts: CoreParts;

  constructor(parts: CoreParts) {
    this.#parts = parts;
  }

  /** Sessions of clients: those of the program within this process do not count. */
  get sessionCount(): number {
    return this.#parts.directory.size;
  }

  /** Of these, the ones whose clients are connected. */
  get connectedCount(): number {
    return this.#parts.directory.connected;
  }

  get subscriptionCount(): number {
    return this.#parts.router.subscriptionCount;
  }

  /** Groups of shared subscriptions. */
  get sharedGroupCount(): number {
    return this.#parts.router.sharedGroupCount;
  }

  /** Those below $SYS included. */
  get retainedCount(): number {
    return this.#parts.retained.count;
  }

  /** Payloads, properties and topics of retained messages. */
  get retainedBytes(): number {
    return this.#parts.retained.messageBytes;
  }

  /** Wills of clients that are gone, which wait or are on their way. */
  get pendingWillCount(): number {
    return this.#parts.wills.count;
  }

  /** In the queues of all sessions, in memory and on disk. */
  get queuedMessages(): number {
    return this.#parts.queued.messages;
  }

  get queuedBytes(): number {
    return this.#parts.queued.bytes;
  }

  /** What remembered routes take, about. `Core.forgetRoutes` frees it. */
  get routeBytes(): number {
    return this.#parts.router.rememberedBytes;
  }

  /** What subscriptions of sessions that have ended still take in the router, about. */
  get removedSubscriptionBytes(): number {
    return this.#parts.router.remainsBytes;
  }

  /** In no particular order. */
  *sessions(): Walk<SessionView> {
    for (const session of this.#parts.directory) yield sessionView(session);
  }

  /** By session, and of each in the order in which they were made. */
  *subscriptions(): Walk<SubscriptionView> {
    for (const session of this.#parts.directory) {
      if (session.subscriptionCount === 0) yield null;
      else for (const each of session.subscriptions.values()) yield subscriptionView(each);
    }
  }

  /** In no particular order; those below `$` come last. */
  *retained(): Walk<RetainedView> {
    const all = this.#parts.retained[Symbol.iterator]();
    const walk = { stepsLeft: 0 };
    while (!all.isDone) {
      walk.stepsLeft = 1;
      const message = all.take(walk);
      yield message === null ? null : retainedView(message);
    }
  }

  /**
   * What waits for a session, in order: what is in memory as it was when the walk began, and then what is on disk. Of
   * that, the store is not asked for more than it has at hand.
   */
  *queue(ofSession: ClientSession): Walk<QueuedView> {
    const session = ofSession as Session;
    const { store } = this.#parts;
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

function subscriptionView(subscription: Subscription): SubscriptionView {
  const { session, topicFilter, qos, noLocal, retainAsPublished, retainHandling, identifier } = subscription;
  const options = { qos, noLocal, retainAsPublished, retainHandling };
  return { clientId: session.clientId, topicFilter, ...options, identifier: identifier === 0 ? null : identifier };
}

const retainedView = ({ topic, qos, payloadBytes, expiresAt }: Message): RetainedView => {
  return { topic: topic.name, qos, payloadBytes, expiresAt: timeOf(expiresAt) };
};

const timeOf = (expiresAt: number) => (expiresAt === never ? null : expiresAt);
