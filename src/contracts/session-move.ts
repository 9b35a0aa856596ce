/**
 * A session on its way from one node to another: as its client is connected to neither, or as a node that has died has
 * left it behind.
 */
import type { PacketId } from '../protocol/packets.ts';
import type { StoredDelivery, StoredSession, StoredSubscription } from './session-store.ts';

export interface MovedSending {
  readonly packetId: PacketId;
  /** QoS 2: PUBREC came, only PUBREL is to be sent. */
  readonly isReceived: boolean;
  readonly delivery: StoredDelivery;
}

export interface MovedSession {
  readonly session: Omit<StoredSession, 'sid'>;
  readonly subscriptions: readonly StoredSubscription[];
  /** In sending order. */
  readonly sendings: readonly MovedSending[];
  /** QoS 2 messages of the client that are not released. */
  readonly received: readonly PacketId[];
  /** What waits, in order. */
  readonly queue: readonly StoredDelivery[];
}

/** As it is now, at this node. */
export interface ExportedSession extends MovedSession {
  /** The number of the last message that it was given. */
  readonly lastMessageId: number;
}
