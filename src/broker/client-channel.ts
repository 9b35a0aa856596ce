import type { Share } from '../base/scheduler.ts';
import type { PublishHeader } from '../codec/publish.ts';
import type { Message } from '../protocol/message.ts';
import type { AckType, PacketId, QoS } from '../protocol/packets.ts';
import type { Blamable } from './boundary.ts';

/** What a connected session hangs on: a network connection, or a client within the process. */
export interface ClientChannel extends Blamable {
  /** To whom work for this channel is charged. */
  readonly share: Share;
  /** Writes what was gathered during a round. */
  flush(): void;
  /** Acknowledgements that wait for a commit; kept by `GroupCommit`. */
  heldAnswers: number;
  /** The last batch that one of them waits for, by its number; kept by `GroupCommit`. */
  heldForBatch: number;
  sendPublish(message: Message, header: PublishHeader): void;
  sendAck(type: AckType, packetId: PacketId, reasonCode: number): void;
  /** Whether a PUBLISH like this is within the peer's Maximum Packet Size. */
  fits(message: Message, header: PublishHeader): boolean;
  /** The session has let go of this channel, for this reason. */
  close(reasonCode: number): void;
}

/** One header, filled anew for each message sent. */
export class ReusedHeader implements PublishHeader {
  qos: QoS = 0;
  retain = false;
  dup = false;
  packetId: PacketId = 0;
  hasProperties = false;
  expirySeconds = -1;
  subscriptionIds: readonly number[] | null = null;
  topicAlias = 0;
  hasTopic = true;
}
