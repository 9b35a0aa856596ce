/**
 * Cuts one connection's bytes into packets, however they are cut when they arrive.
 *
 * Packets that lie whole in the read buffer are decoded there. Only an unfinished packet is copied, and each of its
 * bytes once. The size limit is applied to the length header, before anything is buffered. [MQTT5 2.1.4]
 */

import { ChunkPool, largeChunk, largestPooledChunk } from '../base/chunk-pool.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { Message } from '../protocol/message.ts';
import { type AckType, type ControlPacket, PacketType } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { noTopic, type TopicLimits } from '../protocol/topic.ts';
import { TopicTable } from '../protocol/topic-table.ts';
import { type ProtocolVersion, traitsOf } from '../protocol/traits.ts';
import { checkPing, decodeAck, peekProtocolVersion } from './decode.ts';
import { otherProtocol } from './other-protocol.ts';
import { PublishDecoder } from './publish.ts';
import type { PacketGate, PacketReceiver } from './receiver.ts';
import { settleRuns } from './runs.ts';
import { fromClients, type PacketSource } from './source.ts';

/**
 * What all connections of a kind share: the topics, the one message that is decoded into, the limits, and whose packets
 * these are.
 */
export class PacketDecoder<Packet = ControlPacket> {
  readonly packetBytesMax: number;
  /** Of a CONNECT: nothing is known of who sends it. */
  readonly connectBytesMax: number;
  /** Of all others but PUBLISH: they are checked in one go. */
  readonly controlBytesMax: number;
  readonly topics: TopicTable;
  readonly publish: PublishDecoder;
  /** For packets that arrive in many reads. */
  readonly chunks: ChunkPool;
  readonly source: PacketSource<Packet>;

  constructor(
    limits: TopicLimits & {
      readonly packetBytes: number;
      readonly connectBytes: number;
      readonly controlBytes: number;
      readonly propertyBytes: number;
    },
    chunks = new ChunkPool(),
    source: PacketSource<Packet> = fromClients as PacketSource<never>,
  ) {
    this.chunks = chunks;
    this.source = source;
    this.packetBytesMax = limits.packetBytes;
    this.connectBytesMax = Math.min(limits.packetBytes, limits.connectBytes);
    this.controlBytesMax = Math.min(limits.packetBytes, limits.controlBytes);
    this.topics = new TopicTable(limits);
    const { identifiesSubscriptions } = source;
    this.publish = new PublishDecoder(
      Message.borrowed(noTopic),
      this.topics,
      limits.propertyBytes,
      identifiesSubscriptions,
    );
  }

  /** Throws a ProtocolError if a packet behind the CONNECT may not have `total` bytes. */
  checkPacketSize(total: number, type: number): void {
    if (total > this.packetBytesMax) checkSize('packet', total, this.packetBytesMax, 'limits.packetBytes');
    if (total <= this.controlBytesMax || type === PacketType.publish) return;
    checkSize('packet other than PUBLISH', total, this.controlBytesMax, 'limits.controlBytes');
  }
}

function checkSize(what: string, total: number, max: number, limit: string): void {
  if (total <= max) return;
  const message = `A ${what} of ${total} bytes is larger than the ${max} allowed (${limit})`;
  throw new ProtocolError(ReasonCode.PacketTooLarge, message);
}

/** Once a large packet has filled so much of its length, it has room for the rest. */
const filledPart = 1 / 8;

/**
 * The next room for a packet of `total` bytes (0: not known yet) of which `length` are there, for which this one is too
 * small. It grows with what has come and not with what the header promises. All of a packet is copied each time: of a
 * large one, therefore, only at the beginning.
 */
function largerRoom(room: number, length: number, total: number): number {
  if (room >= largestPooledChunk && room >= total * filledPart) return total;
  return Math.min(total, 2 * length);
}

/** First byte of every CONNECT: its flags are reserved. [MQTT5 2.1.3-1] */
const connectHeader = PacketType.connect << 4;

function checkFirstByte(bytes: Buffer, at: number, end: number): void {
  const other = otherProtocol(bytes, at, end);
  if (other === null && bytes[at]! >> 4 === PacketType.connect) return;
  const what = 'The first packet is not CONNECT';
  throw new ProtocolError(ReasonCode.ProtocolError, other === null ? what : `${what}: ${other}`);
}

