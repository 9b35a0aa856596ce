import type { Message } from '../protocol/message.ts';
import type { AckType, ControlPacket, PacketId } from '../protocol/packets.ts';

/**
 * Who gets the packets that a `Framer` finds, in their order.
 *
 * The hot packets come as bare arguments, so that nothing is allocated for them. `Packet`: the others, which are a
 * client's or a server's.
 */
export interface PacketReceiver<Packet = ControlPacket> {
  /**
   * `message` is borrowed: one object that the decoder fills again and again, over bytes that will be overwritten. Call
   * `message.keep()` for one that lasts. `topicAlias` is 0 where there is none; `message.topic` is `noTopic` where the
   * packet has an alias and no topic.
   */
  onPublish(message: Message, packetId: PacketId, dup: boolean, topicAlias: number): void;
  onAck(type: AckType, packetId: PacketId, reasonCode: number): void;
  /** PINGREQ of a client, PINGRESP of a server. */
  onPing(): void;
  onPacket(packet: Packet): void;
}

/** Says between two packets whether the next one may be handed over. */
export interface PacketGate {
  /** After each packet, whatever it was. */
  packetDone(): void;
  /** While true no further packet is handed over; the rest of the bytes is kept until `Framer.resume`. */
  readonly isParked: boolean;
}
