/**
 * The packets the broker sends, apart from PUBLISH.
 *
 * Written by hand over the table in `properties.ts`: mqtt-packet's generator would need user properties as an object,
 * which loses their order, and is the oracle that the tests compare this with.
 */
import { type AckType, type PacketId, PacketType, type ServerPacket } from '../protocol/packets.ts';
import { type ProtocolVersion, traitsOf } from '../protocol/traits.ts';
import { encodeProperties, encodeVarint } from './properties.ts';
import { varintSize, writeVarint } from './publish.ts';

export const pingresp: Buffer = Buffer.from([PacketType.pingresp << 4, 0]);

export function encodeAnswer(packet: ServerPacket, version: ProtocolVersion): Buffer {
  const { hasProperties } = traitsOf[version];
  const properties = hasProperties ? withLength(encodeProperties(packet.properties)) : nothing;
  switch (packet.cmd) {
    case 'connack': {
      // 3.1 has no Session Present flag: its first byte is reserved.
      const hasSession = packet.sessionPresent && version !== 3;
      return framed(PacketType.connack, [Number(hasSession), packet.reasonCode], properties, nothing);
    }
    case 'suback':
      return framed(PacketType.suback, identifier(packet.messageId), properties, packet.granted);
    case 'unsuback': {
      const codes = hasProperties ? packet.granted : nothing;
      return framed(PacketType.unsuback, identifier(packet.messageId), properties, codes);
    }
    case 'disconnect':
      return framed(PacketType.disconnect, [packet.reasonCode], properties, nothing);
    case 'auth':
      return framed(PacketType.auth, [packet.reasonCode], properties, nothing);
  }
}

/** Without reason string and user properties, which are not welcome everywhere. [MQTT5 3.1.2-29] [MQTT5 3.14.2-3] */
export function withoutExplanations(packet: ServerPacket): ServerPacket {
  const { reasonString: _, userProperties: __, ...properties } = packet.properties;
  return { ...packet, properties } as ServerPacket;
}

type Bytes = ArrayLike<number>;
const nothing: Bytes = [];

const identifier = (id: PacketId) => [id >> 8, id & 255];

const withLength = (properties: Buffer) =>
  properties.length === 0 ? [0] : Buffer.concat([encodeVarint(properties.length), properties]);

/** In one buffer: a CONNACK is made for each client that comes, and tens of thousands may come at once. */
function framed(type: number, head: Bytes, properties: Bytes, codes: Bytes): Buffer {
  const length = head.length + properties.length + codes.length;
  const out = Buffer.allocUnsafe(1 + varintSize(length) + length);
  out[0] = type << 4;
  const at = writeVarint(out, 1, length);
  out.set(head, at);
  if (properties.length > 0) out.set(properties, at + head.length);
  if (codes.length > 0) out.set(codes, at + head.length + properties.length);
  return out;
}

/** How long `encodeAck` makes it. */
export function ackBytes(reasonCode: number, version: ProtocolVersion): number {
  return reasonCode !== 0 && traitsOf[version].hasProperties ? 5 : 4;
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP at `out[at]`; returns where it ends. Success is left out. */
export function encodeAck(
  out: Uint8Array,
  at: number,
  type: AckType,
  packetId: PacketId,
  reasonCode: number,
  version: ProtocolVersion,
): number {
  const hasReason = ackBytes(reasonCode, version) === 5;
  out[at] = (type << 4) | (type === PacketType.pubrel ? 2 : 0);
  out[at + 1] = hasReason ? 3 : 2;
  out[at + 2] = packetId >> 8;
  out[at + 3] = packetId & 255;
  if (!hasReason) return at + 4;
  out[at + 4] = reasonCode;
  return at + 5;
}

/** The same in 5.0 with a reason string, for the few that deserve one. */
export function encodeRefusal(type: AckType, packetId: PacketId, reasonCode: number, reasonString: string): Buffer {
  const properties = withLength(encodeProperties({ reasonString }));
  return framed(type, identifier(packetId), Buffer.of(reasonCode), properties);
}
