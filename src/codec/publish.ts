/**
 * PUBLISH, in both directions: the packet that decides how fast a broker is, so it is decoded in place and written
 * straight into the output. Nothing is allocated per packet but what `Message.keep` is asked for.
 */
import { ProtocolError } from '../protocol/errors.ts';
import type { Message } from '../protocol/message.ts';
import type { PacketId, QoS } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { noTopic } from '../protocol/topic.ts';
import type { TopicTable } from '../protocol/topic-table.ts';
import { PropertyId } from './properties.ts';
import { malformed, violation } from './reader.ts';
import { faultOfText } from './text.ts';

/** Decodes one PUBLISH after another into the same message. */
export class PublishDecoder {
  /** What the last call read; borrowed. */
  readonly message: Message;
  packetId: PacketId = 0;
  dup = false;
  /** 0: none. */
  topicAlias = 0;
  readonly #topics: TopicTable;
  readonly #propertyBytesMax: number;
  /** It may have subscription identifiers, which are cut out as well. */
  readonly #isFromServer: boolean;

  /** `propertyBytesMax`: each property is checked at once, and a megabyte of them takes tens of milliseconds. */
  constructor(message: Message, topics: TopicTable, propertyBytesMax: number, isFromServer = false) {
    this.message = message;
    this.#topics = topics;
    this.#propertyBytesMax = propertyBytesMax;
    this.#isFromServer = isFromServer;
  }

  /** The packet is `bytes[packetStart, end)`; its fixed header ends at `start`, and its first byte is `header`. */
  decode(header: number, bytes: Buffer, packetStart: number, start: number, end: number, hasProperties: boolean): void {
    const { message } = this;
    const qos = ((header >> 1) & 3) as QoS | 3;
    if (qos === 3) throw malformed('PUBLISH with QoS 3'); // [MQTT5 3.3.1-4]
    this.dup = (header & 8) !== 0;
    if (this.dup && qos === 0) throw malformed('PUBLISH with DUP and QoS 0'); // [MQTT5 3.3.1-2]
    if (end - start < 2) throw malformed('PUBLISH ends within its topic length');

    const topicStart = start + 2;
    const topicEnd = topicStart + ((bytes[start]! << 8) | bytes[start + 1]!);
    let at = topicEnd;
    this.packetId = 0;
    if (qos > 0) {
      at += 2;
      if (at > end) throw malformed('PUBLISH ends before its packet identifier');
      this.packetId = (bytes[topicEnd]! << 8) | bytes[topicEnd + 1]!;
      if (this.packetId === 0) throw malformed('PUBLISH with packet identifier 0'); // [MQTT5 2.2.1-3]
    } else if (at > end) throw malformed('PUBLISH ends within its topic');

    message.renew();
    message.qos = qos;
    message.retain = (header & 1) !== 0;
    message.expirySeconds = -1;
    message.bytes = bytes;
    message.propertiesStart = message.propertiesEnd = at;
    const packet = message.packet!;
    packet.start = packetStart;
    packet.bodyStart = start;
    this.topicAlias = 0;
    if (hasProperties) at = this.#properties(bytes, at, end);
    message.payloadStart = at;
    message.payloadEnd = end;

    if (topicEnd > topicStart) {
      message.rename(this.#topics.intern(bytes, topicStart, topicEnd));
      const isItsOwn = this.topicAlias > 0 || message.expirySeconds >= 0 || this.#isFromServer;
      if (!isItsOwn) packet.form = hasProperties ? header | withProperties : header;
    } else if (this.topicAlias > 0) message.rename(noTopic);
    else if (hasProperties)
      throw violation('PUBLISH without topic and without topic alias'); // [MQTT5 3.3.2.1]
    else throw new ProtocolError(ReasonCode.TopicNameInvalid, 'PUBLISH without topic'); // [MQTT3 4.7.3-1]
  }

  /** Returns where the properties end. */
  #properties(bytes: Buffer, start: number, limit: number): number {
    if (start >= limit) throw malformed('PUBLISH ends before its property length');
    let at = start;
    let length = bytes[at++]!;
    if (length >= 128) {
      length = readVarint(bytes, start, limit);
      at = start + varintSize(length);
    }
    const end = at + length;
    if (end > limit) throw malformed('PUBLISH ends within its properties');
    if (length > this.#propertyBytesMax) {
      const what = `Properties of ${length} bytes in a PUBLISH are more than the ${this.#propertyBytesMax} allowed`;
      throw new ProtocolError(ReasonCode.PacketTooLarge, `${what} (limits.propertyBytes)`);
    }
    this.message.propertiesStart = at;
    this.message.propertiesEnd = end;
    if (length > 0) this.#walk(bytes, at, end);
    return end;
  }

