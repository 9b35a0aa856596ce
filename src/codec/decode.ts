/**
 * The packets a client sends, apart from PUBLISH: read strictly into the objects of `protocol/packets.ts`.
 */
import { ProtocolError } from '../protocol/errors.ts';
import {
  type AckType,
  type AuthPacket,
  type ConnectPacket,
  type ControlPacket,
  type DisconnectPacket,
  PacketType,
  type QoS,
  type SubscribePacket,
  type SubscriptionRequest,
  type UnsubscribePacket,
  type Will,
} from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { assertTopicName } from '../protocol/topic.ts';
import { type ProtocolVersion, traitsOf } from '../protocol/traits.ts';
import { readProperties } from './properties.ts';
import { malformed, Reader, violation } from './reader.ts';
import { beginsWith, hasValidWildcardBytes } from './text.ts';

const versions: Readonly<Record<string, ReadonlyMap<number, ProtocolVersion>>> = {
  MQIsdp: new Map([[3, 3]]),
  MQTT: new Map([
    [4, 4],
    [5, 5],
  ]),
};

const dupFlag = 8;

/**
 * The packet is `bytes[start, end)` without its fixed header, whose first byte is `header`; `version` is 0 before
 * CONNECT.
 */
export function decodePacket(
  header: number,
  bytes: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion | 0,
): ControlPacket {
  const type = header >> 4;
  checkFlags(type, header & 15, version);
  switch (type) {
    case PacketType.connect:
      return decodeConnect(new Reader('CONNECT', bytes, start, end));
    case PacketType.subscribe:
      return decodeSubscribe(new Reader('SUBSCRIBE', bytes, start, end), version);
    case PacketType.unsubscribe:
      return decodeUnsubscribe(new Reader('UNSUBSCRIBE', bytes, start, end), version);
    case PacketType.disconnect:
      return decodeDisconnect(new Reader('DISCONNECT', bytes, start, end), version);
    case PacketType.auth:
      if (hasProperties(version)) return decodeAuth(new Reader('AUTH', bytes, start, end));
      throw malformed('AUTH, which exists only in 5.0');
    case 0:
      throw malformed('Packet type 0 is reserved');
    default:
      throw violation(`Packet type ${type}, which only a server sends`);
  }
}

/** PINGREQ and PINGRESP have nothing to decode. */
export function checkPing(header: number, start: number, end: number): void {
  const type = header >> 4;
  checkFlags(type, header & 15, 0);
  const name = type === PacketType.pingreq ? 'PINGREQ' : 'PINGRESP';
  if (end > start) throw malformed(`${name}: ${end - start} bytes too many at its end`);
}

/** [MQTT5 2.1.3-1] */
export function checkFlags(type: number, flags: number, version: ProtocolVersion | 0): void {
  const hasQoS1 = type === PacketType.pubrel || type === PacketType.subscribe || type === PacketType.unsubscribe;
  const isResent = hasQoS1 && (flags & dupFlag) !== 0 && version !== 0 && traitsOf[version].resendsWithDup;
  if ((isResent ? flags - dupFlag : flags) === (hasQoS1 ? 2 : 0)) return;
  throw malformed(`Packet type ${type} with flags ${flags}`);
}

export const hasProperties = (version: ProtocolVersion | 0) => version !== 0 && traitsOf[version].hasProperties;

/** Bridges set this bit of the level before 5.0: see `ConnectPacket.isBridge`. */
export const bridgeFlag = 0x80;
/** The level that they mean, where it is one that has the bit. */
const withoutBridgeFlag = (level: number) =>
  level > bridgeFlag && level < (bridgeFlag | 5) ? level - bridgeFlag : level;

/**
 * In which version's form a CONNECT is answered, whatever else it says: its own, or the nearest if that is none of
 * ours. 0 if it does not get as far as its version.
 */
export function peekProtocolVersion(bytes: Buffer, start: number, end: number): ProtocolVersion | 0 {
  if (end - start < 2) return 0;
  const levelAt = start + 2 + bytes.readUInt16BE(start);
  if (levelAt >= end) return 0;
  const name = bytes.toString('latin1', start + 2, levelAt);
  const level = bytes[levelAt]!;
  const known = Object.hasOwn(versions, name) ? versions[name]!.get(withoutBridgeFlag(level)) : undefined;
  if (known !== undefined) return known;
  // Who comes after 5.0 will know its CONNACK; all others know that of 3.1.1. [MQTT5 3.1.2-2] [MQTT3 3.1.2-2]
  return name === 'MQTT' && (level & ~bridgeFlag) >= 5 ? 5 : 4;
}

