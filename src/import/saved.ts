/** What another broker has kept of sessions and messages, in a form that is nobody's: see `move-data.ts`. */
import type { PacketId, QoS } from '../protocol/packets.ts';

/** A session that never ends. */
export const endless = 0xffffffff;

export interface SavedMessage {
  readonly id: bigint;
  /** Seconds since the epoch; 0: never. */
  readonly expiresAt: number;
  readonly publisher: string;
  readonly topic: string;
  readonly payload: Buffer;
  /** Without the length before them. */
  readonly properties: Buffer;
  readonly qos: QoS;
}

export interface SavedClient {
  readonly clientId: string;
  /** When its session ends, in seconds since the epoch; 0: it was connected, or the session has no end. */
  readonly endsAt: number;
  /** 0xffffffff: never; 0: with its connection, as that of a bridge. */
  readonly expirySeconds: number;
  readonly lastPacketId: PacketId;
}

/** What was sent and is not acknowledged: `puback` and so on are awaited. */
export type Progress = 'queued' | 'puback' | 'pubrec' | 'pubcomp';

export interface SavedDelivery {
  readonly clientId: string;
  readonly messageId: bigint;
  readonly packetId: PacketId;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly progress: Progress;
  readonly subscriptionIds: readonly number[];
}

/** A message of QoS 2 that a client has published and not released, which nobody has been given yet. */
export interface SavedUnreleased {
  readonly clientId: string;
  readonly messageId: bigint;
  readonly packetId: PacketId;
  readonly retain: boolean;
}

/** A packet identifier of a QoS 2 message that a client has published, and not released, and others have been given. */
export interface SavedReceived {
  readonly clientId: string;
  readonly packetId: PacketId;
}

export interface SavedSubscription {
  readonly clientId: string;
  readonly topicFilter: string;
  readonly qos: QoS;
  readonly identifier: number;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
}

export interface SavedData {
  readonly messages: ReadonlyMap<bigint, SavedMessage>;
  readonly clients: readonly SavedClient[];
  /** Those of a client in its order. */
  readonly deliveries: readonly SavedDelivery[];
  readonly unreleased: readonly SavedUnreleased[];
  readonly received: readonly SavedReceived[];
  readonly subscriptions: readonly SavedSubscription[];
  readonly retained: readonly bigint[];
}