  /** Checks each property once, and cuts out those that are this hop's business. */
  #walk(bytes: Buffer, start: number, end: number): void {
    let seen = 0;
    let isCut = false;
    let at = start;
    while (at < end) {
      const from = at;
      const id = bytes[at++]!;
      switch (id) {
        case PropertyId.payloadFormatIndicator:
          if (at >= end) throw malformed('PUBLISH ends within a property');
          if (bytes[at++]! > 1) throw violation('Payload Format Indicator is neither 0 nor 1');
          break;
        case PropertyId.messageExpiryInterval:
          if (at + 4 > end) throw malformed('PUBLISH ends within a property');
          this.message.expirySeconds = bytes.readUInt32BE(at);
          at += 4;
          break;
        case PropertyId.topicAlias:
          if (at + 2 > end) throw malformed('PUBLISH ends within a property');
          this.topicAlias = (bytes[at]! << 8) | bytes[at + 1]!;
          at += 2;
          // [MQTT5 3.3.2-8]
          if (this.topicAlias === 0) throw new ProtocolError(ReasonCode.TopicAliasInvalid, 'Topic Alias is 0');
          break;
        case PropertyId.contentType:
          at = skipString(bytes, at, end);
          break;
        case PropertyId.responseTopic:
          at = skipString(bytes, at, end);
          if (at === from + 3) throw violation('Response Topic is empty'); // [MQTT5 4.7.3-1]
          for (let i = from + 3; i < at; i++) {
            // [MQTT5 3.3.2-14]
            if (bytes[i] === 0x23 || bytes[i] === 0x2b) throw violation('Response Topic holds a wildcard');
          }
          break;
        case PropertyId.correlationData:
          if (at + 2 > end) throw malformed('PUBLISH ends within a property');
          at += 2 + ((bytes[at]! << 8) | bytes[at + 1]!);
          break;
        case PropertyId.userProperties:
          at = skipString(bytes, skipString(bytes, at, end), end);
          break;
        case PropertyId.subscriptionIdentifier:
          if (!this.#isFromServer) throw violation('PUBLISH from a client with a Subscription Identifier'); // [MQTT5 3.3.4-6]
          at = skipIdentifier(bytes, at, end);
          isCut = true;
          break;
        default:
          throw malformed(`PUBLISH with property 0x${id.toString(16)}, which it cannot have`); // [MQTT5 2.2.2.2]
      }
      if (at > end) throw malformed('PUBLISH ends within a property');
      // There may be several of either.
      if (id === PropertyId.userProperties || id === PropertyId.subscriptionIdentifier) continue;
      const bit = 1 << (id % 30); // tells the ids above apart
      if ((seen & bit) !== 0) throw violation(`PUBLISH with property 0x${id.toString(16)} twice`);
      seen |= bit;
    }
    if (isCut || this.topicAlias > 0 || this.message.expirySeconds >= 0) this.#cutOut(start, end);
  }

  /** Leaves the message without what each receiver gets anew (`isOfThisHop`), in otherwise the same order. */
  #cutOut(start: number, end: number): void {
    const message = this.message;
    const { bytes } = message;
    // Within the packet itself: what is kept moves towards the end, over what is not.
    let write = end;
    const kept: number[] = [];
    for (let at = start; at < end; ) {
      const next = propertyEnd(bytes, at);
      const id = bytes[at]!;
      if (!isOfThisHop(id)) kept.push(at, next);
      at = next;
    }
    for (let i = kept.length - 2; i >= 0; i -= 2) {
      const length = kept[i + 1]! - kept[i]!;
      write -= length;
      bytes.copyWithin(write, kept[i]!, kept[i + 1]!);
    }
    message.cutProperties(write);
  }
}

const isOfThisHop = (id: number) =>
  id === PropertyId.topicAlias || id === PropertyId.messageExpiryInterval || id === PropertyId.subscriptionIdentifier;

/** The end of a property that has been checked before. */
export function propertyEnd(bytes: Buffer, at: number): number {
  const text = (from: number) => from + 2 + bytes.readUInt16BE(from);
  switch (bytes[at]) {
    case PropertyId.payloadFormatIndicator:
      return at + 2;
    case PropertyId.messageExpiryInterval:
      return at + 5;
    case PropertyId.topicAlias:
      return at + 3;
    case PropertyId.userProperties:
      return text(text(at + 1));
    case PropertyId.subscriptionIdentifier:
      at++;
      while (bytes[at]! >= 128) at++;
      return at + 1;
    default:
      return text(at + 1);
  }
}

