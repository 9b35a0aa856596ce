/**
 * The packets a server sends, apart from PUBLISH: read as strictly as those of clients, since a peer of a bridge may be
 * anything.
 */
import {
  type AuthPacket,
  type ConnackPacket,
  type DisconnectPacket,
  PacketType,
  type ServerPacket,
  type SubackPacket,
} from '../protocol/packets.ts';
import { inConnack, isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import type { ProtocolVersion } from '../protocol/traits.ts';
import { checkFlags, hasProperties, packetId } from './decode.ts';
import { readProperties } from './properties.ts';
import { malformed, Reader, violation } from './reader.ts';

/** See `decodePacket`. `version`: the one of the CONNECT that was sent. */
export function decodeServerPacket(
  header: number,
  bytes: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion | 0,
): ServerPacket {
  const type = header >> 4;
  checkFlags(type, header & 15, version);
  switch (type) {
    case PacketType.connack:
      return decodeConnack(new Reader('CONNACK', bytes, start, end), version);
    case PacketType.suback:
      return decodeSuback(new Reader('SUBACK', bytes, start, end), version);
    case PacketType.unsuback:
      return decodeUnsuback(new Reader('UNSUBACK', bytes, start, end), version);
    case PacketType.disconnect:
      if (hasProperties(version)) return decodeDisconnect(new Reader('DISCONNECT', bytes, start, end));
      throw violation('DISCONNECT from a server, which exists only in 5.0');
    case PacketType.auth:
      if (hasProperties(version)) return decodeAuth(new Reader('AUTH', bytes, start, end));
      throw malformed('AUTH, which exists only in 5.0');
    case 0:
      throw malformed('Packet type 0 is reserved');
    default:
      throw violation(`Packet type ${type}, which only a client sends`);
  }
}

/** Return codes before 5.0. [MQTT3 3.2.2.3] */
const returnCodeMax = 5;

function decodeConnack(reader: Reader, version: ProtocolVersion | 0): ConnackPacket {
  const flags = reader.u8('acknowledge flags');
  if (flags > 1) throw malformed('CONNACK with reserved acknowledge flags'); // [MQTT5 3.2.2-1]
  const reasonCode = reader.u8('reason code');
  const sessionPresent = flags === 1;
  // [MQTT5 3.2.2-6]
  if (sessionPresent && reasonCode !== 0) throw violation('CONNACK that refuses, with Session Present');
  // Who does not know 5.0 refuses in the form, and with the codes, of an older version.
  const isOld = !hasProperties(version) || (reasonCode !== 0 && reader.remaining === 0);
  const isKnown = isOld ? reasonCode <= returnCodeMax || isFailure(reasonCode) : isConnackCode(reasonCode);
  if (!isKnown) throw violation(`CONNACK with reason code ${reasonCode}`);
  const properties = isOld ? {} : readProperties<ConnackPacket['properties']>(reader, 'CONNACK');
  reader.assertEnd();
  const { maximumQoS } = properties;
  if (maximumQoS !== undefined && maximumQoS > 1) throw violation(`CONNACK with Maximum QoS ${maximumQoS}`);
  return { cmd: 'connack', sessionPresent, reasonCode, properties };
}

const isConnackCode = (code: number) => code === ReasonCode.Success || inConnack.has(code);

const subackCodes: ReadonlySet<number> = new Set([0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]);
/** [MQTT3 3.9.3-2] */
const oldSubackCodes: ReadonlySet<number> = new Set([0, 1, 2, 0x80]);
const unsubackCodes: ReadonlySet<number> = new Set([0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91]);

function decodeSuback(reader: Reader, version: ProtocolVersion | 0): SubackPacket {
  const messageId = packetId(reader, 'SUBACK');
  const isNew = hasProperties(version);
  const properties = isNew ? readProperties<SubackPacket['properties']>(reader, 'SUBACK') : {};
  if (reader.remaining === 0) throw malformed('SUBACK without a reason code');
  const granted = codesOf(reader, 'SUBACK', isNew ? subackCodes : oldSubackCodes);
  return { cmd: 'suback', messageId, granted, properties };
}

function decodeUnsuback(reader: Reader, version: ProtocolVersion | 0): SubackPacket {
  const messageId = packetId(reader, 'UNSUBACK');
  if (!hasProperties(version)) {
    reader.assertEnd();
    return { cmd: 'unsuback', messageId, granted: [], properties: {} };
  }
  const properties = readProperties<SubackPacket['properties']>(reader, 'UNSUBACK');
  return { cmd: 'unsuback', messageId, granted: codesOf(reader, 'UNSUBACK', unsubackCodes), properties };
}

function codesOf(reader: Reader, packet: string, known: ReadonlySet<number>): number[] {
  const codes = [...reader.copyRest()];
  const unknown = codes.find((code) => !known.has(code));
  if (unknown !== undefined) throw violation(`${packet} with reason code ${unknown}`);
  return codes;
}

/** [MQTT5 3.14.2.1] */
const disconnectReasons: ReadonlySet<number> = new Set([
  ...[0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98],
  ...[0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2],
]);

function decodeDisconnect(reader: Reader): DisconnectPacket {
  const reasonCode = reader.remaining === 0 ? 0 : reader.u8('reason code');
  if (!disconnectReasons.has(reasonCode)) throw violation(`DISCONNECT with reason code ${reasonCode}`);
  const properties = reader.remaining === 0 ? {} : readProperties<DisconnectPacket['properties']>(reader, 'DISCONNECT');
  reader.assertEnd();
  // [MQTT5 3.14.2-2]
  if (properties.sessionExpiryInterval !== undefined) throw violation('DISCONNECT of a server with a session expiry');
  return { cmd: 'disconnect', reasonCode, properties };
}

const authReasons: ReadonlySet<number> = new Set([0x00, 0x18]);

function decodeAuth(reader: Reader): AuthPacket {
  const reasonCode = reader.remaining === 0 ? 0 : reader.u8('reason code');
  const properties = reader.remaining === 0 ? {} : readProperties<AuthPacket['properties']>(reader, 'AUTH');
  reader.assertEnd();
  if (!authReasons.has(reasonCode)) throw violation(`AUTH from a server with reason code ${reasonCode}`);
  return { cmd: 'auth', reasonCode, properties };
}
