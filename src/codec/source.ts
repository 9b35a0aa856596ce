/**
 * Whose packets are read: those that clients send to a broker, or those that a server sends to its client, where the
 * client is a broker that bridges.
 */
import { type ControlPacket, PacketType, type ServerPacket } from '../protocol/packets.ts';
import type { ProtocolVersion } from '../protocol/traits.ts';
import { decodePacket } from './decode.ts';
import { decodeServerPacket } from './decode-server.ts';

export interface PacketSource<Packet> {
  /** The packet that only says that the other side is there. */
  readonly ping: number;
  /** Its PUBLISH may say by which subscriptions it comes. [MQTT5 3.3.4-6] */
  readonly identifiesSubscriptions: boolean;
  /** Reads any but PUBLISH, acknowledgements and that ping: see `decodePacket`. */
  decode(header: number, bytes: Buffer, start: number, end: number, version: ProtocolVersion | 0): Packet;
}

export const fromClients: PacketSource<ControlPacket> = {
  ping: PacketType.pingreq,
  identifiesSubscriptions: false,
  decode: decodePacket,
};

export const fromServer: PacketSource<ServerPacket> = {
  ping: PacketType.pingresp,
  identifiesSubscriptions: true,
  decode: decodeServerPacket,
};