function skipString(bytes: Buffer, at: number, end: number): number {
  if (at + 2 > end) throw malformed('PUBLISH ends within a property');
  const from = at + 2;
  const to = from + ((bytes[at]! << 8) | bytes[at + 1]!);
  if (to > end) throw malformed('PUBLISH ends within a property');
  const fault = faultOfText(bytes, from, to);
  if (fault !== null) throw malformed(`A property ${fault}`);
  return to;
}

/** Returns the end of a variable byte integer that is neither 0 nor longer than it need be. */
function skipIdentifier(bytes: Buffer, at: number, end: number): number {
  const from = at;
  while (at < end && at < from + 3 && bytes[at]! >= 128) at++;
  if (at >= end) throw malformed('PUBLISH ends within a property');
  if (bytes[at]! >= 128) throw malformed('Subscription Identifier has more than four bytes');
  if (bytes[at] !== 0) return at + 1;
  throw at === from
    ? violation('Subscription Identifier is 0')
    : malformed('Subscription Identifier is not in its shortest form');
}

/** Reads a variable byte integer of at least two bytes. [MQTT5 1.5.5] */
function readVarint(bytes: Buffer, start: number, end: number): number {
  let value = 0;
  for (let i = 0; i < 4; i++) {
    if (start + i >= end) throw malformed('PUBLISH ends within its property length');
    const byte = bytes[start + i]!;
    value += (byte & 127) * 128 ** i;
    if (byte < 128) {
      if (i > 0 && byte === 0) throw malformed('Property length is not in its shortest form'); // [MQTT5 1.5.5-1]
      return value;
    }
  }
  throw malformed('Property length has more than four bytes');
}

export const varintSize = (value: number): number => (value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4);

export function writeVarint(out: Uint8Array, at: number, value: number): number {
  while (value >= 128) {
    out[at++] = (value & 127) | 128;
    value >>>= 7;
  }
  out[at++] = value;
  return at;
}

/** How one PUBLISH leaves: everything about it that is not the message's own. Filled anew for each. */
export interface PublishHeader {
  qos: QoS;
  retain: boolean;
  dup: boolean;
  /** 0 with QoS 0. */
  packetId: PacketId;
  /** False before 5.0; then the rest is ignored. */
  hasProperties: boolean;
  /** Seconds left; -1: none was set. [MQTT5 3.3.2-6] */
  expirySeconds: number;
  subscriptionIds: readonly number[] | null;
  /** 0: none. */
  topicAlias: number;
  /** False where the receiver knows the alias: the topic is then left empty. */
  hasTopic: boolean;
}

function propertiesSize(message: Message, header: PublishHeader): number {
  let size = message.propertiesEnd - message.propertiesStart;
  if (header.expirySeconds >= 0) size += 5;
  if (header.topicAlias > 0) size += 3;
  if (header.subscriptionIds !== null) {
    for (let i = 0; i < header.subscriptionIds.length; i++) size += 1 + varintSize(header.subscriptionIds[i]!);
  }
  return size;
}

/** Bytes of the packet after its fixed header. */
export function publishRemainingLength(message: Message, header: PublishHeader): number {
  let length = message.payloadEnd - message.payloadStart;
  length += header.hasTopic ? message.topic.encodedBytes : 2;
  if (header.qos > 0) length += 2;
  if (header.hasProperties) {
    const size = propertiesSize(message, header);
    length += varintSize(size) + size;
  }
  return length;
}

const withProperties = 256;

/**
 * Packets of the same form and message are the same, byte by byte, but for the packet identifier. -1 for one that is
 * like no other.
 */
export function formOf(header: PublishHeader): number {
  const { qos, retain, dup, hasProperties, expirySeconds, subscriptionIds, topicAlias, hasTopic } = header;
  if (subscriptionIds !== null || topicAlias !== 0 || !hasTopic || expirySeconds >= 0) return -1;
  return firstByte(qos, retain, dup) | (hasProperties ? withProperties : 0);
}

function firstByte(qos: QoS, retain: boolean, dup: boolean): number {
  return 0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
}

/** The whole packet, as it counts for the receiver's Maximum Packet Size. [MQTT5 3.1.2-24] */
export function publishBytes(message: Message, header: PublishHeader): number {
  const remaining = publishRemainingLength(message, header);
  return 1 + varintSize(remaining) + remaining;
}

/**
 * Writes the packet, whose remaining length is `remaining`, at `out[at]`; returns where it ends. The caller made room.
 */
export function writePublish(
  out: Buffer,
  at: number,
  message: Message,
  header: PublishHeader,
  remaining: number,
): number {
  out[at++] = firstByte(header.qos, header.retain, header.dup);
  at = writeVarint(out, at, remaining);
  if (header.hasTopic) {
    const { topic } = message;
    at = copyBytes(topic.bytes, topic.start, topic.end, out, at);
  } else {
    out[at++] = 0;
    out[at++] = 0;
  }
  if (header.qos > 0) {
    out[at++] = header.packetId >> 8;
    out[at++] = header.packetId & 255;
  }
  if (header.hasProperties) at = writeProperties(out, at, message, header);
  return copyBytes(message.bytes, message.payloadStart, message.payloadEnd, out, at);
}