function decodeConnect(reader: Reader): ConnectPacket {
  const name = reader.text('protocol name');
  const level = reader.u8('protocol level');
  const protocolVersion = Object.hasOwn(versions, name) ? versions[name]!.get(withoutBridgeFlag(level)) : undefined;
  if (protocolVersion === undefined) {
    const what = `Protocol ${JSON.stringify(name)} level ${level}: this broker speaks MQTT 3.1, 3.1.1 and 5.0`;
    throw new ProtocolError(ReasonCode.UnsupportedProtocolVersion, what);
  }
  const traits = traitsOf[protocolVersion];
  const flags = reader.u8('connect flags');
  // [MQTT5 3.1.2-3]
  if ((flags & 1) !== 0 && traits.reservesConnectFlag) throw malformed('CONNECT with its reserved flag set');
  const hasUsername = (flags & 0x80) !== 0;
  const hasPassword = (flags & 0x40) !== 0;
  // [MQTT3 3.1.2-22]
  if (hasPassword && !hasUsername && !traits.hasProperties) throw malformed('CONNECT with a password but no user name');
  const keepalive = reader.u16('keep alive');
  const properties = traits.hasProperties ? readProperties<ConnectPacket['properties']>(reader, 'CONNECT') : {};
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw violation('CONNECT with authentication data but no method');
  }
  const packet: ConnectPacket = {
    cmd: 'connect',
    protocolVersion,
    clientId: reader.text('client identifier'),
    clean: (flags & 2) !== 0,
    keepalive,
    properties,
  };
  if (level > bridgeFlag) packet.isBridge = true;
  const will = decodeWill(reader, flags, traits.hasProperties);
  if (will !== null) packet.will = will;
  if (hasUsername) packet.username = reader.text('user name');
  if (hasPassword) packet.password = reader.binary('password');
  reader.assertEnd();
  return packet;
}

