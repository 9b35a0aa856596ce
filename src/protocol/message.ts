/**
 * An application message on its way through the broker.
 *
 * Properties stay the raw bytes that the publisher sent, in their order, and are opened only by who needs them; topic
 * alias, subscription identifiers and message expiry are not among them, because each receiver gets its own. [MQTT5
 * 3.3.2-18]
 */

import { SliceArena } from '../base/slice-arena.ts';
import type { QoS } from './packets.ts';
import type { Topic } from './topic.ts';

const nothing = Buffer.alloc(0);
/** Stands for "never" as a time of expiry. */
export const never = Number.POSITIVE_INFINITY;

/** For messages that are kept. */
const room = new SliceArena();

/** Buffers that are not used again, though what is decoded in them is borrowed. */
const lasting = new WeakSet<Buffer>();
/** Of what is smaller a copy costs less than a look for its buffer. */
const lastingBytesMin = 262_144;

/** A copy of what is smaller costs less than a record of its own and a look for it. */
const sharedBytesMin = 256;

/**
 * Content that messages of different numbers have in common. A store that keeps one copy of it notes here which, and
 * for how many.
 */
export class SharedContent {
  /** Under which number it is stored; 0: it is not yet. */
  number = 0;
  /**
   * How many stored messages have it. Once it falls back to 0 the content is gone, and this object is not used again.
   */
  references = 0;
  /** How many of them are in the store's cache. */
  cached = 0;
  /** What commits it, until that is under way: no earlier commit may have a message that relies on it. */
  batch: object | null = null;
  /** The last message that was read back with this content, as long as somebody has it. */
  loaded: WeakRef<Message> | null = null;

  get isGone(): boolean {
    return this.number > 0 && this.references === 0;
  }
}

/** Where a borrowed message comes from: what a message that is kept has no use for, and no room. */
export class DecodedPacket {
  /** Rises each time the message is filled anew: the same object, another message. */
  serial = 0;
  /**
   * For who sends on the packet as it came: its fixed header begins and ends here, and the form is that of `formOf` in
   * `codec/publish.ts`; -1: the message is another than the packet says.
   */
  start = 0;
  bodyStart = 0;
  form = -1;
  /** The copy of the message that lasts, once there is one. */
  kept: Message | null = null;
}

export class Message {
  /** Changed by `rename`. */
  readonly topic: Topic;
  qos: QoS = 0;
  retain = false;
  /** Properties are `bytes[propertiesStart, propertiesEnd)`, the payload is `bytes[payloadStart, payloadEnd)`. */
  bytes: Buffer = nothing;
  propertiesStart = 0;
  propertiesEnd = 0;
  payloadStart = 0;
  payloadEnd = 0;
  /** Null: it is not borrowed. */
  packet: DecodedPacket | null = null;
  /** As received, in seconds; -1 where the publisher set none. */
  expirySeconds = -1;
  /** Milliseconds since the epoch; set by who received it. */
  expiresAt: number = never;
  /** Its number in the store, which is every session's queue order; 0 while it has none. */
  id = 0;
  /** Null: it is in common with no other message, as far as anybody knows. */
  content: SharedContent | null = null;
  /** Who published it: see `publisher.ts`. Null: not known any more. */
  publisher: string | null = null;
  /** A slot for what is retained: where its bytes lie. */
  slab: object | null = null;
  /** The message whose bytes it shares; null: they are its own. */
  #original: Message | null = null;
  /** How many queues, windows and others keep its bytes in memory. */
  #holders = 0;

  constructor(topic: Topic) {
    this.topic = topic;
  }

  /** A message that a decoder fills again and again, over bytes that do not last: see `keep`. */
  static borrowed(topic: Topic): Message {
    const message = new Message(topic);
    message.packet = new DecodedPacket();
    return message;
  }

  static of(topic: Topic, payload: Uint8Array, options: { qos?: QoS; retain?: boolean; properties?: Uint8Array } = {}) {
    const message = new Message(topic);
    const properties = options.properties ?? nothing;
    message.qos = options.qos ?? 0;
    message.retain = options.retain ?? false;
    const start = message.#takeRoom(properties.length, payload.length);
    message.bytes.set(properties, start);
    message.bytes.set(payload, message.payloadStart);
    return message;
  }

  /** Without properties, over a payload that is not copied: nobody may change it any more. */
  static over(topic: Topic, payload: Uint8Array, options: { qos?: QoS; retain?: boolean } = {}) {
    const message = new Message(topic);
    message.qos = options.qos ?? 0;
    message.retain = options.retain ?? false;
    message.bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
    message.payloadEnd = payload.length;
    return message;
  }

  /**
   * Nobody writes to these bytes any more, so messages that are decoded in them may be kept without a copy. For
   * packets large enough for a buffer of their own.
   */
  static mayKeep(bytes: Buffer): void {
    lasting.add(bytes);
  }

  get payload(): Buffer {
    return this.bytes.subarray(this.payloadStart, this.payloadEnd);
  }

  get properties(): Buffer {
    return this.bytes.subarray(this.propertiesStart, this.propertiesEnd);
  }

