/**
 * What must outlive the process: sessions, their subscriptions and queues, exchanges under way, retained messages.
 *
 * Calls stage changes and never wait; `commit` makes everything staged so far durable, all of it or nothing. One suite,
 * `test/contract/`, holds every implementation to this.
 */
import type { Message } from '../protocol/message.ts';
import type { PacketId, QoS } from '../protocol/packets.ts';
import type { ProtocolVersion } from '../protocol/traits.ts';

export interface StoredWill {
  readonly message: Message;
  readonly delaySeconds: number;
}

export interface StoredSession {
  readonly sid: number;
  readonly clientId: string;
  readonly protocolVersion: ProtocolVersion;
  readonly expirySeconds: number;
  /** When the client left, in milliseconds since the epoch; null while it is connected. */
  readonly disconnectedAt: number | null;
  readonly will: StoredWill | null;
}

export interface StoredSubscription {
  readonly topicFilter: string;
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
  readonly identifier: number;
}

export interface StoredDelivery {
  readonly message: Message;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly subscriptionIds: readonly number[] | null;
  /** The key of the shared subscription it came by, `{share name}/{filter}`, or null. */
  readonly group: string | null;
}

/** A delivery that has a packet identifier already: QoS 2 only, since QoS 1 may be sent under a new one. */
export interface StoredSending {
  readonly packetId: PacketId;
  readonly messageId: number;
  /** PUBREC came: only PUBREL is to be sent. */
  readonly isReceived: boolean;
}

/** Everything of one session, as it was committed. */
export interface RestoredSession {
  readonly session: StoredSession;
  readonly subscriptions: readonly StoredSubscription[];
  /** In message order. */
  readonly deliveries: readonly StoredDelivery[];
  /** In sending order. */
  readonly sendings: readonly StoredSending[];
  readonly received: readonly PacketId[];
}

export interface SessionStore {
  /** Once, before all else. */
  load(): Promise<{ readonly sessions: Iterable<RestoredSession>; readonly retained: Iterable<Message> }>;

  /** Numbers never given before, also before a restart. */
  nextSessionId(): number;
  nextMessageId(): number;

  putSession(session: StoredSession): void;
  /** With everything that belongs to it. */
  removeSession(sid: number): void;
  putSubscription(sid: number, subscription: StoredSubscription): void;
  removeSubscription(sid: number, topicFilter: string): void;
  /** `delivery.message` owns its bytes and has an id. */
  putDelivery(sid: number, delivery: StoredDelivery): void;
  /** The session is done with the message. May be lost in a crash: the message then comes again. */
  removeDelivery(sid: number, messageId: number): void;
  putSending(sid: number, sending: StoredSending): void;
  removeSending(sid: number, packetId: PacketId): void;
  putReceived(sid: number, packetId: PacketId): void;
  /** May be lost in a crash, like `removeDelivery` and `removeSending`. */
  removeReceived(sid: number, packetId: PacketId): void;
  putRetained(message: Message): void;
  removeRetained(topicName: string): void;

  /** Counts the changes that an answer may have to wait for: it has risen if something was staged in between. */
  readonly staged: number;
  /** Whether an answer given now would promise something that is not durable yet. */
  readonly isDurable: boolean;
  /**
   * Makes durable what is staged. `done` is called later, or at once if the store can; one commit is under way at a time,
   * and a call during one is answered after the next.
   */
  commit(done: (error: Error | null) => void): void;
  close(): Promise<void>;
}
