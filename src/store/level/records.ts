/**
 * What stands in the database: the keys, and each kind of value in both directions. `format` rises when any of it
 * changes.
 *
 * | key | value |
 * |---|---|
 * | `00` | format version |
 * | `01` | identity of the database: random, and never written again |
 * | `10` commit | message and session numbers given so far |
 * | `21` sid | session, its client's identity, the will while the client is connected, how far sending has got |
 * | `22` sid, filter | subscription, and whether retained messages are owed for it |
 * | `23` sid | acknowledgement floor, and what is acknowledged above it |
 * | `24` number | will of a client that is gone: when it is due, and whose it is |
 * | `25` name | note of a part of the broker, in a form of its own |
 * | `30` message | recipients, size, expiry; its content, or the number of it if it is large or shared |
 * | `31` message | content: topic, properties and payload; the number is that of the first message that has it |
 * | `32` sid, packet id | inbound QoS 2 |
 * | `33` sid, packet id | outbound QoS 2; QoS 1 after an orderly stop, and what has become a straggler |
 * | `34` sid, message | long list of subscription identifiers; the number is the session's first message with it |
 * | `40` topic | retained message |
 * | `f0` key | a record that was set aside because its value was damaged |
 *
 * Numbers in keys are big-endian, so the order of the keys is the order of the numbers. Large content stands in a
 * record of its own, so that a start need not decode it.
 *
 * Formats 2 to 5 are read as well. Format 2 has in the commit what may have been sent before, and wills of clients that
 * are gone in their sessions; it has neither progress nor owed retained messages. Before format 4 no content is shared,
 * before format 5 all subscription identifiers stand with the recipients, and before format 6 there are no notes.
 */
import type { PublishedMessage } from '../../contracts/hooks.ts';
import type { QuarantinedMessage, QuarantineEntry } from '../../contracts/pipeline.ts';
import type {
  SendingProgress,
  StoredDelivery,
  StoredPendingWill,
  StoredSending,
  StoredSession,
  StoredSubscription,
  StoredWill,
} from '../../contracts/session-store.ts';
import { Message, never, type SharedContent } from '../../protocol/message.ts';
import type { QoS } from '../../protocol/packets.ts';
import { Topic, widestTopicLimits } from '../../protocol/topic.ts';
import type { ProtocolVersion } from '../../protocol/traits.ts';
import { ByteReader, type ByteWriter, CorruptValue } from './bytes.ts';
import { readIdentity, writeIdentity } from './identity.ts';

export const format = 6;
/** Older ones cannot be read. */
export const oldestFormat = 2;

export const Prefix = {
  format: 0x00,
  identity: 0x01,
  commit: 0x10,
  session: 0x21,
  subscription: 0x22,
  floor: 0x23,
  will: 0x24,
  note: 0x25,
  message: 0x30,
  content: 0x31,
  received: 0x32,
  sending: 0x33,
  idList: 0x34,
  retained: 0x40,
  quarantine: 0x50,
  setAside: 0xf0,
} as const;

/** `prefix`, then a number of eight bytes, then whatever else makes the key. */
export function key(prefix: number, number: number, rest: Uint8Array | string = ''): Buffer {
  const tail = typeof rest === 'string' ? Buffer.from(rest) : rest;
  const bytes = Buffer.allocUnsafe(9 + tail.length);
  fillKey(bytes, prefix, number);
  bytes.set(tail, 9);
  return bytes;
}

/** The same into nine bytes that are there already. */
export function fillKey(bytes: Buffer, prefix: number, number: number): Buffer {
  bytes[0] = prefix;
  bytes.writeUInt32BE(Math.floor(number / 2 ** 32), 1);
  bytes.writeUInt32BE(number % 2 ** 32, 5);
  return bytes;
}

export const numberOf = (bytes: Buffer): number => bytes.readUInt32BE(1) * 2 ** 32 + bytes.readUInt32BE(5);
export const restOf = (bytes: Buffer): Buffer => bytes.subarray(9);
export const packetKey = (prefix: number, sid: number, packetId: number): Buffer => {
  return key(prefix, sid, Uint8Array.of(packetId >> 8, packetId & 255));
};
export function idListKey(sid: number, number: number): Buffer {
  const rest = Buffer.allocUnsafe(8);
  rest.writeUInt32BE(Math.floor(number / 2 ** 32), 0);
  rest.writeUInt32BE(number % 2 ** 32, 4);
  return key(Prefix.idList, sid, rest);
}
/** Of a note. */
export const noteKey = (name: string): Buffer => Buffer.concat([Buffer.of(Prefix.note), Buffer.from(name)]);
/** What a topic retains, into bytes that are there already: as many as the longest topic has, and one. */
export function fillTopicKey(bytes: Buffer, topic: Topic): Buffer {
  bytes[0] = Prefix.retained;
  const length = topic.bytes.copy(bytes, 1, topic.start + 2, topic.end);
  return bytes.subarray(0, 1 + length);
}

