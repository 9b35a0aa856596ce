/**
 * Puts what another broker has kept into an empty store, as if its clients had been here: sessions with their
 * subscriptions, what waits for them or is on its way to them, and retained messages.
 */
import type { SessionStore, StoredDelivery } from '../contracts/session-store.ts';
import { Message, never } from '../protocol/message.ts';
import type { PacketId, QoS } from '../protocol/packets.ts';
import { clientPublisher } from '../protocol/publisher.ts';
import { matches, parseFilter, Topic } from '../protocol/topic.ts';
import {
  endless,
  type SavedClient,
  type SavedData,
  type SavedMessage,
  type SavedSubscription,
  type SavedUnreleased,
} from './saved.ts';

/** What came over, and what did not. */
export interface Moved {
  sessions: number;
  subscriptions: number;
  /** Messages that wait for their clients, each counted for each of these. */
  queued: number;
  /** Of these, sent already and not acknowledged. */
  inFlight: number;
  retained: number;
  /** Sessions whose time was over, or that end with their connections, as those of bridges. */
  endedSessions: number;
  /** What was for them. */
  leftBehind: number;
  /** Messages whose time was over. */
  expired: number;
}

/** Records between two commits. */
const commitRecords = 1_000;

interface Session {
  readonly sid: number;
  readonly client: SavedClient;
  readonly subscriptions: SavedSubscription[];
  readonly received: PacketId[];
  /** The number of the last message that waits for it. */
  lastMessageId: number;
  /** Of the last one that was sent. */
  sentUpTo: number;
}

interface Recipient {
  readonly session: Session;
  readonly delivery: Omit<StoredDelivery, 'message'>;
  readonly sending: { readonly packetId: PacketId; readonly isReceived: boolean } | null;
}

/** `leftAt`: when that broker stopped, in milliseconds since the epoch. */
export async function moveData(
  data: SavedData,
  store: SessionStore,
  { now, leftAt }: { readonly now: number; readonly leftAt: number },
): Promise<Moved> {
  const move = new Move(data, store, now, leftAt);
  move.plan();
  await move.write();
  return move.moved;
}

class Move {
  readonly moved: Moved = {
    ...{ sessions: 0, subscriptions: 0, queued: 0, inFlight: 0, retained: 0 },
    ...{ endedSessions: 0, leftBehind: 0, expired: 0 },
  };
  readonly #data: SavedData;
  readonly #store: SessionStore;
  readonly #now: number;
  readonly #leftAt: number;
  readonly #sessions = new Map<string, Session>();
  /** By their numbers there; null: their time is over. */
  readonly #messages = new Map<bigint, Message | null>();
  /** In the order of their numbers here. */
  readonly #recipients = new Map<Message, Recipient[]>();
  readonly #retained = new Map<string, Message>();

  constructor(data: SavedData, store: SessionStore, now: number, leftAt: number) {
    this.#data = data;
    this.#store = store;
    this.#now = now;
    this.#leftAt = leftAt;
  }

  plan(): void {
    const { clients, subscriptions, deliveries, unreleased, retained, messages } = this.#data;
    for (const client of clients) this.#planSession(client);
    for (const each of subscriptions) this.#sessions.get(each.clientId)?.subscriptions.push(each);
    const wanted = new Set([...deliveries, ...unreleased].map(({ messageId }) => messageId));
    // Queues are in the order of these numbers, nearly always.
    const inOrder = [...messages.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const each of inOrder) this.#messages.set(each.id, this.#messageOf(each, wanted.has(each.id)));
    this.#planDeliveries();
    for (const id of retained) this.#planRetained(this.#messages.get(id) ?? null);
    for (const each of unreleased) this.#release(each);
    for (const { clientId, packetId } of this.#data.received) this.#sessions.get(clientId)?.received.push(packetId);
  }

  #planSession(client: SavedClient): void {
    const { clientId, endsAt, expirySeconds } = client;
    const hasEnded = endsAt !== 0 && expirySeconds !== endless && endsAt * 1_000 <= this.#now;
    if (expirySeconds === 0 || hasEnded) return void this.moved.endedSessions++;
    const sid = this.#store.nextSessionId();
    this.#sessions.set(clientId, { sid, client, subscriptions: [], received: [], lastMessageId: 0, sentUpTo: 0 });
  }

