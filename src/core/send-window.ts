/**
 * The QoS 1 and 2 messages sent to one client that still await an answer, by packet identifier.
 *
 * Identifiers start at 1 and rise, so the order of the identifiers is the order of sending, and the window is a ring
 * over them: two small arrays, nothing allocated per message. Its size is capped by the client's Receive Maximum.
 * [MQTT5 3.3.4-9]
 *
 * A client may answer the others and never the oldest one. Once the ring would have to span too much, that one becomes
 * a *straggler*: it stands in a map of its own, and the identifiers pass over it when they come round. So no client can
 * bring the window to a standstill but by leaving all of it unanswered.
 */
import { assert } from '../base/assert.ts';
import { Account, Category, unlimited } from '../base/ledger.ts';
import type { PacketId } from '../protocol/packets.ts';
import type { Delivery } from './delivery.ts';
import { deliveryBytes, hold, letGo } from './footprint.ts';

/** What a packet identifier waits for. */
export const Awaiting = { nothing: 0, puback: 1, pubrec: 2, pubcomp: 3 } as const;
export type Awaiting = (typeof Awaiting)[keyof typeof Awaiting];

/** What is older than everything in the ring. */
interface Straggler {
  awaiting: Awaiting;
  readonly delivery: Delivery | null;
  /** On this connection. */
  isSent: boolean;
}

/** A typed array is dear to make, and most windows of subscribers to QoS 0 stay empty. */
const noStates = new Uint8Array(0);
const idMask = 0xffff;
/** The ring spans less than so many identifiers. */
const ringMax = 16_384;
/** So many in flight at most: then there is always an identifier outside of the ring that no straggler has. */
export const inFlightMax = 40_960;
/** After so many identifiers the store is told anew how far they have got. */
const idsPerNote = 4_096;
const following = (id: PacketId): PacketId => (id === 65_535 ? 1 : id + 1);
/** So many identifiers further on. */
const advanced = (id: PacketId, count: number): PacketId => ((id - 1 + count) % 65_535) + 1;
/** Behind every identifier that may have been given since the store was told of `noted`. */
export const beyondNote = (noted: PacketId): PacketId => advanced(noted, 2 * idsPerNote);
const distance = (from: PacketId, to: PacketId): number => (to - from) & idMask;

const { inFlight } = Category;
/** So much may always be in flight. */
const heavyBytes = 65_536;
/** Of a slot in the ring. */
export const slotBytes = 9;
/** A straggler, and its place in the map. */
export const stragglerBytes = 100;

export class SendWindow {
  /** Charged with what is kept. */
  readonly #account: Account;
  #limit = inFlightMax;
  /** While the messages that are kept take less, another one may be begun. */
  #bytesMax = Number.POSITIVE_INFINITY;
  /** Sent on this connection and unanswered; after a reconnect smaller than `count` until all is sent again. */
  #used = 0;
  #count = 0;
  /** Invariant: what is in flight and no straggler lies in [#oldest, #end), and that range is shorter than the ring. */
  #oldest: PacketId = 1;
  #end: PacketId = 1;
  /** The next identifier to give: `#end`, or behind the stragglers that are there. */
  #next: PacketId = 1;
  /** Where the store is to be told anew, and where identifiers wait until it has been. 0: this window is not stored. */
  #noteAt: PacketId = 0;
  #wall: PacketId = 0;
  /** The store is to be told how far identifiers have got: see `noted`. */
  isPastNote = false;
  /** QoS 1 messages that have become stragglers since the store was told of any. */
  #outgrown: PacketId[] | null = null;
  #states = noStates;
  #deliveries: (Delivery | null)[] = [];
  /** In the order of sending; null: there is none. */
  #stragglers: Map<PacketId, Straggler> | null = null;
  #stragglersToResend = 0;
  /** Those of them that this connection was not sent come after here. */
  #resendingStragglers: Iterator<[PacketId, Straggler]> | null = null;
  /** Where sending the ring again has got to; equal to `#resendEnd` when all is sent. */
  #resend: PacketId = 1;
  #resendEnd: PacketId = 1;