// Messages

const expiryOf = (expiresAt: number) => (expiresAt === never ? 0 : expiresAt);
const expiresAtOf = (stored: number) => (stored === 0 ? never : stored);

/** Content up to this size stands with the recipients: one record is half the work of two. */
const inlineBytesMax = 4_096;

export const isInline = (message: Message): boolean => message.size <= inlineBytesMax;

function putContent(out: ByteWriter, message: Message): void {
  out
    .u8(message.qos | (message.retain ? 4 : 0))
    .f64(expiryOf(message.expiresAt))
    .varint(message.expirySeconds + 1);
  out.binaryPart(message.topic.bytes, message.topic.start + 2, message.topic.end);
  out.binaryPart(message.bytes, message.propertiesStart, message.propertiesEnd);
  out.binaryPart(message.bytes, message.payloadStart, message.payloadEnd);
}

function takeContent(reader: ByteReader, id: number): Message {
  const flags = reader.u8();
  const expiresAt = expiresAtOf(reader.f64());
  const expirySeconds = reader.varint() - 1;
  const topic = takeTopic(reader);
  const properties = reader.binary();
  const qos = (flags & 3) as QoS;
  const message = Message.of(topic, reader.binary(), { qos, retain: (flags & 4) !== 0, properties });
  message.expiresAt = expiresAt;
  message.expirySeconds = expirySeconds;
  message.id = id;
  return message;
}

function takeTopic(reader: ByteReader): Topic {
  const name = reader.text();
  if (Buffer.byteLength(name) > widestTopicLimits.topicBytes)
    throw new CorruptValue('a topic is longer than one can be');
  return Topic.of(name);
}

/** A message by itself: a retained one, or large content. */
export function writeContent(out: ByteWriter, message: Message): Buffer {
  putContent(out.begin(), message);
  return out.finish();
}

export const readContent = (value: Buffer, id: number): Message => takeContent(new ByteReader(value), id);

/** Where the content would begin, whose first byte is smaller: the number of the content follows. */
const contentElsewhere = 128;

const [idsHere, idsElsewhere] = [8, 32];

/** A message with its recipients. */
interface MessageRecord {
  readonly message: Message;
  readonly recipients: readonly {
    readonly sid: number;
    readonly delivery: StoredDelivery;
    /** Null: its identifiers stand here. */
    readonly idList: IdListReference | null;
  }[];
  /** Null: it stands here. */
  readonly content: SharedContent | null;
}

export function writeMessage(out: ByteWriter, { message, recipients, content }: MessageRecord): Buffer {
  out.begin().varint(message.size).f64(expiryOf(message.expiresAt)).varint(recipients.length);
  for (const { sid, delivery, idList } of recipients) {
    const { qos, retain, subscriptionIds, group } = delivery;
    const ids = subscriptionIds === null ? 0 : idList === null ? idsHere : idsElsewhere;
    out.varint(sid).u8(qos | (retain ? 4 : 0) | ids | (group === null ? 0 : 16));
    if (idList !== null) out.varint(idList.number).varint(idList.length);
    else if (subscriptionIds !== null) {
      out.varint(subscriptionIds.length);
      for (const id of subscriptionIds) out.varint(id);
    }
    if (group !== null) out.text(group.name);
  }
  if (content === null) putContent(out, message);
  else if (content.number !== message.id) out.u8(contentElsewhere).varint(content.number);
  return out.finish();
}

/** One session's part in a stored message. */
export type StoredRecipient = Omit<StoredDelivery, 'message'> & {
  readonly sid: number;
  /** Where its subscription identifiers are, if they are many; then `subscriptionIds` is null. */
  readonly idList: IdListReference | null;
};

/** A list of subscription identifiers that stands in a record of its own. */
export interface IdListReference {
  /** That of the session's first message with it. */
  readonly number: number;
  /** So many identifiers. */
  readonly length: number;
}

export interface StoredMessage {
  readonly bytes: number;
  readonly expiresAt: number;
  readonly recipients: readonly StoredRecipient[];
  /** The number of the content that stands in a record of its own; null: it is here. */
  readonly contentNumber: number | null;
  /** Reads the content that is here. */
  content(): Message;
}