  #messageOf(saved: SavedMessage, isWanted: boolean): Message | null {
    const expiresAt = saved.expiresAt === 0 ? never : saved.expiresAt * 1_000;
    if (expiresAt <= this.#now) return null;
    const { topic, payload, properties, qos, publisher } = saved;
    const message = Message.of(Topic.of(topic), payload, { qos, properties });
    message.expiresAt = expiresAt;
    if (expiresAt !== never) message.expirySeconds = Math.ceil((expiresAt - this.#now) / 1_000);
    message.publisher = publisher === '' ? null : clientPublisher(publisher);
    if (isWanted) message.id = this.#store.nextMessageId();
    return message;
  }

  #planDeliveries(): void {
    for (const saved of this.#data.deliveries) {
      const { clientId, messageId, packetId, qos, retain, progress, subscriptionIds } = saved;
      const session = this.#sessions.get(clientId);
      const message = this.#messages.get(messageId) ?? null;
      if (session === undefined) this.moved.leftBehind++;
      // Mosquitto does not write what is over, but may still say for whom it was.
      else if (message === null) this.moved.expired++;
      else {
        const ids = subscriptionIds.length === 0 ? null : subscriptionIds;
        const sending = progress === 'queued' ? null : { packetId, isReceived: progress === 'pubcomp' };
        this.#give(message, {
          session,
          delivery: { qos, retain, subscriptionIds: ids, group: null },
          sending,
        });
      }
    }
  }

  #give(message: Message, recipient: Recipient): void {
    const { session } = recipient;
    // A retained message that was delivered late is older than what was queued before it.
    const isInOrder = message.id > session.lastMessageId;
    const own = isInOrder ? message : message.renumbered(this.#store.nextMessageId());
    session.lastMessageId = own.id;
    if (recipient.sending !== null) session.sentUpTo = own.id;
    const others = this.#recipients.get(own);
    if (others === undefined) this.#recipients.set(own, [recipient]);
    else others.push(recipient);
    this.moved.queued++;
    if (recipient.sending !== null) this.moved.inFlight++;
  }

  #planRetained(message: Message | null): void {
    if (message === null) return void this.moved.expired++;
    const copy = message.renumbered(0, false);
    copy.retain = true;
    this.#retained.set(message.topic.name, copy);
  }

  /**
   * Others publish a message of QoS 2 when its client releases it, Sluice when it comes. So it is published now,
   * and the client's PUBREL is only answered.
   */
  #release({ clientId, messageId, packetId, retain }: SavedUnreleased): void {
    const message = this.#messages.get(messageId) ?? null;
    const publisher = this.#sessions.get(clientId);
    if (publisher === undefined) return void this.moved.leftBehind++;
    publisher.received.push(packetId);
    if (message === null) return void this.moved.expired++;
    if (retain && message.payloadBytes === 0) this.#retained.delete(message.topic.name);
    else if (retain) this.#planRetained(message);
    const isTaken = new Set<string>();
    for (const session of this.#sessions.values()) {
      const found = session.subscriptions.filter((each) => this.#takes(each, message, session === publisher, isTaken));
      const qos = Math.max(0, ...found.map((each) => Math.min(each.qos, message.qos))) as QoS;
      if (qos === 0) continue;
      const ids = found.map(({ identifier }) => identifier).filter((identifier) => identifier > 0);
      const keepsRetain = retain && found.some(({ retainAsPublished }) => retainAsPublished);
      const delivery = { qos, retain: keepsRetain, subscriptionIds: ids.length === 0 ? null : ids, group: null };
      this.#give(message, { session, delivery, sending: null });
    }
  }

  /** Of a shared subscription, the first member takes it. */
  #takes(
    { topicFilter, noLocal }: SavedSubscription,
    { topic }: Message,
    isOwn: boolean,
    isTaken: Set<string>,
  ): boolean {
    const { filter, shareName } = parseFilter(topicFilter)!;
    if (!matches(filter, topic.name) || (noLocal && isOwn)) return false;
    if (shareName === null) return true;
    if (isTaken.has(topicFilter)) return false;
    isTaken.add(topicFilter);
    return true;
  }

  async write(): Promise<void> {
    let staged = 0;
    const more = async () => {
      if (++staged % commitRecords === 0) await committed(this.#store);
    };
    for (const session of this.#sessions.values()) {
      this.#writeSession(session);
      await more();
    }
    // All recipients of a message are in one commit.
    const inOrder = [...this.#recipients].sort(([a], [b]) => a.id - b.id);
    for (const [message, recipients] of inOrder) {
      for (const { session, delivery, sending } of recipients) {
        this.#store.putDelivery(session.sid, { message, ...delivery });
        if (sending !== null) this.#store.putSending(session.sid, { ...sending, messageId: message.id });
      }
      await more();
    }
    for (const message of this.#retained.values()) {
      this.#store.putRetained(message);
      this.moved.retained++;
      await more();
    }
    await committed(this.#store);
  }

  #writeSession({ sid, client, subscriptions, received, sentUpTo }: Session): void {
    const { clientId, endsAt, expirySeconds, lastPacketId } = client;
    const leftAt = endsAt === 0 || expirySeconds === endless ? this.#leftAt : (endsAt - expirySeconds) * 1_000;
    this.#store.putSession({
      ...{ sid, clientId, expirySeconds, will: null },
      protocolVersion: expirySeconds !== endless || subscriptions.some(isOfVersion5) ? 5 : 4,
      disconnectedAt: leftAt,
      // It is not said whose a session is: whoever may connect by this identifier has it.
      identity: null,
      progress: { sentUpTo, nextPacketId: (lastPacketId % 65_535) + 1 },
    });
    for (const { clientId: _, ...subscription } of subscriptions) {
      this.#store.putSubscription(sid, { ...subscription, subscriberClass: null, owesRetained: false });
      this.moved.subscriptions++;
    }
    for (const packetId of received) this.#store.putReceived(sid, packetId);
    this.moved.sessions++;
  }
}

const isOfVersion5 = ({ identifier, noLocal, retainAsPublished, retainHandling }: SavedSubscription): boolean =>
  identifier > 0 || noLocal || retainAsPublished || retainHandling > 0;

const committed = (store: SessionStore) => new Promise<void>((resolve) => store.commit(resolve));
