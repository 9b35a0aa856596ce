/**
 * What the core has, for whoever looks: counts, and walks for lists that are read page by page (see `Pages`). Looking
 * changes nothing, and each step of a walk is a look at one session, subscription or node.
 */
import type { Walk } from '../base/pages.ts';
import type {
  InflightView,
  QueuedItem,
  QueuedLook,
  RetainedView,
  SessionDetails,
  SessionView,
  SubscriberView,
  SubscriptionView,
} from '../contracts/views.ts';
import { type Message, never } from '../protocol/message.ts';
import type { PacketId } from '../protocol/packets.ts';
import { parseFilter } from '../protocol/topic.ts';
import { type ClientSession, neverExpires, type SessionWill } from './client-session.ts';
import type { Delivery } from './delivery.ts';
import type { CoreParts } from './parts.ts';
import { Awaiting } from './send-window.ts';
import type { Session } from './session.ts';
import { SharedGroup } from './shared-group.ts';
import type { Subscription } from './subscription.ts';

/** Of the topic tree, in one look. */
const nodesPerLook = 16;

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

  /** In no particular order. A session that is not wanted costs a look. */
  *sessions(isWanted: (session: ClientSession) => boolean = () => true): Walk<SessionView> {
    for (const session of this.#parts.directory) yield isWanted(session) ? sessionView(session) : null;
  }

  session(session: ClientSession): SessionView {
    return sessionView(session as Session);
  }

  /** What its client left to the core: its will, and what is in flight. */
  details(ofSession: ClientSession): SessionDetails {
    const session = ofSession as Session;
    const { clientId, identity, receivedCount, disconnectReason } = session;
    const will = session.will ?? this.#parts.wills.waitingOf(clientId) ?? null;
    return {
      ...sessionView(session),
      groups: identity?.groups ?? [],
      receivedInFlight: receivedCount,
      will: will === null ? null : willView(will),
      disconnectReason,
    };
  }

  /** By session, and of each in the order in which they were made. */
  *subscriptions(): Walk<SubscriptionView> {
    for (const session of this.#parts.directory) {
      if (session.subscriptionCount === 0) yield null;
      else yield* this.subscriptionsOf(session);
    }
  }

  /** `topicFilter`: the one with just this filter; null: all. */
  *subscriptionsOf(ofSession: ClientSession, topicFilter: string | null = null): Generator<SubscriptionView, void> {
    const session = ofSession as Session;
    if (session.subscriptionCount === 0) return;
    if (topicFilter === null) for (const each of session.subscriptions.values()) yield subscriptionView(each);
    else {
      const subscription = session.subscriptions.get(topicFilter);
      if (subscription !== undefined) yield subscriptionView(subscription);
    }
  }

  /** Those with just this filter, as their clients wrote it. */
  *subscriptionsWith(topicFilter: string): Walk<SubscriptionView> {
    const parsed = parseFilter(topicFilter);
    if (parsed === null) return;
    for (const each of this.#parts.router.subscriptionsWith(parsed)) {
      yield each.session.isEnded ? null : subscriptionView(each);
    }
  }

  /** Whose subscriptions a message to this topic matches, if the rules allow them to have it. */
  *subscribers(topicName: string): Walk<SubscriberView> {
    const search = this.#parts.router.searchMatching();
    search.begin(topicName);
    const found: (Subscription | SharedGroup)[] = [];
    for (let hasMore = true; hasMore; ) {
      found.length = 0;
      hasMore = search.step(nodesPerLook, found);
      if (found.length === 0) yield null;
      for (const item of found) {
        for (const each of item instanceof SharedGroup ? item.members : [item]) {
          yield mayReceive(each.session, topicName) ? subscriberView(each) : null;
        }
      }
    }
  }

  /** In no particular order; those below `$` come last. `topicFilter`: those that it matches, null: all. */
  *retained(topicFilter: string | null = null): Walk<RetainedView> {
    const { retained } = this.#parts;
    const all = topicFilter === null ? retained[Symbol.iterator]() : retained.match(topicFilter);
    const walk = { stepsLeft: 0 };
    while (!all.isDone) {
      walk.stepsLeft = 1;
      const message = all.take(walk);
      yield message === null ? null : retainedView(message);
    }
  }

  /** In flight to the client, in the order of sending, as it was when the walk began; and then from it. */
  *inFlight(ofSession: ClientSession): Walk<InflightView> {
    const session = ofSession as Session;
    const { window } = session;
    const received = session.receivedCount === 0 ? [] : [...session.received];
    for (const packetId of [...window]) {
      const awaiting = window.awaiting(packetId);
      if (awaiting === Awaiting.nothing) yield null;
      else yield sentView(packetId, awaiting, window.delivery(packetId));
    }
    for (const packetId of received) {
      if (session.receivedCount === 0 || !session.received.has(packetId)) yield null;
      else yield { direction: 'fromClient', packetId, awaits: 'pubrel', qos: 2, ...withoutMessage };
    }
  }

  /**
   * What waits for a session, in order: what is in memory as it was when the walk began, and then what is on disk. Of
   * that, the store is not asked for more than it has at hand: see `lookAtQueue`.
   */
  *queue(ofSession: ClientSession): Walk<QueuedItem> {
    const session = ofSession as Session;
    const { store } = this.#parts;
    const { queue, sid } = session;
    const inMemory = [...queue];
    let last = inMemory.at(-1)?.message.id ?? queue.position;
    for (const { message, qos, bytes } of inMemory) {
      const { id: messageId, topic, expiresAt } = message;
      yield { messageId, topic: topic.name, qos, bytes, expiresAt: timeOf(expiresAt) };
    }
    while (store.canPage && !session.isEnded) {
      const next = store.peekDelivery(sid, last);
      if (next === null) return;
      last = next.messageId;
      yield { messageId: last, topic: null, qos: null, bytes: next.bytes, expiresAt: timeOf(next.expiresAt) };
    }
  }

  /** Of what waits on disk behind this message number: the next ones, about as many as fit in `bytesMax`. */
  async lookAtQueue(ofSession: ClientSession, after: number, bytesMax: number): Promise<QueuedLook[]> {
    const { sid } = ofSession as Session;
    const deliveries = await this.#parts.store.lookAtDeliveries(sid, after, bytesMax);
    return deliveries.map(({ message, qos }) => ({ messageId: message.id, topic: message.topic.name, qos }));
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

function willView({ message, delaySeconds }: SessionWill): SessionDetails['will'] {
  const { topic, qos, retain, payloadBytes } = message;
  return { topic: topic.name, qos, retain, payloadBytes, delaySeconds };
}

const withoutMessage = { topic: null, bytes: null, expiresAt: null } as const;

/** Of a session that ends with its connection, what was sent is not kept. */
function sentView(packetId: PacketId, awaiting: Awaiting, delivery: Delivery | null): InflightView {
  const awaits = awaiting === Awaiting.puback ? 'puback' : awaiting === Awaiting.pubrec ? 'pubrec' : 'pubcomp';
  const common = { direction: 'toClient', packetId, awaits, qos: awaits === 'puback' ? 1 : 2 } as const;
  if (delivery === null) return { ...common, ...withoutMessage };
  const { message, bytes } = delivery;
  return { ...common, topic: message.topic.name, bytes, expiresAt: timeOf(message.expiresAt) };
}

function subscriberView({ session, topicFilter, qos, shareName }: Subscription): SubscriberView {
  const { clientId, isConnected } = session;
  return { clientId, isConnected, topicFilter, qos, shareName };
}

const mayReceive = ({ isEnded, rights }: Session, topicName: string) =>
  !isEnded && rights?.receive(topicName) !== false;

function subscriptionView(subscription: Subscription): SubscriptionView {
  const { session, topicFilter, qos, noLocal, retainAsPublished, retainHandling, identifier } = subscription;
  const options = { qos, noLocal, retainAsPublished, retainHandling };
  return { clientId: session.clientId, topicFilter, ...options, identifier: identifier === 0 ? null : identifier };
}

const retainedView = ({ topic, qos, payloadBytes, expiresAt }: Message): RetainedView => {
  return { topic: topic.name, qos, payloadBytes, expiresAt: timeOf(expiresAt) };
};

const timeOf = (expiresAt: number) => (expiresAt === never ? null : expiresAt);
