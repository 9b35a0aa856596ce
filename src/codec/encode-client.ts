/**
 * The packets that a bridge sends in a client's role, apart from PUBLISH and its acknowledgements.
 */
import { type ConnectPacket, type ControlPacket, PacketType, type SubscriptionRequest } from '../protocol/packets.ts';
import { type ProtocolVersion, traitsOf } from '../protocol/traits.ts';
import { bridgeFlag } from './decode.ts';
import { encodeProperties, encodeVarint } from './properties.ts';

export const pingreq: Buffer = Buffer.from([PacketType.pingreq << 4, 0]);

/** Throws a RangeError if a text is longer than a packet can have it. */
export function encodeRequest(packet: ControlPacket, version: ProtocolVersion): Buffer {
  const { hasProperties } = traitsOf[version];
  const properties = hasProperties ? withLength(encodeProperties(packet.properties)) : nothing;
  switch (packet.cmd) {
    case 'connect':
      return framed(PacketType.connect << 4, encodeConnect(packet, properties));
    case 'subscribe': {
      const filters = [...packet.subscriptions].flatMap((each) => [text(each.topic), optionsOf(each, hasProperties)]);
      return framed((PacketType.subscribe << 4) | 2, [u16(packet.messageId), properties, ...filters]);
    }
    case 'unsubscribe': {
      const filters = [...packet.unsubscriptions].map(text);
      return framed((PacketType.unsubscribe << 4) | 2, [u16(packet.messageId), properties, ...filters]);
    }
    case 'disconnect':
      // Before 5.0 it says nothing but that the client goes.
      return framed(PacketType.disconnect << 4, hasProperties ? [Buffer.of(packet.reasonCode), properties] : []);
    case 'auth':
      return framed(PacketType.auth << 4, [Buffer.of(packet.reasonCode), properties]);
  }
}

/** A PUBLISH of QoS 0 that no session has: what the client itself has to tell. */
export function encodeNotice(
  { topic, payload, retain }: { readonly topic: string; readonly payload: Buffer; readonly retain: boolean },
  version: ProtocolVersion,
): Buffer {
  const properties = traitsOf[version].hasProperties ? withLength(nothing) : nothing;
  return framed((PacketType.publish << 4) | (retain ? 1 : 0), [text(topic), properties, payload]);
}

function encodeConnect(packet: ConnectPacket, properties: Buffer): Buffer[] {
  const { protocolVersion, will, username, password } = packet;
  const willFlags = will === undefined ? 0 : 4 | (will.qos << 3) | (will.retain ? 0x20 : 0);
  const flags =
    (username === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40) | willFlags | (packet.clean ? 2 : 0);
  const level = protocolVersion | (packet.isBridge === true ? bridgeFlag : 0);
  const parts = [
    text(protocolVersion === 3 ? 'MQIsdp' : 'MQTT'),
    Buffer.of(level, flags),
    u16(packet.keepalive),
    properties,
    text(packet.clientId),
  ];
  if (will !== undefined) {
    if (traitsOf[protocolVersion].hasProperties) parts.push(withLength(encodeProperties(will.properties)));
    parts.push(text(will.topic), binary(will.payload));
  }
  if (username !== undefined) parts.push(text(username));
  if (password !== undefined) parts.push(binary(password));
  return parts;
}

/** Before 5.0 there is the QoS, and nothing else. */
const optionsOf = ({ qos, nl, rap, rh }: SubscriptionRequest, hasProperties: boolean) =>
  Buffer.of(hasProperties ? qos | (nl ? 4 : 0) | (rap ? 8 : 0) | (rh << 4) : qos);

const nothing = Buffer.alloc(0);

const u16 = (value: number) => Buffer.of(value >> 8, value & 255);
const withLength = (bytes: Buffer) => Buffer.concat([encodeVarint(bytes.length), bytes]);
const text = (value: string) => binary(Buffer.from(value));

function binary(value: Uint8Array): Buffer {
  if (value.length > 65_535) throw new RangeError(`A field of ${value.length} bytes; at most 65,535 can be encoded`);
  return Buffer.concat([u16(value.length), value]);
}

function framed(header: number, parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(header), encodeVarint(body.length), body]);
}