function decodeWill(reader: Reader, flags: number, withProperties: boolean): Will | null {
  const qos = (flags >> 3) & 3;
  const retain = (flags & 0x20) !== 0;
  if ((flags & 4) === 0) {
    // [MQTT5 3.1.2-11] [MQTT5 3.1.2-13]
    if (qos !== 0 || retain) throw malformed('CONNECT with will QoS or will retain but no will');
    return null;
  }
  if (qos === 3) throw malformed('CONNECT with will QoS 3'); // [MQTT5 3.1.2-12]
  const properties = withProperties ? readProperties<Will['properties']>(reader, 'will') : {};
  const topic = reader.text('will topic');
  assertTopicName(topic);
  const { responseTopic } = properties;
  if (responseTopic === '') throw violation('Response Topic of the will is empty'); // [MQTT5 4.7.3-1]
  if (/[+#]/.test(responseTopic ?? '')) throw violation('Response Topic of the will holds a wildcard');
  return { topic, payload: reader.binary('will payload'), qos: qos as QoS, retain, properties };
}

export function packetId(reader: Reader, packet: string): number {
  const id = reader.u16('packet identifier');
  if (id === 0) throw malformed(`${packet} with packet identifier 0`); // [MQTT5 2.2.1-3]
  return id;
}

function decodeSubscribe(reader: Reader, version: ProtocolVersion | 0): SubscribePacket {
  const withProperties = hasProperties(version);
  const messageId = packetId(reader, 'SUBSCRIBE');
  const properties = withProperties ? readProperties<SubscribePacket['properties']>(reader, 'SUBSCRIBE') : {};
  if (reader.remaining === 0) throw violation('SUBSCRIBE without a topic filter'); // [MQTT5 3.8.3-2]
  const subscriptions = new Rest(reader.copyRest(), readRequest);
  while (reader.remaining > 0) {
    const isShared = checkTopicFilter(reader, version);
    checkOptions(reader.u8('subscription options'), isShared, withProperties);
  }
  return { cmd: 'subscribe', messageId, subscriptions, properties };
}

/**
 * The filters of a packet, of which there may be 100,000: all are checked where they lie before any of them has an
 * effect, and each is made an object when it is its turn.
 */
class Rest<T> implements Iterable<T> {
  readonly #bytes: Buffer;
  readonly #read: (reader: Reader) => T;

  constructor(bytes: Buffer, read: (reader: Reader) => T) {
    this.#bytes = bytes;
    this.#read = read;
  }

  *[Symbol.iterator](): Generator<T> {
    const reader = new Reader('The checked packet', this.#bytes, 0, this.#bytes.length);
    while (reader.remaining > 0) yield this.#read(reader);
  }
}

const sharePrefix = Buffer.from('$share/');

/** Returns whether it is that of a shared subscription. */
function checkTopicFilter(reader: Reader, version: ProtocolVersion | 0): boolean {
  const { bytes } = reader;
  const length = reader.skipText('topic filter');
  if (length === 0) throw malformed('An empty topic filter'); // [MQTT5 4.7.3-1]
  const end = reader.at;
  const start = end - length;
  if (version !== 0 && !traitsOf[version].answersInvalidFilters && !hasValidWildcardBytes(bytes, start, end)) {
    throw violation('A topic filter with a misplaced wildcard'); // [MQTT3 4.7.1-2] [MQTT3 4.7.1-3] [MQTT3 4.8.0-1]
  }
  return beginsWith(bytes, start, end, sharePrefix);
}

function checkOptions(options: number, isShared: boolean, withProperties: boolean): void {
  // [MQTT5 3.8.3-5] [MQTT3 3.8.3-4]
  if ((options & (withProperties ? 0xc0 : 0xfc)) !== 0) throw malformed('Reserved bits in the subscription options');
  if ((options & 3) === 3) throw violation('SUBSCRIBE with QoS 3'); // [MQTT5 3.8.3.1]
  if ((options & 4) !== 0 && isShared) throw violation('No Local on a shared subscription'); // [MQTT5 3.8.3-4]
  if (((options >> 4) & 3) === 3) throw violation('Retain Handling 3');
}

function readRequest(reader: Reader): SubscriptionRequest {
  const topic = reader.text('topic filter');
  const options = reader.u8('subscription options');
  const rh = ((options >> 4) & 3) as 0 | 1 | 2;
  return { topic, qos: (options & 3) as QoS, nl: (options & 4) !== 0, rap: (options & 8) !== 0, rh };
}

const readFilter = (reader: Reader): string => reader.text('topic filter');

function decodeUnsubscribe(reader: Reader, version: ProtocolVersion | 0): UnsubscribePacket {
  const messageId = packetId(reader, 'UNSUBSCRIBE');
  const properties = hasProperties(version)
    ? readProperties<UnsubscribePacket['properties']>(reader, 'UNSUBSCRIBE')
    : {};
  if (reader.remaining === 0) throw violation('UNSUBSCRIBE without a topic filter'); // [MQTT5 3.10.3-2]
  const unsubscriptions = new Rest(reader.copyRest(), readFilter);
  while (reader.remaining > 0) checkTopicFilter(reader, version);
  return { cmd: 'unsubscribe', messageId, unsubscriptions, properties };
}

const disconnectReasons: ReadonlySet<number> = new Set([
  0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
]);
const authReasons: ReadonlySet<number> = new Set([0x18, 0x19]);

/** Reason code and properties may be left out from the end. [MQTT5 3.14.2] [MQTT5 3.15.2] */
function decodeDisconnect(reader: Reader, version: ProtocolVersion | 0): DisconnectPacket {
  if (!hasProperties(version)) reader.assertEnd();
  const reasonCode = reader.remaining === 0 ? 0 : reader.u8('reason code');
  if (!disconnectReasons.has(reasonCode)) throw violation(`DISCONNECT with reason code ${reasonCode}`);
  const properties = reader.remaining === 0 ? {} : readProperties<DisconnectPacket['properties']>(reader, 'DISCONNECT');
  reader.assertEnd();
  // It belongs to the packet, but only a server may send it: a protocol error. So there was no DISCONNECT that could
  // discard the will, which is published as after any other protocol error. [MQTT5 3.1.2-8] [MQTT5 3.14.4-3]
  if (properties.serverReference !== undefined) throw violation('DISCONNECT from a client with a Server Reference');
  return { cmd: 'disconnect', reasonCode, properties };
}

function decodeAuth(reader: Reader): AuthPacket {
  const reasonCode = reader.remaining === 0 ? 0 : reader.u8('reason code');
  const properties = reader.remaining === 0 ? {} : readProperties<AuthPacket['properties']>(reader, 'AUTH');
  reader.assertEnd();
  if (!authReasons.has(reasonCode)) throw violation(`AUTH from a client with reason code ${reasonCode}`);
  if (properties.authenticationMethod === undefined) throw violation('AUTH without an authentication method');
  return { cmd: 'auth', reasonCode, properties };
}

const answerReasons: ReadonlySet<number> = new Set([0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
const releaseReasons: ReadonlySet<number> = new Set([0x00, 0x92]);

/**
 * PUBACK, PUBREC, PUBREL or PUBCOMP, without allocating: returns packet identifier * 256 + reason code.
 * Reason string and user properties are checked and passed over.
 */
export function decodeAck(
  type: AckType,
  flags: number,
  bytes: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
): number {
  const length = end - start;
  if (flags !== (type === PacketType.pubrel ? 2 : 0)) checkFlags(type, flags, version);
  if (length < 2) throw malformed(`Packet type ${type} ends before its packet identifier`);
  const id = (bytes[start]! << 8) | bytes[start + 1]!;
  if (id === 0) throw malformed(`Packet type ${type} with packet identifier 0`);
  if (length === 2) return id << 8;
  if (!hasProperties(version)) throw malformed(`Packet type ${type} with ${length - 2} bytes too many`);
  const reasonCode = bytes[start + 2]!;
  const reasons = type === PacketType.pubrel || type === PacketType.pubcomp ? releaseReasons : answerReasons;
  if (!reasons.has(reasonCode)) throw violation(`Packet type ${type} with reason code ${reasonCode}`);
  if (length > 3) {
    const reader = new Reader('The acknowledgement', bytes, start + 3, end);
    readProperties(reader, 'acknowledgement');
    reader.assertEnd();
  }
  return (id << 8) | reasonCode;
}