  get payloadBytes(): number {
    return this.payloadEnd - this.payloadStart;
  }

  /** What it counts for in a queue's byte limit: payload, properties and topic. */
  get size(): number {
    return this.payloadEnd - this.payloadStart + this.propertiesEnd - this.propertiesStart + this.topic.encodedBytes;
  }

  isExpired(now: number): boolean {
    return this.expiresAt <= now;
  }

  /** Of a borrowed message: it rises each time it is filled anew, and is another message then. */
  get serial(): number {
    return this.packet === null ? 0 : this.packet.serial;
  }

  /** For whoever fills a borrowed message: what follows describes another one. */
  renew(): void {
    const { packet } = this;
    if (packet === null) return;
    packet.kept = null;
    packet.serial++;
    packet.form = -1;
  }

  /** What is stored of it already, or of others with the same content, has another name. */
  rename(topic: Topic): void {
    (this as { topic: Topic }).topic = topic;
    this.content = null;
    if (this.packet !== null) this.packet.form = -1;
  }

  /** Within its bytes, what stands before the rest of its properties is not theirs any more. */
  cutProperties(propertiesStart: number): void {
    this.propertiesStart = propertiesStart;
    if (this.packet !== null) this.packet.form = -1;
  }

  /**
   * A copy that lasts and owns its bytes; the same one however often it is asked for, so all sessions that keep a
   * message share it. A message that is not borrowed is its own copy.
   */
  keep(): Message {
    const { packet } = this;
    if (packet === null) return this;
    return (packet.kept ??= this.#copy());
  }

  /**
   * The same message under a number of its own; the bytes are shared, in memory and in the store, where more such
   * copies may follow.
   */
  renumbered(id: number, isOneOfMany = true): Message {
    const kept = this.keep();
    if (isOneOfMany && (kept.content === null ? kept.size >= sharedBytesMin : kept.content.isGone)) {
      kept.content = new SharedContent();
    }
    const copy = new Message(this.topic);
    copy.#shareBytes(kept);
    copy.qos = kept.qos;
    copy.retain = kept.retain;
    copy.expirySeconds = kept.expirySeconds;
    copy.expiresAt = kept.expiresAt;
    copy.content = kept.content;
    copy.publisher = kept.publisher;
    copy.id = id;
    copy.#original = kept.original;
    return copy;
  }

  /** The message whose bytes it has: itself, or the one that it is a renumbered copy of. */
  get original(): Message {
    return this.#original ?? this;
  }

  /** One more keeps the bytes of this message, or of those that share them. Returns how many do now. */
  hold(): number {
    return ++this.original.#holders;
  }

  /** One less. Returns how many still do. */
  letGo(): number {
    return --this.original.#holders;
  }

  #copy(): Message {
    const copy = new Message(this.topic);
    if (this.payloadBytes >= lastingBytesMin && lasting.has(this.bytes)) copy.#shareBytes(this);
    else {
      const start = copy.#takeRoom(this.propertiesEnd - this.propertiesStart, this.payloadBytes);
      if (copy.payloadStart > start) this.bytes.copy(copy.bytes, start, this.propertiesStart, this.propertiesEnd);
      this.bytes.copy(copy.bytes, copy.payloadStart, this.payloadStart, this.payloadEnd);
    }
    copy.qos = this.qos;
    copy.retain = this.retain;
    copy.expirySeconds = this.expirySeconds;
    copy.expiresAt = this.expiresAt;
    copy.publisher = this.publisher;
    return copy;
  }

  #shareBytes(other: Message): void {
    this.bytes = other.bytes;
    this.propertiesStart = other.propertiesStart;
    this.propertiesEnd = other.propertiesEnd;
    this.payloadStart = other.payloadStart;
    this.payloadEnd = other.payloadEnd;
  }

  /** Everything but the payload, over the same bytes. */
  withoutPayload(): Message {
    const copy = new Message(this.topic);
    copy.#shareBytes(this);
    copy.payloadEnd = copy.payloadStart;
    return copy;
  }

  /** Its bytes are copied, and lie there from now on. */
  moveTo(bytes: Buffer, start: number): void {
    const propertiesEnd = start + this.propertiesEnd - this.propertiesStart;
    const payloadEnd = propertiesEnd + this.payloadBytes;
    if (propertiesEnd > start) this.bytes.copy(bytes, start, this.propertiesStart, this.propertiesEnd);
    this.bytes.copy(bytes, propertiesEnd, this.payloadStart, this.payloadEnd);
    this.bytes = bytes;
    this.propertiesStart = start;
    this.propertiesEnd = this.payloadStart = propertiesEnd;
    this.payloadEnd = payloadEnd;
  }

  #takeRoom(propertiesBytes: number, payloadBytes: number): number {
    const start = room.take(propertiesBytes + payloadBytes);
    this.bytes = room.bytes;
    this.propertiesStart = start;
    this.propertiesEnd = this.payloadStart = start + propertiesBytes;
    this.payloadEnd = start + propertiesBytes + payloadBytes;
    return start;
  }
}
