/**
 * The QoS 1 and 2 messages sent to one client that still await an answer, by packet identifier.
 *
 * Identifiers start at 1 and rise, so the order of the identifiers is the order of sending, and the window is a ring over
 * them: two small arrays, nothing allocated per message. Its size is capped by the client's Receive Maximum. [MQTT5 3.3.4-9]
 */
import { assert } from '../base/assert.ts';
import type { PacketId } from '../protocol/packets.ts';
import type { Delivery } from './delivery.ts';

/** What a packet identifier waits for. */
export const Awaiting = { nothing: 0, puback: 1, pubrec: 2, pubcomp: 3 } as const;
export type Awaiting = (typeof Awaiting)[keyof typeof Awaiting];

/** A typed array is dear to make, and most windows of subscribers to QoS 0 stay empty. */
const noStates = new Uint8Array(0);
const idMask = 0xffff;
const spreadMax = 65_534;
const following = (id: PacketId): PacketId => (id === 65_535 ? 1 : id + 1);
const distance = (from: PacketId, to: PacketId): number => (to - from) & idMask;

export class SendWindow {
  #limit = 65_535;
  /** Sent on this connection and unanswered; after a reconnect smaller than `count` until all is sent again. */
  #used = 0;
  #count = 0;
  /** Invariant: every identifier in flight lies in [#oldest, #next), and that range is no longer than the ring. */
  #oldest: PacketId = 1;
  #next: PacketId = 1;
  /** Where sending again has got to; equal to `#resendEnd` when all is sent. */
  #resend: PacketId = 1;
  #resendEnd: PacketId = 1;
  #states = noStates;
  #deliveries: (Delivery | null)[] = [];

  get count(): number {
    return this.#count;
  }

  /** So many more can be begun, at most: see `isFull`. */
  get room(): number {
    return this.#limit - this.#used;
  }

  /** Also when the identifiers have come round to the oldest unanswered one: a client answers in order. [MQTT5 4.6.0-2] */
  get isFull(): boolean {
    return this.#used >= this.#limit || distance(this.#oldest, this.#next) >= spreadMax;
  }

  get hasResends(): boolean {
    return this.#resend !== this.#resendEnd;
  }

  /** A new connection with this send quota: everything unanswered is to be sent again, in its order. [MQTT5 4.4.0-1] */
  resume(limit: number): void {
    assert(1 <= limit && limit <= 65_535, `send quota out of range: ${limit}`);
    this.#limit = limit;
    this.#used = 0;
    this.#resend = this.#oldest;
    this.#resendEnd = this.#next;
  }

  /**
   * Takes the next free identifier. `delivery` is what a reconnect or another member of a shared group would need; null for
   * a session that ends with its connection. The caller checks `isFull` first.
   */
  begin(delivery: Delivery | null, qos: 1 | 2): PacketId {
    assert(!this.isFull, 'began a send in a full window');
    this.#makeRoom();
    const id = this.#next;
    const slot = id & (this.#states.length - 1);
    this.#states[slot] = qos;
    this.#deliveries[slot] = delivery;
    this.#next = following(id);
    this.#count++;
    this.#used++;
    return id;
  }

  /** Puts back what was in flight before a restart, oldest first. */
  restore(id: PacketId, delivery: Delivery, awaiting: Awaiting): void {
    if (this.#count === 0) this.#oldest = this.#next = id;
    while (this.#next !== id) {
      this.#makeRoom();
      this.#next = following(this.#next);
    }
    this.#makeRoom();
    const slot = id & (this.#states.length - 1);
    this.#states[slot] = awaiting;
    this.#deliveries[slot] = delivery;
    this.#next = following(id);
    this.#count++;
  }

  awaiting(id: PacketId): Awaiting {
    if (!this.#isInRange(id)) return Awaiting.nothing;
    return this.#states[id & (this.#states.length - 1)] as Awaiting;
  }

  delivery(id: PacketId): Delivery | null {
    return this.#isInRange(id) ? this.#deliveries[id & (this.#states.length - 1)]! : null;
  }

  /** PUBREC came: PUBCOMP is awaited now, and the message itself need not be sent again. */
  received(id: PacketId): void {
    assert(this.awaiting(id) === Awaiting.pubrec, `no PUBREC is awaited for packet identifier ${id}`);
    this.#states[id & (this.#states.length - 1)] = Awaiting.pubcomp;
  }

  /** The exchange is over; the identifier may be used again. */
  settle(id: PacketId): void {
    const slot = id & (this.#states.length - 1);
    assert(this.awaiting(id) !== Awaiting.nothing, `packet identifier ${id} is not in flight`);
    this.#states[slot] = Awaiting.nothing;
    this.#deliveries[slot] = null;
    this.#count--;
    if (this.#used > 0 && !this.#isToResend(id)) this.#used--;
    while (this.#oldest !== this.#next && this.#states[this.#oldest & (this.#states.length - 1)] === Awaiting.nothing) {
      if (this.#resend === this.#oldest && this.hasResends) this.#resend = following(this.#resend);
      this.#oldest = following(this.#oldest);
    }
  }

  /** The next identifier to send again, or 0 if there is none. The caller checks `isFull` first. */
  nextResend(): PacketId {
    while (this.hasResends) {
      const id = this.#resend;
      this.#resend = following(id);
      if (this.awaiting(id) === Awaiting.nothing) continue;
      this.#used++;
      return id;
    }
    return 0;
  }

  /** Identifiers in flight, oldest first. */
  *[Symbol.iterator](): Generator<PacketId> {
    const end = this.#next;
    for (let id = this.#oldest; id !== end; id = following(id)) {
      if (this.awaiting(id) !== Awaiting.nothing) yield id;
    }
  }

  #isInRange(id: PacketId): boolean {
    return id !== 0 && distance(this.#oldest, id) < distance(this.#oldest, this.#next);
  }

  #isToResend(id: PacketId): boolean {
    return this.hasResends && distance(this.#resend, id) < distance(this.#resend, this.#resendEnd);
  }

  /** Makes sure that `#next` has a slot of its own. */
  #makeRoom(): void {
    if (distance(this.#oldest, this.#next) >= this.#states.length - 1) this.#grow();
  }

  #grow(): void {
    const size = Math.max(16, this.#states.length * 2);
    const states = new Uint8Array(size);
    const deliveries = new Array<Delivery | null>(size).fill(null);
    for (let id = this.#oldest; id !== this.#next; id = following(id)) {
      states[id & (size - 1)] = this.#states[id & (this.#states.length - 1)]!;
      deliveries[id & (size - 1)] = this.#deliveries[id & (this.#states.length - 1)]!;
    }
    this.#states = states;
    this.#deliveries = deliveries;
  }
}