/** A length header has at most this many bytes after the packet's first one. */
const lengthBytesMax = 4;

export class Framer<Packet = ControlPacket> {
  /**
   * In which version's form the client is answered: known even if the rest of its CONNECT is malformed; 0 before it.
   * Who has sent the CONNECT sets it before anything is read.
   */
  version: ProtocolVersion | 0 = 0;
  readonly #decoder: PacketDecoder<Packet>;
  readonly #receiver: PacketReceiver<Packet>;
  readonly #gate: PacketGate;
  /** The bytes of a packet that is not complete yet: `#rest[0, #restLength)`. */
  #rest: Buffer | null = null;
  #restLength = 0;
  /** What arrived while the gate was parked. */
  #parked: Buffer | null = null;
  /**
   * What is being resumed: our own bytes, so what is left of them when the gate is parked again need not be copied.
   */
  #resumed: Buffer | null = null;

  constructor(decoder: PacketDecoder<Packet>, receiver: PacketReceiver<Packet>, gate: PacketGate) {
    this.#decoder = decoder;
    this.#receiver = receiver;
    this.#gate = gate;
  }

  /** Bytes held back, by an unfinished packet or by a parked gate. */
  get heldBytes(): number {
    return this.#restLength + (this.#parked?.length ?? 0);
  }