/**
 * The PUBLISH that was written last, so that the next subscriber of the same message gets a copy instead of an
 * encoding. It stays where it was written; whoever owns that memory says by `generation` when it may have been written
 * over.
 */
export class LastPublish {
  #message: Message | null = null;
  #serial = 0;
  /** NaN while nothing is remembered: it equals nothing. */
  #flags = Number.NaN;
  #expirySeconds = -1;
  #generation = 0;
  #chunk: Buffer | null = null;
  #start = 0;
  #end = 0;
  /** Made for the first copy. */
  #packet: Uint8Array | null = null;

  /** As `writePublish`; or returns 0 if it is not the one that was written last. */
  copy(
    out: Buffer,
    at: number,
    message: Message,
    header: PublishHeader,
    remaining: number,
    generation: number,
  ): number {
    if (
      message !== this.#message ||
      message.serial !== this.#serial ||
      generation !== this.#generation ||
      flagsOf(header) !== this.#flags ||
      header.expirySeconds !== this.#expirySeconds
    ) {
      return 0;
    }
    this.#packet ??= this.#chunk!.subarray(this.#start, this.#end);
    out.set(this.#packet, at);
    if (header.qos > 0) {
      const idAt = at + 1 + varintSize(remaining) + message.topic.encodedBytes;
      out[idAt] = header.packetId >> 8;
      out[idAt + 1] = header.packetId & 255;
    }
    return at + this.#end - this.#start;
  }

  /** It was just written at `chunk[start, end)`. */
  remember(
    chunk: Buffer,
    start: number,
    end: number,
    message: Message,
    header: PublishHeader,
    generation: number,
  ): void {
    if (message !== this.#message || message.serial !== this.#serial) {
      // Most messages have one subscriber: from the second one on it is worth the trouble.
      this.#message = message;
      this.#serial = message.serial;
      this.#flags = Number.NaN;
      return;
    }
    this.#flags = flagsOf(header);
    this.#expirySeconds = header.expirySeconds;
    this.#generation = generation;
    this.#chunk = chunk;
    this.#start = start;
    this.#end = end;
    this.#packet = null;
  }
}

/** What makes two packets of one message differ. NaN, which equals nothing, for what only one subscriber has. */
function flagsOf({ qos, retain, dup, hasProperties, subscriptionIds, topicAlias, hasTopic }: PublishHeader): number {
  if (subscriptionIds !== null || topicAlias !== 0 || !hasTopic) return Number.NaN;
  return qos | (retain ? 4 : 0) | (dup ? 8 : 0) | (hasProperties ? 16 : 0);
}

function writeProperties(out: Buffer, at: number, message: Message, header: PublishHeader): number {
  at = writeVarint(out, at, propertiesSize(message, header));
  at = copyBytes(message.bytes, message.propertiesStart, message.propertiesEnd, out, at);
  if (header.expirySeconds >= 0) {
    out[at++] = PropertyId.messageExpiryInterval;
    at = out.writeUInt32BE(header.expirySeconds, at);
  }
  if (header.topicAlias > 0) {
    out[at++] = PropertyId.topicAlias;
    out[at++] = header.topicAlias >> 8;
    out[at++] = header.topicAlias & 255;
  }
  const ids = header.subscriptionIds;
  if (ids !== null) {
    for (let i = 0; i < ids.length; i++) {
      out[at++] = PropertyId.subscriptionIdentifier;
      at = writeVarint(out, at, ids[i]!);
    }
  }
  return at;
}

/** Short runs are copied here: a native call, or the view it needs, costs more than the bytes. */
const loopBytesMax = 72;

export function copyBytes(from: Buffer, start: number, end: number, out: Buffer, at: number): number {
  if (end - start > loopBytesMax) return at + from.copy(out, at, start, end);
  let i = start;
  // Eight at a time take two thirds of the time that one at a time takes.
  for (; i + 8 <= end; i += 8, at += 8) {
    out[at] = from[i]!;
    out[at + 1] = from[i + 1]!;
    out[at + 2] = from[i + 2]!;
    out[at + 3] = from[i + 3]!;
    out[at + 4] = from[i + 4]!;
    out[at + 5] = from[i + 5]!;
    out[at + 6] = from[i + 6]!;
    out[at + 7] = from[i + 7]!;
  }
  for (; i < end; i++) out[at++] = from[i]!;
  return at;
}
