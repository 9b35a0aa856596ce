import type { Share } from '../base/scheduler.ts';
import type { PublishHeader } from '../codec/publish.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { Obstacle } from '../core/sink.ts';
import type { Message } from '../protocol/message.ts';
import type { AckType, PacketId, QoS } from '../protocol/packets.ts';
import type { Topic } from '../protocol/topic.ts';
import type { Blamable } from './boundary.ts';
import type { MountPoint } from './mount-point.ts';

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
  /** Why a PUBLISH like this may not be sent to the peer; null: it may. */
  obstacle(message: Message, header: PublishHeader): Obstacle | null;
  /** Absent or null: the peer names topics as the broker does. */
  readonly mountPoint?: MountPoint | null;
  /** The session has let go of this channel, for this reason. */
  close(reasonCode: number): void;
}

/** In words, why the topic has no name at the session's client; null: it has one. */
export function outsideMountPoint({ channel }: ClientSession, topic: Topic): string | null {
  const mountPoint = (channel as ClientChannel | null)?.mountPoint ?? null;
  if (mountPoint === null || mountPoint.has(topic)) return null;
  return `it is not below ${JSON.stringify(mountPoint.prefix)}, the mountPoint of the listener that its client came through`;
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