  /** How much more memory the packet under way wants with what comes next. */
  get growth(): number {
    if (this.#rest === null) return 0;
    const total = this.#packetSize(this.#rest, 0, this.#restLength);
    const { length } = this.#rest;
    return Math.max(0, largerRoom(length, length, total) - length);
  }

  /** How much more memory all of it wants. */
  get missingBytes(): number {
    if (this.#rest === null) return 0;
    return Math.max(0, this.#packetSize(this.#rest, 0, this.#restLength) - this.#rest.length);
  }

  /** The memory that this takes: room grows ahead of what comes. */
  get footprint(): number {
    return (this.#rest?.length ?? 0) + (this.#parked?.length ?? 0);
  }

  /**
   * Hands over every packet that is complete. Throws a ProtocolError at the first one that is malformed. The bytes may
   * be changed: properties that are this hop's business are cut out of a PUBLISH in place.
   */
  push(bytes: Buffer, start: number, end: number): void {
    try {
      this.#push(bytes, start, end);
    } finally {
      settleRuns();
    }
  }

  #push(bytes: Buffer, start: number, end: number): void {
    if (this.#gate.isParked) return this.#park(bytes, start, end);
    let at = start;
    while (this.#rest !== null && at < end) {
      at = this.#complete(bytes, at, end);
      if (this.#gate.isParked) return this.#park(bytes, at, end);
    }
    while (at < end) {
      const total = this.#packetSize(bytes, at, end);
      if (total === 0 || at + total > end) return this.#hold(bytes, at, end, total);
      this.#packet(bytes, at, at + total);
      at += total;
      if (this.#gate.isParked) return this.#park(bytes, at, end);
    }
  }

  /** Hands over what arrived while the gate was parked. */
  resume(): void {
    const bytes = this.#parked;
    if (bytes === null) return;
    this.#parked = null;
    this.#resumed = bytes;
    try {
      this.push(bytes, 0, bytes.length);
    } finally {
      this.#resumed = null;
    }
  }

  /** Forgets everything: the connection is closing. */
  clear(): void {
    if (this.#rest !== null) this.#giveBack(this.#rest);
    this.#rest = this.#parked = null;
    this.#restLength = 0;
  }

  /** The size of the packet that begins at `at`, fixed header included, or 0 if its length is not complete yet. */
  #packetSize(bytes: Buffer, at: number, end: number): number {
    // Told by its first byte, so that a client of another protocol is not waited for. [MQTT5 3.1.0-1]
    if (this.version === 0 && bytes[at] !== connectHeader) checkFirstByte(bytes, at, end);
    let length = 0;
    let multiplier = 1;
    for (let i = at + 1; i < end; i++) {
      const byte = bytes[i]!;
      length += (byte & 127) * multiplier;
      if (byte < 128) {
        if (byte === 0 && multiplier > 1) {
          throw new ProtocolError(ReasonCode.MalformedPacket, 'The remaining length is not in its shortest form');
        }
        const total = i + 1 - at + length;
        this.#checkSize(total, bytes[at]! >> 4);
        return total;
      }
      if (i - at === lengthBytesMax) {
        throw new ProtocolError(ReasonCode.MalformedPacket, 'The remaining length has more than four bytes');
      }
      multiplier *= 128;
    }
    return 0;
  }

  #checkSize(total: number, type: number): void {
    const decoder = this.#decoder;
    if (this.version === 0) return checkSize('CONNECT', total, decoder.connectBytesMax, 'limits.connectBytes');
    decoder.checkPacketSize(total, type);
  }

  #hold(bytes: Buffer, at: number, end: number, total: number): void {
    const length = end - at;
    // The buffer grows with what has come, not with what the header promises.
    this.#rest = this.#take(total > 0 ? Math.min(total, Math.max(64, length * 2)) : 64);
    bytes.copy(this.#rest, 0, at, end);
    this.#restLength = length;
  }

  /** Adds to the unfinished packet what it lacks; returns where the following bytes begin. */
  #complete(bytes: Buffer, at: number, end: number): number {
    const total = this.#packetSize(this.#rest!, 0, this.#restLength);
    const wanted = total === 0 ? 1 : total - this.#restLength;
    const taken = Math.min(wanted, end - at);
    this.#append(bytes, at, at + taken, total);
    if (total > 0 && this.#restLength === total) {
      const packet = this.#rest!;
      this.#rest = null;
      this.#restLength = 0;
      if (packet.length > largestPooledChunk) Message.mayKeep(packet);
      try {
        this.#packet(packet, 0, total);
      } finally {
        settleRuns();
        this.#giveBack(packet);
      }
    } else if (total === 0 && this.#packetSize(this.#rest!, 0, this.#restLength) === this.#restLength) {
      return this.#complete(bytes, at + taken, end);
    }
    return at + taken;
  }

  #append(bytes: Buffer, from: number, to: number, total: number): void {
    const length = this.#restLength + to - from;
    if (length > this.#rest!.length) {
      const grown = this.#take(Math.max(length, largerRoom(this.#rest!.length, length, total)));
      this.#rest!.copy(grown, 0, 0, this.#restLength);
      this.#giveBack(this.#rest!);
      this.#rest = grown;
    }
    bytes.copy(this.#rest!, this.#restLength, from, to);
    this.#restLength = length;
  }

  #take(bytes: number): Buffer {
    return bytes > largeChunk ? this.#decoder.chunks.take(bytes) : Buffer.allocUnsafeSlow(bytes);
  }

  /** Like the bytes of a read, those of a packet are its receiver's only until it returns. */
  #giveBack(room: Buffer): void {
    if (room.length > largeChunk) this.#decoder.chunks.giveBack(room);
  }

  #park(bytes: Buffer, at: number, end: number): void {
    if (at === end) return;
    const more = bytes.subarray(at, end);
    if (this.#parked !== null) this.#parked = Buffer.concat([this.#parked, more]);
    else this.#parked = bytes === this.#resumed ? more : Buffer.from(more);
  }

  /** `bytes[start, end)` is one packet with its fixed header. */
  #packet(bytes: Buffer, start: number, end: number): void {
    const header = bytes[start]!;
    let body = start + 2;
    while (bytes[body - 1]! >= 128) body++;
    const type = header >> 4;
    const { version } = this;
    if (type === PacketType.publish) {
      const publish = this.#decoder.publish;
      publish.decode(header, bytes, start, body, end, traitsOf[version as ProtocolVersion].hasProperties);
      this.#receiver.onPublish(publish.message, publish.packetId, publish.dup, publish.topicAlias);
    } else if (type >= PacketType.puback && type <= PacketType.pubcomp) {
      const ack = decodeAck(type as AckType, header & 15, bytes, body, end, version as ProtocolVersion);
      this.#receiver.onAck(type as AckType, ack >> 8, ack & 255);
    } else if (type === this.#decoder.source.ping) {
      checkPing(header, body, end);
      this.#receiver.onPing();
    } else {
      if (type === PacketType.connect && version === 0) this.version = peekProtocolVersion(bytes, body, end);
      this.#receiver.onPacket(this.#decoder.source.decode(header, bytes, body, end, this.version));
    }
    this.#gate.packetDone();
  }
}
