/**
 * What the broker sees of a session. The rest of it, its queue and window above all, is the core's.
 */
import type { Account } from '../base/ledger.ts';
import type { Rights } from '../contracts/access.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { Limits } from '../contracts/settings.ts';
import type { Message } from '../protocol/message.ts';
import type { PacketId, QoS } from '../protocol/packets.ts';
import type { Traits } from '../protocol/traits.ts';

/**
 * Begins the client identifiers of the program's own sessions. No CONNECT can have U+0000 in its own, so nobody takes
 * one over. [MQTT5 1.5.4-2]
 */
export const programPrefix = '\0';

/** Session Expiry Interval that means: never. [MQTT5 3.1.2.11.2] */
export const neverExpires = 0xffffffff;

export interface SessionWill {
  readonly message: Message;
  readonly delaySeconds: number;
}

export interface SubscriptionOptions {
  /** What is granted. */
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
  /** 0: none. */
  readonly identifier: number;
  /** Which form of a message it gets, by the name that the pipeline gave it; null: as published. */
  readonly subscriberClass: string | null;
}

/** Limits of the queue of one session, in place of those of the broker. */
export interface OwnQueueLimits extends Pick<Limits, 'queueMessages' | 'queueBytes' | 'queuePolicy'> {
  /** What reached them, in words, for reports of drops. */
  readonly text: string;
}

/** What the broker knows of one client, connected or not. [MQTT5 4.1] */
export interface ClientSession {
  readonly clientId: string;
  /** Its number in the store. */
  readonly sid: number;
  readonly traits: Traits;
  /** What the client makes the broker hold, its connection included. */
  readonly account: Account;
  /** Whose it is; null for clients within the process. */
  readonly identity: ClientIdentity | null;
  /** Null: everything is allowed. */
  readonly rights: Rights | null;
  /** The broker's connection; null while the client is away. */
  readonly channel: object | null;
  readonly isConnected: boolean;
  /** It is over, for good. */
  readonly isEnded: boolean;
  /** Its queue and exchanges are in the store. */
  readonly isPersistent: boolean;
  /** It has a record in the store. */
  readonly isStored: boolean;
  /** By topic filter. */
  readonly subscriptions: ReadonlyMap<string, SubscriptionOptions>;
  /** Packet identifiers of QoS 2 messages received and not yet released. */
  readonly received: { has(packetId: PacketId): boolean };
  /**
   * QoS 1 and 2 messages sent and not yet acknowledged; how many more may be sent; and a packet identifier that none
   * will have for long.
   */
  readonly window: { readonly count: number; readonly room: number; readonly distantId: PacketId };
  /** Messages with numbers up to this one may have been sent to it, in this run of the broker or an earlier one. */
  readonly sentUpTo: number;
  /** The number of the message that was stored for it last, in this run of the broker. */
  readonly lastMessageId: number;
  /** Messages that wait for it, and what these take: see `queuedBytes`. */
  readonly queue: { readonly length: number; readonly bytes: number };
  /** Of its queue; null: those of the broker. */
  readonly queueLimits: OwnQueueLimits | null;
  /** The largest packet that the client takes, in bytes. */
  readonly packetBytesMax: number;
  /** When its last connection was lost, in milliseconds since the epoch; null while it has one. */
  readonly disconnectedAt: number | null;
  /** Set while the client does not read what it is sent: QoS 0 is dropped then, the rest waits. */
  isCongested: boolean;
  /** QoS 0 messages that it was not given for that reason; counted by the broker. */
  lostMessages: number;
  /** How long it outlives its connection, in seconds; 0: not at all. DISCONNECT may change it. */
  expirySeconds: number;
  /** Why its last connection ended, for people; null: it is not known. Charged to its account. */
  disconnectReason: string | null;
  /** A slot for whoever notes what happens to it. */
  timeline: object | null;
}