export function readMessage(value: Buffer, id: number): StoredMessage {
  const reader = new ByteReader(value);
  const bytes = reader.varint();
  const expiresAt = expiresAtOf(reader.f64());
  const recipients: StoredRecipient[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    const sid = reader.varint();
    const flags = reader.u8();
    const idList = (flags & idsElsewhere) === 0 ? null : { number: reader.varint(), length: reader.varint() };
    const subscriptionIds = (flags & idsHere) === 0 ? null : reader.list(() => reader.varint());
    const group = (flags & 16) === 0 ? null : { name: reader.text() };
    recipients.push({ sid, qos: (flags & 3) as QoS, retain: (flags & 4) !== 0, subscriptionIds, idList, group });
  }
  const contentNumber = takeContentNumber(reader, id);
  return { bytes, expiresAt, recipients, contentNumber, content: () => takeContent(reader, id) };
}

export function writeIdList(out: ByteWriter, ids: readonly number[]): Buffer {
  out.begin().varint(ids.length);
  for (const id of ids) out.varint(id);
  return out.finish();
}

export function readIdList(value: Buffer): readonly number[] {
  const reader = new ByteReader(value);
  return reader.list(() => reader.varint());
}

function takeContentNumber(reader: ByteReader, id: number): number | null {
  if (reader.remaining === 0) return id;
  if (reader.peek() !== contentElsewhere) return null;
  reader.u8();
  return reader.varint();
}

// Sessions

export function writeSession(out: ByteWriter, session: StoredSession): Buffer {
  const { clientId, protocolVersion, expirySeconds, disconnectedAt, will, identity, progress, hasEnded } = session;
  const flags = (will === null ? 0 : 1) | (identity === null ? 0 : 4) | (hasEnded === true ? 8 : 0);
  out.begin().text(clientId).u8(protocolVersion).varint(expirySeconds);
  out
    .u8(disconnectedAt === null ? 0 : 1)
    .f64(disconnectedAt ?? 0)
    .u8(flags | (progress === null ? 0 : 16));
  if (identity !== null) writeIdentity(out, identity, clientId);
  if (progress !== null) out.varint(progress.sentUpTo).varint(progress.nextPacketId);
  if (will !== null) putWill(out, will);
  return out.finish();
}

function putWill(out: ByteWriter, { message, delaySeconds }: StoredWill): void {
  out
    .varint(delaySeconds)
    .u8(message.qos)
    .u8(message.retain ? 1 : 0)
    .varint(message.expirySeconds + 1);
  out.text(message.topic.name).binary(message.properties).binary(message.payload);
}

function takeWill(reader: ByteReader): StoredWill {
  const delaySeconds = reader.varint();
  const qos = reader.u8() as QoS;
  const retain = reader.u8() === 1;
  const messageExpiry = reader.varint() - 1;
  const topic = takeTopic(reader);
  const properties = reader.binary();
  const message = Message.of(topic, reader.binary(), { qos, retain, properties });
  message.expirySeconds = messageExpiry;
  return { message, delaySeconds };
}

export function readSession(value: Buffer, sid: number): StoredSession {
  const reader = new ByteReader(value);
  const clientId = reader.text();
  const protocolVersion = reader.u8() as ProtocolVersion;
  const expirySeconds = reader.varint();
  const isDisconnected = reader.u8() === 1;
  const time = reader.f64();
  const flags = reader.u8();
  const identity = (flags & 4) === 0 ? null : readIdentity(reader, clientId);
  const disconnectedAt = isDisconnected ? time : null;
  const ended = (flags & 8) === 0 ? {} : { hasEnded: true };
  const progress = (flags & 16) === 0 ? null : takeProgress(reader);
  const session = { sid, clientId, protocolVersion, expirySeconds, disconnectedAt, identity, progress, ...ended };
  return { ...session, will: (flags & 1) === 0 ? null : takeWill(reader) };
}

export function writeWill(out: ByteWriter, pending: StoredPendingWill): Buffer {
  const { clientId, protocolVersion, identity, dueAt, will } = pending;
  out
    .begin()
    .text(clientId)
    .u8(protocolVersion)
    .u8((dueAt === null ? 0 : 1) | (identity === null ? 0 : 2))
    .f64(dueAt ?? 0);
  if (identity !== null) writeIdentity(out, identity, clientId);
  putWill(out, will);
  return out.finish();
}

export function readWill(value: Buffer, number: number): StoredPendingWill {
  const reader = new ByteReader(value);
  const clientId = reader.text();
  const protocolVersion = reader.u8() as ProtocolVersion;
  const flags = reader.u8();
  const time = reader.f64();
  const identity = (flags & 2) === 0 ? null : readIdentity(reader, clientId);
  const dueAt = (flags & 1) === 0 ? null : time;
  return { number, clientId, protocolVersion, identity, dueAt, will: takeWill(reader) };
}

