/**
 * Publishes to one topic or round several, as fast as its two windows allow: unacknowledged messages, and messages that
 * have not reached their subscribers. A batch is a block of packets made once, of which only identifiers, numbers and
 * times change.
 */
import { type LoadClient, publishTemplate } from './client.ts';

/** In each payload: the publisher, its message's number, and when it was sent, in microseconds. */
export const stamp = { publisher: 0, number: 4, time: 12, bytes: 20 } as const;

export const nowMicroseconds = (): number => performance.now() * 1_000;

export interface PublisherOptions {
  readonly index: number;
  /** It goes round them; all have the same length. */
  readonly topics: readonly string[];
  readonly payloadBytes: number;
  readonly qos: 0 | 1 | 2;
  readonly version: 4 | 5;
  readonly retain?: boolean;
  readonly unacknowledgedMax: number;
  readonly undeliveredMax: number;
  /** How many subscribers get each message. */
  readonly copies: number;
}

export class Publisher {
  client: LoadClient | null = null;
  sent = 0;
  acknowledged = 0;
  /** Of all copies. */
  delivered = 0;
  isStopped = true;
  readonly #options: PublisherOptions;
  readonly #block: Buffer;
  readonly #packetBytes: number;
  /** Where in the block the next packet is. */
  #at = 0;
  readonly #idAt: number;
  readonly #payloadAt: number;
  /** By packet identifier: when it was sent. */
  readonly #sentAt = new Float64Array(65_536);
  #lastPacketId = 0;

  constructor(options: PublisherOptions) {
    this.#options = options;
    const { topics, payloadBytes, index } = options;
    const templates = topics.map((topic) => publishTemplate(topic, payloadBytes, options));
    const { bytes, idAt, payloadAt } = templates[0]!;
    for (const template of templates) template.bytes.writeUInt32BE(index, payloadAt + stamp.publisher);
    const most = Math.min(1_000, options.qos === 0 ? options.undeliveredMax : options.unacknowledgedMax);
    const rounds = Math.ceil(Math.max(1, most) / topics.length);
    const round = templates.map((template) => template.bytes);
    this.#block = Buffer.concat(Array.from({ length: rounds }, () => round).flat());
    this.#packetBytes = bytes.length;
    this.#idAt = idAt;
    this.#payloadAt = payloadAt;
  }

  get #room(): number {
    const { qos, unacknowledgedMax, undeliveredMax, copies } = this.#options;
    const undelivered = this.sent - this.delivered / copies;
    const room = Math.floor(undeliveredMax - undelivered);
    return qos === 0 ? room : Math.min(room, unacknowledgedMax - (this.sent - this.acknowledged));
  }

  /** Sends what there is room for. */
  fill(): void {
    if (!this.isStopped) this.send(this.#room, nowMicroseconds());
  }

  /** `dueAt`: the time that is written into them. */
  send(count: number, dueAt: number): void {
    let left = count;
    while (left > 0) {
      const batch = Math.min(left, (this.#block.length - this.#at) / this.#packetBytes);
      left -= batch;
      // A copy of its own, because the stream may keep it until the kernel takes it.
      const bytes = Buffer.allocUnsafe(batch * this.#packetBytes);
      this.#block.copy(bytes, 0, this.#at, this.#at + bytes.length);
      this.#at = (this.#at + bytes.length) % this.#block.length;
      for (let i = 0; i < batch; i++) this.#stamp(bytes, i * this.#packetBytes, dueAt);
      this.client!.write(bytes);
    }
  }

  #stamp(bytes: Buffer, at: number, time: number): void {
    if (this.#options.qos > 0) {
      const id = (this.#lastPacketId = (this.#lastPacketId % 65_535) + 1);
      bytes.writeUInt16BE(id, at + this.#idAt);
      this.#sentAt[id] = time;
    }
    const payload = at + this.#payloadAt;
    bytes.writeDoubleBE(this.sent, payload + stamp.number);
    bytes.writeDoubleBE(time, payload + stamp.time);
    this.sent++;
  }

  /** Returns when the message that is now acknowledged was sent. */
  acknowledge(packetId: number): number {
    this.acknowledged++;
    return this.#sentAt[packetId]!;
  }
}
