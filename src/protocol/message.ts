/**
 * An application message on its way through the broker.
 *
 * Properties stay the raw bytes that the publisher sent, in their order, and are opened only by who needs them; topic alias,
 * subscription identifiers and message expiry are not among them, because each receiver gets its own. [MQTT5 3.3.2-18]
 */

import { Room } from '../base/room.ts';
import type { QoS } from './packets.ts';
import type { Topic } from './topic.ts';

const nothing = Buffer.alloc(0);
/** Stands for "never" as a time of expiry. */
export const never = Number.POSITIVE_INFINITY;

/** For messages that are kept. */
const room = new Room();

export class Message {
  topic: Topic;
  qos: QoS = 0;
  retain = false;
  /** Properties are `bytes[propertiesStart, propertiesEnd)`, the payload is `bytes[payloadStart, payloadEnd)`. */
  bytes: Buffer = nothing;
  propertiesStart = 0;
  propertiesEnd = 0;
  payloadStart = 0;
  payloadEnd = 0;
  /** As received, in seconds; -1 where the publisher set none. */
  expirySeconds = -1;
  /** Milliseconds since the epoch; set by who received it. */
  expiresAt: number = never;
  /** Its number in the store, which is every session's queue order; 0 while it has none. */
  id = 0;
  /** Rises each time a borrowed message is filled anew: the same object, another message. */
  serial = 0;
  #isBorrowed = false;
  #kept: Message | null = null;

  constructor(topic: Topic) {
    this.topic = topic;
  }

  /** A message that a decoder fills again and again, over bytes that do not last: see `keep`. */
  static borrowed(topic: Topic): Message {
    const message = new Message(topic);
    message.#isBorrowed = true;
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

  /** For the decoder: what follows describes another message. */
  renew(): void {
    this.#kept = null;
    this.serial++;
  }

  /**
   * A copy that lasts and owns its bytes; the same one however often it is asked for, so all sessions that keep a message
   * share it. A message that is not borrowed is its own copy.
   */
  keep(): Message {
    if (!this.#isBorrowed) return this;
    return (this.#kept ??= this.#copy());
  }

  /** The same message under a number of its own; the bytes are shared. */
  renumbered(id: number): Message {
    const copy = new Message(this.topic);
    Object.assign(copy, this.keep(), { id });
    return copy;
  }

  #copy(): Message {
    const copy = new Message(this.topic);
    const start = copy.#takeRoom(this.propertiesEnd - this.propertiesStart, this.payloadBytes);
    if (copy.payloadStart > start) this.bytes.copy(copy.bytes, start, this.propertiesStart, this.propertiesEnd);
    this.bytes.copy(copy.bytes, copy.payloadStart, this.payloadStart, this.payloadEnd);
    copy.qos = this.qos;
    copy.retain = this.retain;
    copy.expirySeconds = this.expirySeconds;
    copy.expiresAt = this.expiresAt;
    return copy;
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