function takeProgress(reader: ByteReader): SendingProgress {
  const sentUpTo = reader.varint();
  const nextPacketId = reader.varint();
  if (nextPacketId < 1 || nextPacketId > 65_535) throw new CorruptValue('a packet identifier is none');
  return { sentUpTo, nextPacketId };
}

export function writeSubscription(out: ByteWriter, subscription: StoredSubscription): Buffer {
  const { qos, noLocal, retainAsPublished, retainHandling, identifier, subscriberClass, owesRetained } = subscription;
  const options = qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4);
  const flags = options | (subscriberClass === null ? 0 : 64) | (owesRetained ? 128 : 0);
  out.begin().u8(flags).varint(identifier);
  return (subscriberClass === null ? out : out.text(subscriberClass)).finish();
}

export function readSubscription(value: Buffer, topicFilter: string): StoredSubscription {
  const reader = new ByteReader(value);
  const flags = reader.u8();
  return {
    topicFilter,
    qos: (flags & 3) as QoS,
    noLocal: (flags & 4) !== 0,
    retainAsPublished: (flags & 8) !== 0,
    retainHandling: ((flags >> 4) & 3) as 0 | 1 | 2,
    identifier: reader.varint(),
    subscriberClass: (flags & 64) === 0 ? null : reader.text(),
    owesRetained: (flags & 128) !== 0,
  };
}

/** Every delivery up to `floor` is done, and those in `done` above it. */
export interface Floor {
  readonly floor: number;
  readonly done: readonly number[];
}

export function writeFloor(out: ByteWriter, { floor, done }: Floor): Buffer {
  out.begin().varint(floor).varint(done.length);
  for (const id of done) out.varint(id);
  return out.finish();
}

export function readFloor(value: Buffer): Floor {
  const reader = new ByteReader(value);
  const floor = reader.varint();
  return { floor, done: reader.list(() => reader.varint()) };
}

export function writeSending(out: ByteWriter, { messageId, isReceived }: StoredSending): Buffer {
  return out
    .begin()
    .varint(messageId)
    .u8(isReceived ? 1 : 0)
    .finish();
}

export function readSending(value: Buffer, packetId: number): StoredSending {
  const reader = new ByteReader(value);
  return { packetId, messageId: reader.varint(), isReceived: reader.u8() === 1 };
}

// Quarantine

export function writeQuarantined(out: ByteWriter, { message, ...about }: QuarantinedMessage): Buffer {
  const { payload, correlationData, ...fields } = message;
  const described = { about, fields, correlationData: correlationData?.toString('base64') };
  return out.begin().text(JSON.stringify(described)).binary(payload).finish();
}

export function readQuarantined(value: Buffer, id: number): QuarantineEntry {
  const reader = new ByteReader(value);
  const { about, fields, correlationData } = reader.json() as {
    about: Omit<QuarantinedMessage, 'message'>;
    fields: Omit<PublishedMessage, 'payload' | 'correlationData'>;
    correlationData?: string;
  };
  const correlation = correlationData === undefined ? undefined : Buffer.from(correlationData, 'base64');
  const absent = { contentType: undefined, responseTopic: undefined, payloadFormatIndicator: undefined };
  const message = { ...absent, ...fields, correlationData: correlation, payload: reader.binary() };
  return { ...about, id, message };
}

/** A value that only says: this key is there. */
export const writeNothing = (out: ByteWriter): Buffer => out.begin().finish();

export interface Commit {
  readonly lastMessageId: number;
  readonly lastSessionId: number;
}

export function writeCommit(out: ByteWriter, { lastMessageId, lastSessionId }: Commit): Buffer {
  return out.begin().varint(lastMessageId).varint(lastSessionId).finish();
}

export function readCommit(value: Buffer): Commit {
  const reader = new ByteReader(value);
  return { lastMessageId: reader.varint(), lastSessionId: reader.varint() };
}

export function writeFormat(out: ByteWriter): Buffer {
  return out.begin().varint(format).finish();
}

export const readFormat = (value: Buffer): number => new ByteReader(value).varint();

/** `identity` is in hex. */
export function writeIdentityRecord(out: ByteWriter, identity: string): Buffer {
  return out.begin().binary(Buffer.from(identity, 'hex')).finish();
}

export const readIdentityRecord = (value: Buffer): string => new ByteReader(value).binary().toString('hex');
