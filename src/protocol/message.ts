/**
 * An application message on its way through the broker.
 *
 * Properties stay the raw bytes that the publisher sent, in their order, and are opened only by who needs them; topic alias,
 * subscription identifiers and message expiry are not among them, because each receiver gets its own. [MQTT5 3.3.2-18]
 */

import type { QoS } from './packets.ts';
import type { Topic } from './topic.ts';

const nothing = Buffer.alloc(0);
/** Stands for "never" as a time of expiry. */
export const never = Number.POSITIVE_INFINITY;

/**
 * Small messages that are kept lie side by side in one buffer: a Buffer object of its own would be larger than most of them.
 * As much as in Node's own pool, since one message that stays holds on to all of it.
 */
const roomBytes = 8_192;
let room = Buffer.allocUnsafeSlow(roomBytes);
let roomUsed = 0;

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
    message.bytes = Buffer.concat([properties, payload]);
    message.propertiesEnd = message.payloadStart = properties.length;
    message.payloadEnd = message.bytes.length;
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
    return this.payloadEnd - this.payloadStart + this.propertiesEnd - this.propertiesStart + this.topic.encoded.length;
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
    const propertiesBytes = this.propertiesEnd - this.propertiesStart;
    const length = propertiesBytes + this.payloadEnd - this.payloadStart;
    const isSmall = length <= roomBytes / 4;
    if (isSmall && roomUsed + length > roomBytes) {
      room = Buffer.allocUnsafeSlow(roomBytes);
      roomUsed = 0;
    }
    const bytes = isSmall ? room : Buffer.allocUnsafeSlow(length);
    const start = isSmall ? roomUsed : 0;
    if (isSmall) roomUsed += length;
    if (propertiesBytes > 0) this.bytes.copy(bytes, start, this.propertiesStart, this.propertiesEnd);
    this.bytes.copy(bytes, start + propertiesBytes, this.payloadStart, this.payloadEnd);
    copy.qos = this.qos;
    copy.retain = this.retain;
    copy.bytes = bytes;
    copy.propertiesStart = start;
    copy.propertiesEnd = copy.payloadStart = start + propertiesBytes;
    copy.payloadEnd = start + length;
    copy.expirySeconds = this.expirySeconds;
    copy.expiresAt = this.expiresAt;
    return copy;
  }
}
