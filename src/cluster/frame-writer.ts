/** Makes frames: see `frame.ts`. */
import { crc32 } from 'node:zlib';
import { assert } from '../base/assert.ts';
import type { Sequence } from '../contracts/cluster-engine.ts';
import { type Message, never } from '../protocol/message.ts';
import {
  asOfBytes,
  Flag,
  FrameKind,
  frameVersion,
  headerBytes,
  lastPartBytes,
  type Origin,
  publisherBytesMax,
  publishersMax,
} from './frame.ts';

const bytesAtFirst = 4_096;
/** A buffer that one large frame has grown is not kept for small ones. */
const keptBytesMax = 1_048_576;
const counts = { publishers: 2, messages: 4 } as const;
const sharedLengthBytes = 4;

/** Bytes that grow. */
class Growing {
  bytes = Buffer.allocUnsafeSlow(bytesAtFirst);
  length = 0;

  reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(2 * this.bytes.length, this.length + more));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }

  u8(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  u16(value: number): void {
    this.reserve(2);
    this.length = this.bytes.writeUInt16BE(value, this.length);
  }

  u32(value: number): void {
    this.reserve(4);
    this.length = this.bytes.writeUInt32BE(value, this.length);
  }

  f64(value: number): void {
    this.reserve(8);
    this.length = this.bytes.writeDoubleBE(value, this.length);
  }

  part(from: Buffer, start: number, end: number): void {
    this.reserve(end - start);
    this.length += from.copy(this.bytes, this.length, start, end);
  }

  clear(): void {
    this.length = 0;
    if (this.bytes.length > keptBytesMax) this.bytes = Buffer.allocUnsafeSlow(bytesAtFirst);
  }
}

/** Collects messages until somebody takes them as a frame. */
export class FrameWriter {
  readonly #publishers = new Growing();
  readonly #numbers = new Map<string, number>();
  readonly #messages = new Growing();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** As the frame would be now. */
  get bytes(): number {
    return headerBytes + counts.publishers + this.#publishers.length + counts.messages + this.#messages.length;
  }

  /** One publisher more than a frame can name. */
  get isFull(): boolean {
    return this.#numbers.size >= publishersMax;
  }

  /** The message may be borrowed. `packetId`: of QoS 2 from a client, else 0. Returns its index. */
  add(message: Message, origin: Origin | null): number {
    const out = this.#messages;
    const { topic } = message;
    const hasExpiry = message.expiresAt !== never;
    const hasProperties = message.propertiesEnd > message.propertiesStart;
    let flags: number = message.qos;
    if (message.retain) flags |= Flag.retain;
    if (hasExpiry) flags |= Flag.expiry;
    if (origin !== null) flags |= Flag.origin;
    if (hasProperties) flags |= Flag.properties;
    out.u8(flags);
    out.part(topic.bytes, topic.start, topic.end);
    if (hasExpiry) {
      out.f64(message.expiresAt);
      out.u32(Math.max(0, message.expirySeconds));
    }
    if (origin !== null) this.#origin(origin);
    if (hasProperties) {
      out.u32(message.propertiesEnd - message.propertiesStart);
      out.part(message.bytes, message.propertiesStart, message.propertiesEnd);
    }
    out.u32(message.payloadBytes);
    out.part(message.bytes, message.payloadStart, message.payloadEnd);
    return this.#count++;
  }

  /** The exchange of this packet identifier is over. Returns its index. */
  release(origin: Origin): number {
    this.#messages.u8(Flag.release | Flag.origin);
    this.#origin(origin);
    return this.#count++;
  }

  /** Everything that was added, as a frame that owns its bytes; what is added from now on is for the next one. */
  take(kind: 'messages' | 'waiting' = 'messages'): Buffer {
    const frame = Buffer.allocUnsafeSlow(this.bytes);
    this.#takeTo(frame, headerBytes);
    return sealed(frame, FrameKind[kind]);
  }

  /** The same of what was retained once all entries up to `asOf` had been given. */
  takeRetained(asOf: Sequence): Buffer {
    const frame = Buffer.allocUnsafeSlow(this.bytes + asOfBytes);
    this.#takeTo(frame, frame.writeDoubleBE(asOf, headerBytes));
    return sealed(frame, FrameKind.retained);
  }

