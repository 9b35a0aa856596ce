/**
 * What a node appends to the log at once: all that its clients have published in a round of the event loop.
 *
 * | kind | what follows |
 * |---|---|
 * | 0 messages | `u16` publishers, each `u16` length and UTF-8; `u32` messages, each as below |
 * | 1 tick | who writes it: `u16` length and UTF-8. It keeps the node's newest entry young |
 * | 2 fence | the same. The node of this subject is dead: whatever it has in flight is refused behind this |
 * | 3 part | bytes of a frame that is too long for one entry |
 * | 4 last part | `f64` sequence of the first part, and the rest of its bytes. All are a frame of kind 0, 5, 6 or 7 |
 * | 5 waiting | as 0: copies of messages of entries that are about to be purged. They wait for sessions of this node |
 * | 6 retained | `f64` sequence, and as 0: the same of messages that were retained when the log had that entry |
 * | 7 shared | `u32` length and JSON (`shared-frame.ts`), and as 0: messages that go on to other members of groups |
 *
 * Before that: `u8` version, `u8` kind, `u32` CRC of what follows. All numbers are big-endian.
 *
 * A message: `u8` flags (bits 0 and 1 QoS, 2 retain, 3 expiry, 4 origin, 5 properties, 6 release); `u16` length and
 * topic; with 3 `f64` when it expires and `u32` seconds as its publisher set them; with 4 `u16` publisher and `u16`
 * packet identifier, which is 0 but for QoS 2; with 5 `u32` length and properties as the publisher sent them; `u32`
 * length and payload. A release has its origin and nothing else: the exchange of that packet identifier is over.
 */
import { isUtf8 } from 'node:buffer';
import { crc32 } from 'node:zlib';
import type { Sequence } from '../contracts/cluster-engine.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { Message } from '../protocol/message.ts';
import type { PacketId, QoS } from '../protocol/packets.ts';
import { noTopic } from '../protocol/topic.ts';
import type { TopicTable } from '../protocol/topic-table.ts';

export const frameVersion = 1;
export const FrameKind = {
  messages: 0,
  tick: 1,
  fence: 2,
  part: 3,
  lastPart: 4,
  waiting: 5,
  retained: 6,
  shared: 7,
} as const;
export const Flag = { retain: 4, expiry: 8, origin: 16, properties: 32, release: 64 } as const;
/** Of version, kind and CRC. */
export const headerBytes = 6;
/** Of what the last of several parts has before its piece, and what is retained before its messages. */
export const lastPartBytes = 8;
export const asOfBytes = 8;
export const publishersMax = 65_535;
export const publisherBytesMax = 65_535;

/** The bytes are no frame, or none that this version knows. Says what is wrong, and at which byte. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/** For a `FrameReader`: what it visits begins at `start`. */
interface Readable {
  readonly bytes: Buffer;
  readonly start: number;
}

export type Content = Readable &
  (
    | { readonly kind: 'messages' | 'waiting' }
    /** What was retained once all entries up to `asOf` had been given. */
    | { readonly kind: 'retained'; readonly asOf: Sequence }
    /** `says`: what it says of shared subscriptions. */
    | { readonly kind: 'shared'; readonly says: Buffer }
  );

export type Frame =
  | Content
  | { readonly kind: 'tick' | 'fence'; readonly by: string }
  | { readonly kind: 'part'; readonly piece: Buffer }
  | { readonly kind: 'lastPart'; readonly firstPart: Sequence; readonly piece: Buffer };

/** Whose message it is, and which of its exchanges. */
export interface Origin {
  /** The client's identifier; or, if no client published it, a text of `protocol/publisher.ts`. */
  readonly publisher: string;
  /** Of QoS 2 from a client, else 0. */
  readonly packetId: PacketId;
}

/** Told of what is in a frame, in order; `index` counts both. */
export interface FrameVisitor {
  /** `message` is borrowed, and has no publisher. */
  message(message: Message, origin: Origin | null, index: number): void;
  released(origin: Origin, index: number): void;
}

/** Where a reader is in its bytes, which it checks before each step. */
class Cursor {
  readonly bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  /** Passes over so many bytes, and returns where they begin. */
  take(length: number, what: string): number {
    if (length > this.left) {
      const found = `${what} takes ${length} bytes at byte ${this.at}, and the frame ends at ${this.bytes.length}`;
      throw new FrameError(`A frame is cut off: ${found}`);
    }
    const start = this.at;
    this.at += length;
    return start;
  }

  u8(what: string): number {
    return this.bytes[this.take(1, what)]!;
  }

  u16(what: string): number {
    return this.bytes.readUInt16BE(this.take(2, what));
  }

  u32(what: string): number {
    return this.bytes.readUInt32BE(this.take(4, what));
  }

  f64(what: string): number {
    return this.bytes.readDoubleBE(this.take(8, what));
  }

  text(what: string): string {
    const length = this.u16(what);
    const start = this.take(length, what);
    const utf8 = this.bytes.subarray(start, this.at);
    if (!isUtf8(utf8)) throw new FrameError(`In a frame, ${what} is not valid UTF-8, at byte ${start}`);
    return utf8.toString();
  }

  end(): void {
    if (this.left > 0) throw new FrameError(`A frame has ${this.left} bytes too many, from byte ${this.at} on`);
  }
}