  /** Of the deliveries, as charged. */
  #keptBytes = 0;

  constructor(account = new Account(unlimited)) {
    this.#account = account;
  }

  get count(): number {
    return this.#count;
  }

  /** What is in flight takes more memory than this client may hold: it answers some of it before more is sent. */
  get isHeavy(): boolean {
    return this.#keptBytes > heavyBytes && !this.#account.mayAdd(0);
  }

  /** As many bytes are in flight as may be: see `resume`. */
  get hasAllBytes(): boolean {
    return this.#keptBytes >= this.#bytesMax;
  }

  #keep({ message }: Delivery): void {
    this.#keptBytes += message.size;
    hold(this.#account, inFlight, message, deliveryBytes);
  }

  #drop({ message }: Delivery): void {
    this.#keptBytes -= message.size;
    letGo(this.#account, inFlight, message, deliveryBytes);
  }

  /** Slots of the ring, used or not. */
  get slots(): number {
    return this.#states.length;
  }

  /** So many more can be begun, at most: see `isFull`. */
  get room(): number {
    return this.#limit - this.#used;
  }

  get isFull(): boolean {
    return this.#used >= this.#limit || this.#next === this.#wall;
  }

  get next(): PacketId {
    return this.#next;
  }

  /** One that is free, and far from being given: for another packet that has one, such as SUBSCRIBE. */
  get distantId(): PacketId {
    let id = advanced(this.#next, 2 * ringMax);
    while (this.awaiting(id) !== Awaiting.nothing) id = following(id);
    return id;
  }

  /** There is something to write down. */
  get needsNote(): boolean {
    return this.isPastNote || this.#outgrown !== null;
  }

  /** The QoS 1 messages that have become stragglers since it was called last: the store is to be told of each. */
  takeOutgrown(): readonly PacketId[] {
    const outgrown = this.#outgrown ?? [];
    this.#outgrown = null;
    return outgrown;
  }

  get hasResends(): boolean {
    return this.#resend !== this.#resendEnd || this.#stragglersToResend > 0;
  }

  /**
   * A new connection with this send quota: everything unanswered is to be sent again, in its order. [MQTT5 4.4.0-1]
   * `bytesMax`: of the messages that are kept.
   */
  resume(limit: number, bytesMax = Number.POSITIVE_INFINITY): void {
    assert(1 <= limit && limit <= 65_535, `send quota out of range: ${limit}`);
    this.#limit = Math.min(limit, inFlightMax);
    this.#bytesMax = bytesMax;
    this.#used = 0;
    this.#resend = this.#oldest;
    this.#resendEnd = this.#end;
    this.#stragglersToResend = this.#stragglers?.size ?? 0;
    this.#resendingStragglers = this.#stragglers?.entries() ?? null;
    if (this.#stragglers !== null) for (const each of this.#stragglers.values()) each.isSent = false;
  }

  /**
   * Takes the next free identifier. `delivery` is what a reconnect or another member of a shared group would need; null
   * for a session that ends with its connection. The caller checks `isFull` and `hasResends` first.
   */
  begin(delivery: Delivery | null, qos: 1 | 2): PacketId {
    assert(!this.isFull, 'began a send in a full window');
    const id = this.#next;
    if (distance(this.#oldest, id) >= this.#states.length - 1) this.#makeRoom();
    const slot = id & (this.#states.length - 1);
    this.#states[slot] = qos;
    this.#deliveries[slot] = delivery;
    if (delivery !== null) this.#keep(delivery);
    if (id === this.#noteAt) this.isPastNote = true;
    this.#next = this.#end = following(id);
    if (this.#stragglers !== null) this.#passStragglers();
    this.#count++;
    this.#used++;
    return id;
  }

  /**
   * The store knows, or will before anything more is sent, that identifiers had got as far as `next` when it was told.
   * It is told anew after 4,096 of them, and behind twice as many the window counts as full until it has been: so after
   * a crash, what a client may still hold lies before `beyondNote`.
   */
  noted(next: PacketId): void {
    this.#noteAt = advanced(next, idsPerNote);
    this.#wall = beyondNote(next);
    // It may have gone on meanwhile.
    this.isPastNote = (this.#next - next + 65_535) % 65_535 > idsPerNote;
    if (this.#stragglers !== null) this.#passStragglers();
  }

  /** Before anything is begun: the first identifier to give. */
  startAt(id: PacketId): void {
    this.#oldest = this.#end = this.#next = this.#resend = this.#resendEnd = id;
    if (this.#stragglers !== null) this.#passStragglers();
  }

  /** Puts back what was in flight before a restart, oldest first, before `startAt`. */
  restore(id: PacketId, delivery: Delivery, awaiting: Awaiting): void {
    this.#stragglers ??= new Map();
    this.#stragglers.set(id, { awaiting, delivery, isSent: false });
    this.#account.add(inFlight, stragglerBytes);
    this.#keep(delivery);
    this.#stragglersToResend++;
    this.#count++;
  }

  /** It is one of those that the store knows by their identifiers, whatever their QoS. */
  isStraggler(id: PacketId): boolean {
    return this.#straggler(id) !== undefined;
  }

  awaiting(id: PacketId): Awaiting {
    const straggler = this.#straggler(id);
    if (straggler !== undefined) return straggler.awaiting;
    if (!this.#isInRange(id)) return Awaiting.nothing;
    return this.#states[id & (this.#states.length - 1)] as Awaiting;
  }

  delivery(id: PacketId): Delivery | null {
    const straggler = this.#straggler(id);
    if (straggler !== undefined) return straggler.delivery;
    return this.#isInRange(id) ? this.#deliveries[id & (this.#states.length - 1)]! : null;
  }

  /** PUBREC came: PUBCOMP is awaited now, and the message itself need not be sent again. */
  received(id: PacketId): void {
    assert(this.awaiting(id) === Awaiting.pubrec, `no PUBREC is awaited for packet identifier ${id}`);
    const straggler = this.#straggler(id);
    if (straggler !== undefined) straggler.awaiting = Awaiting.pubcomp;
    else this.#states[id & (this.#states.length - 1)] = Awaiting.pubcomp;
  }

  /** The exchange is over; the identifier may be used again. */
  settle(id: PacketId): void {
    if (this.#straggler(id) !== undefined) return this.#settleStraggler(id);
    const slot = id & (this.#states.length - 1);
    assert(this.awaiting(id) !== Awaiting.nothing, `packet identifier ${id} is not in flight`);
    const delivery = this.#deliveries[slot]!;
    if (delivery !== null) this.#drop(delivery);
    this.#states[slot] = Awaiting.nothing;
    this.#deliveries[slot] = null;
    this.#count--;
    if (this.#used > 0 && !this.#isToResend(id)) this.#used--;
    this.#moveOldest();
  }

  #settleStraggler(id: PacketId): void {
    const { isSent, delivery } = this.#straggler(id)!;
    if (delivery !== null) this.#drop(delivery);
    this.#account.add(inFlight, -stragglerBytes);
    this.#stragglers!.delete(id);
    if (this.#stragglers!.size === 0) this.#stragglers = null;
    this.#count--;
    if (isSent) this.#used--;
    else this.#stragglersToResend--;
  }

  /** The next identifier to send again, or 0 if there is none. The caller checks `isFull` first. */
  nextResend(): PacketId {
    if (this.#stragglersToResend > 0) return this.#nextStraggler();
    while (this.#resend !== this.#resendEnd) {
      const id = this.#resend;
      this.#resend = following(id);
      if (!this.#isInRing(id)) continue;
      this.#used++;
      return id;
    }
    return 0;
  }

  #nextStraggler(): PacketId {
    // The iterator passes over what has been settled meanwhile; nothing is added before all is sent again.
    const [id, straggler] = this.#resendingStragglers!.next().value!;
    straggler.isSent = true;
    this.#stragglersToResend--;
    this.#used++;
    return id;
  }

  /** The session is over: nothing is kept any more. */
  end(): void {
    for (const id of [...this]) this.settle(id);
    this.#account.add(inFlight, -this.#states.length * slotBytes);
    this.#states = noStates;
    this.#deliveries = [];
  }

  /** Identifiers in flight, in the order of sending. */
  *[Symbol.iterator](): Generator<PacketId> {
    if (this.#stragglers !== null) yield* this.#stragglers.keys();
    const end = this.#end;
    for (let id = this.#oldest; id !== end; id = following(id)) if (this.#isInRing(id)) yield id;
  }

  #straggler(id: PacketId): Straggler | undefined {
    return this.#stragglers === null ? undefined : this.#stragglers.get(id);
  }

  #isInRange(id: PacketId): boolean {
    return id !== 0 && distance(this.#oldest, id) < distance(this.#oldest, this.#end);
  }

  /** Of an identifier in range. A straggler that was passed over leaves its slot empty. */
  #isInRing(id: PacketId): boolean {
    return this.#states[id & (this.#states.length - 1)] !== Awaiting.nothing;
  }

  #isToResend(id: PacketId): boolean {
    return this.#resend !== this.#resendEnd && distance(this.#resend, id) < distance(this.#resend, this.#resendEnd);
  }

  #moveOldest(): void {
    while (this.#oldest !== this.#end && !this.#isInRing(this.#oldest)) {
      if (this.#resend === this.#oldest && this.#resend !== this.#resendEnd) this.#resend = following(this.#resend);
      this.#oldest = following(this.#oldest);
    }
  }

  /** There always is a free one outside of the ring: see `inFlightMax`. */
  #passStragglers(): void {
    while (this.#next !== this.#wall && this.#stragglers!.has(this.#next)) {
      if (this.#next === this.#noteAt) this.isPastNote = true;
      this.#next = following(this.#next);
    }
  }

  /** Makes sure that `#next` has a slot of its own. */
  #makeRoom(): void {
    while (distance(this.#oldest, this.#next) >= this.#states.length - 1) {
      if (this.#oldest === this.#end && this.#states.length > 0) this.#oldest = this.#end = this.#next;
      else if (this.#states.length < ringMax) this.#grow();
      else this.#outgrow();
    }
  }

  #grow(): void {
    const size = Math.max(16, this.#states.length * 2);
    this.#account.add(inFlight, (size - this.#states.length) * slotBytes);
    const states = new Uint8Array(size);
    const deliveries = new Array<Delivery | null>(size).fill(null);
    for (let id = this.#oldest; id !== this.#end; id = following(id)) {
      states[id & (size - 1)] = this.#states[id & (this.#states.length - 1)]!;
      deliveries[id & (size - 1)] = this.#deliveries[id & (this.#states.length - 1)]!;
    }
    this.#states = states;
    this.#deliveries = deliveries;
  }

  /** The oldest one in the ring becomes a straggler, the youngest of them. */
  #outgrow(): void {
    const id = this.#oldest;
    const slot = id & (this.#states.length - 1);
    this.#stragglers ??= new Map();
    this.#account.add(inFlight, stragglerBytes);
    this.#stragglers.set(id, {
      awaiting: this.#states[slot] as Awaiting,
      delivery: this.#deliveries[slot]!,
      isSent: true,
    });
    if (this.#noteAt !== 0 && this.#states[slot] === Awaiting.puback) (this.#outgrown ??= []).push(id);
    this.#states[slot] = Awaiting.nothing;
    this.#deliveries[slot] = null;
    this.#moveOldest();
  }
}