  /** The same of messages that go on to other members of shared subscriptions. */
  takeShared(says: Buffer): Buffer {
    const frame = Buffer.allocUnsafeSlow(this.bytes + sharedLengthBytes + says.length);
    const at = frame.writeUInt32BE(says.length, headerBytes);
    this.#takeTo(frame, at + says.copy(frame, at));
    return sealed(frame, FrameKind.shared);
  }

  #takeTo(frame: Buffer, start: number): void {
    let at = frame.writeUInt16BE(this.#numbers.size, start);
    at += this.#publishers.bytes.copy(frame, at, 0, this.#publishers.length);
    at = frame.writeUInt32BE(this.#count, at);
    this.#messages.bytes.copy(frame, at, 0, this.#messages.length);
    this.#publishers.clear();
    this.#messages.clear();
    this.#numbers.clear();
    this.#count = 0;
  }

  #origin({ publisher, packetId }: Origin): void {
    let number = this.#numbers.get(publisher);
    if (number === undefined) {
      assert(!this.isFull, `a frame names ${publishersMax} publishers at most`);
      number = this.#numbers.size;
      this.#numbers.set(publisher, number);
      putText(this.#publishers, publisher);
    }
    this.#messages.u16(number);
    this.#messages.u16(packetId);
  }
}

/** `by` tells it from one of another node that writes to the same subject. */
export function markFrame(kind: 'tick' | 'fence', by: string): Buffer {
  const text = new Growing();
  putText(text, by);
  const frame = Buffer.allocUnsafeSlow(headerBytes + text.length);
  text.bytes.copy(frame, headerBytes, 0, text.length);
  return sealed(frame, FrameKind[kind]);
}

/** The entries of a frame: itself, or parts of it, each made once the sequence of the first one is known. */
export class FrameParts {
  readonly #frame: Buffer;
  readonly #entryBytesMax: number;
  #at = 0;
  #firstPart: Sequence = 0;

  constructor(frame: Buffer, entryBytesMax: number) {
    this.#frame = frame;
    this.#entryBytesMax = entryBytesMax;
  }

  /** The entry to append next; `last` once it is the one that the frame is known by. */
  next(): { readonly entry: Buffer; readonly isLast: boolean } {
    const left = this.#frame.length - this.#at;
    const isWhole = this.#at === 0 && left <= this.#entryBytesMax;
    if (isWhole) return { entry: this.#frame, isLast: true };
    const isLast = this.#firstPart > 0 && headerBytes + lastPartBytes + left <= this.#entryBytesMax;
    const pieceAt = headerBytes + (isLast ? lastPartBytes : 0);
    // The last part is never empty.
    const length = isLast ? left : Math.min(left - 1, this.#entryBytesMax - headerBytes);
    const entry = Buffer.allocUnsafeSlow(pieceAt + length);
    if (isLast) entry.writeDoubleBE(this.#firstPart, headerBytes);
    this.#frame.copy(entry, pieceAt, this.#at, this.#at + length);
    return { entry: sealed(entry, isLast ? FrameKind.lastPart : FrameKind.part), isLast };
  }

  /** The entry that `next` gave is in the log. */
  stored(sequence: Sequence): void {
    if (this.#firstPart === 0) this.#firstPart = sequence;
    this.#at += Math.min(this.#frame.length - 1 - this.#at, this.#entryBytesMax - headerBytes);
  }
}

function putText(out: Growing, text: string): void {
  const utf8 = Buffer.from(text);
  assert(utf8.length <= publisherBytesMax, `a name in a frame has ${utf8.length} bytes`);
  out.u16(utf8.length);
  out.part(utf8, 0, utf8.length);
}

/** The kind is where the checksum begins to count, so it is part of it. */
function sealed(frame: Buffer, kind: number): Buffer {
  frame[0] = frameVersion;
  frame[1] = kind;
  frame.writeUInt32BE(crc32(frame.subarray(headerBytes), kind), 2);
  return frame;
}