/** Throws a FrameError unless the bytes are what a node has written. What it returns lies over them. */
export function openFrame(entry: Uint8Array): Frame {
  const bytes = Buffer.from(entry.buffer, entry.byteOffset, entry.length);
  const cursor = new Cursor(bytes, 0);
  const version = cursor.u8('the version');
  if (version !== frameVersion) {
    const what = `A frame has version ${version}, and this version of Sluice reads ${frameVersion}`;
    throw new FrameError(`${what}: a newer one has written it; install that on this node`);
  }
  const kind = cursor.u8('the kind');
  const checksum = cursor.u32('the checksum');
  const found = crc32(bytes.subarray(headerBytes), kind);
  if (found !== checksum) throw new FrameError(`A frame of ${bytes.length} bytes does not fit its checksum`);
  switch (kind) {
    case FrameKind.messages:
    case FrameKind.waiting:
      return { kind: kind === FrameKind.messages ? 'messages' : 'waiting', bytes, start: cursor.at };
    case FrameKind.retained: {
      const asOf = sequenceFrom(cursor, 'the sequence as of which messages were retained');
      return { kind: 'retained', asOf, bytes, start: cursor.at };
    }
    case FrameKind.shared: {
      const length = cursor.u32('the length of what it says of shared subscriptions');
      const at = cursor.take(length, 'what it says of shared subscriptions');
      return { kind: 'shared', says: bytes.subarray(at, cursor.at), bytes, start: cursor.at };
    }
    case FrameKind.tick:
    case FrameKind.fence: {
      const by = cursor.text('who writes it');
      cursor.end();
      return { kind: kind === FrameKind.tick ? 'tick' : 'fence', by };
    }
    case FrameKind.part:
      return { kind: 'part', piece: bytes.subarray(headerBytes) };
    case FrameKind.lastPart: {
      const firstPart = sequenceFrom(cursor, 'the sequence of the first part');
      return { kind: 'lastPart', firstPart, piece: bytes.subarray(cursor.at) };
    }
    default:
      throw new FrameError(`A frame is of kind ${kind}, at byte 1, which this version of Sluice does not know`);
  }
}

function sequenceFrom(cursor: Cursor, what: string): Sequence {
  const sequence = cursor.f64(what);
  if (Number.isSafeInteger(sequence) && sequence >= 1) return sequence;
  throw new FrameError(`A frame names ${sequence} as ${what}, at byte ${headerBytes}`);
}

/** Of a message in a frame without topic, properties and payload: what each takes at least. */
const leastMessageBytes = 5;

export class FrameReader {
  readonly #topics: TopicTable;
  readonly #message = Message.borrowed(noTopic);

  constructor(topics: TopicTable) {
    this.#topics = topics;
  }

  /**
   * Visits what is in a frame with messages. Throws a FrameError where it is not as it must be: what stands before that
   * has been visited.
   */
  visit({ bytes, start }: Readable, visitor: FrameVisitor): void {
    const cursor = new Cursor(bytes, start);
    const publishers: string[] = [];
    for (let left = cursor.u16('the number of publishers'); left > 0; left--)
      publishers.push(cursor.text('a publisher'));
    const count = cursor.u32('the number of messages');
    if (count * leastMessageBytes > cursor.left) {
      throw new FrameError(`A frame has ${cursor.left} bytes for ${count} messages, at byte ${cursor.at}`);
    }
    for (let index = 0; index < count; index++) this.#visitOne(cursor, publishers, visitor, index);
    cursor.end();
  }

  #visitOne(cursor: Cursor, publishers: readonly string[], visitor: FrameVisitor, index: number): void {
    const start = cursor.at;
    const flags = cursor.u8('the flags of a message');
    if (flags === (Flag.release | Flag.origin)) return visitor.released(originFrom(cursor, publishers), index);
    if (flags >= Flag.release || (flags & 3) === 3) {
      throw new FrameError(`In a frame, a message has the flags ${flags}, at byte ${start}`);
    }
    const message = this.#message;
    message.renew();
    message.qos = (flags & 3) as QoS;
    message.retain = (flags & Flag.retain) !== 0;
    message.rename(this.#topic(cursor));
    message.expiresAt = (flags & Flag.expiry) === 0 ? Number.POSITIVE_INFINITY : expiryFrom(cursor);
    message.expirySeconds = (flags & Flag.expiry) === 0 ? -1 : cursor.u32('the expiry in seconds');
    const origin = (flags & Flag.origin) === 0 ? null : originFrom(cursor, publishers);
    const propertiesBytes = (flags & Flag.properties) === 0 ? 0 : cursor.u32('the length of properties');
    message.bytes = cursor.bytes;
    message.propertiesStart = cursor.take(propertiesBytes, 'properties');
    message.propertiesEnd = cursor.at;
    const payloadBytes = cursor.u32('the length of a payload');
    message.payloadStart = cursor.take(payloadBytes, 'a payload');
    message.payloadEnd = cursor.at;
    visitor.message(message, origin, index);
  }

  #topic(cursor: Cursor) {
    const length = cursor.u16('the length of a topic');
    const start = cursor.take(length, 'a topic');
    try {
      return this.#topics.intern(cursor.bytes, start, cursor.at);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      throw new FrameError(`In a frame, at byte ${start}: ${error.message}`, { cause: error });
    }
  }
}

function expiryFrom(cursor: Cursor): number {
  const start = cursor.at;
  const expiresAt = cursor.f64('the time of expiry');
  if (Number.isFinite(expiresAt)) return expiresAt;
  throw new FrameError(`In a frame, a message expires at ${expiresAt}, at byte ${start}`);
}

function originFrom(cursor: Cursor, publishers: readonly string[]): Origin {
  const start = cursor.at;
  const number = cursor.u16('the publisher of a message');
  const publisher = publishers[number];
  if (publisher === undefined) {
    throw new FrameError(
      `A frame has ${publishers.length} publishers, and a message is of number ${number}, at byte ${start}`,
    );
  }
  return { publisher, packetId: cursor.u16('a packet identifier') };
}
