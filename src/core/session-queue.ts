/**
 * What waits for one session: messages it cannot be sent yet, in their order, within a bound in messages and in bytes.
 *
 * The first ones are in memory. Those behind may be left to the store ("spilled"), which gives them back page by page.
 */
import { assert } from '../base/assert.ts';
import { Deque } from '../base/deque.ts';
import { Account, Category, unlimited } from '../base/ledger.ts';
import type { Backlog } from '../contracts/session-store.ts';
import type { Limits } from '../contracts/settings.ts';
import type { Message } from '../protocol/message.ts';
import type { Delivery } from './delivery.ts';
import { deliveryBytes, hold, letGo } from './footprint.ts';

type QueueLimits = Pick<Limits, 'queueMessages' | 'queueBytes'>;

const { queues } = Category;

/** What waits in all queues of a broker, in memory and in the store. */
export class QueueTotals {
  messages = 0;
  /** See `queuedBytes`. */
  bytes = 0;
}

export class SessionQueue {
  /** Charged with what is in memory. */
  readonly #account: Account;
  readonly #totals: QueueTotals;
  /** Null: taken out of the middle. The first one never is. */
  readonly #waiting = new Deque<Delivery | null>();
  #takenOut = 0;
  /** So many have left the front. */
  #gone = 0;
  #bytes = 0;
  #spilled = 0;
  #spilledBytes = 0;
  /** What does not fit in memory is in the store, too. */
  isPaged = false;
  /** A page is being read. */
  isLoading = false;
  /** The spilled ones are those that the store has after this message number. */
  position = 0;
  /** By so much the queue of the last run exceeded the limits: after a crash, what had been in flight waits again. */
  #excess = 0;
  #excessBytes = 0;

  constructor(account = new Account(unlimited), totals = new QueueTotals()) {
    this.#account = account;
    this.#totals = totals;
  }

  get length(): number {
    return this.inMemory + this.#spilled;
  }

  /** See `queuedBytes`. */
  get bytes(): number {
    return this.#bytes + this.#spilledBytes;
  }

  get inMemory(): number {
    return this.#waiting.length - this.#takenOut;
  }

  get inMemoryBytes(): number {
    return this.#bytes;
  }

  get spilled(): number {
    return this.#spilled;
  }

  /** Whether the client may hold so much more, where it is memory that the queue takes. */
  hasMemoryFor(bytes: number): boolean {
    return this.isPaged || this.#account.mayAdd(bytes);
  }

  hasRoomFor(bytes: number, limits: QueueLimits): boolean {
    if (!this.hasMemoryFor(bytes)) return false;
    return (
      this.length < limits.queueMessages + this.#excess && this.bytes + bytes <= limits.queueBytes + this.#excessBytes
    );
  }

  /** The caller checks `hasRoomFor` first: it decides what to drop. Nothing may be spilled. */
  push(delivery: Delivery): void {
    const { bytes } = delivery;
    this.#waiting.push(delivery);
    this.#bytes += bytes;
    this.#totals.messages++;
    this.#totals.bytes += bytes;
    hold(this.#account, queues, delivery.message, deliveryBytes);
    this.position = Math.max(this.position, delivery.message.id);
  }

  /** The store has one more behind the others. */
  spill({ message, bytes }: Delivery): void {
    // What the store has before it is in memory, or under way already.
    if (this.#spilled === 0) this.position = message.id - 1;
    this.#addSpilled(1, bytes);
  }

  /** Negative: so many fewer. */
  #addSpilled(messages: number, bytes: number): void {
    this.#spilled += messages;
    this.#spilledBytes += bytes;
    assert(this.#spilled >= 0, 'fewer messages of a queue are on disk than none');
    this.#totals.messages += messages;
    this.#totals.bytes += bytes;
  }

  /** Leaves to the store what is in memory as well; all of it must be stored. */
  spillAll(): void {
    const first = this.peek();
    if (first === undefined) return;
    this.#addSpilled(this.inMemory, this.#bytes);
    this.position = first.message.id - 1;
    this.#clear();
  }

  #clear(): void {
    for (const { message } of this) letGo(this.#account, queues, message, deliveryBytes);
    this.#totals.messages -= this.inMemory;
    this.#totals.bytes -= this.#bytes;
    this.#gone += this.#waiting.length;
    this.#takenOut = 0;
    this.#waiting.clear();
    this.#bytes = 0;
  }

  /** The session is over. */
  end(): void {
    this.#clear();
    this.#addSpilled(-this.#spilled, -this.#spilledBytes);
  }

  /**
   * What the store had at the start. What is beyond the limits goes as the client takes it, and not with the next
   * message.
   */
  restoreSpilled({ messages, bytes }: Backlog, limits: QueueLimits): void {
    this.#addSpilled(messages, bytes);
    this.limitsChanged(limits);
  }

  /** What is beyond other limits from now on goes as the client takes it, as well. */
  limitsChanged({ queueMessages, queueBytes }: QueueLimits): void {
    this.#excess = Math.max(0, this.length - queueMessages);
    this.#excessBytes = Math.max(0, this.bytes - queueBytes);
  }

  /** It has left, and not to make room. */
  #left(bytes: number): void {
    if (this.#excess > 0) this.#excess--;
    if (this.#excessBytes > 0) this.#excessBytes = Math.max(0, this.#excessBytes - bytes);
  }

  /** The first one makes room. Returns it. */
  drop(): Message | null {
    return this.#take()?.message ?? null;
  }

  /** The oldest spilled one, with this number, makes room. It is not in memory. */
  dropSpilled(messageId: number, bytes: number): null {
    this.position = messageId;
    this.#addSpilled(-1, -bytes);
    return null;
  }

  /** A page of spilled ones is in memory now; those dropped since it was asked for are passed over. */
  load(deliveries: readonly Delivery[], damaged: Backlog): void {
    this.dropDamaged(damaged);
    for (const delivery of deliveries) {
      if (delivery.message.id <= this.position) continue;
      this.#addSpilled(-1, -delivery.bytes);
      this.push(delivery);
    }
  }

  /** Spilled ones that could not be read are gone. */
  dropDamaged({ messages, bytes }: Backlog): void {
    this.#addSpilled(-messages, -bytes);
  }

  /** One of the spilled ones, wherever it stands, is gone. */
  takeSpilled(bytes: number): void {
    this.#addSpilled(-1, -bytes);
    this.#left(bytes);
  }

  /** What is in memory, in order. */
  *[Symbol.iterator](): Generator<Delivery> {
    for (const delivery of this.#waiting) if (delivery !== null) yield delivery;
  }

  peek(): Delivery | undefined {
    return this.#waiting.peek() ?? undefined;
  }

  /**
   * Where the first one in memory stands. The others follow, and each keeps its place while those before it leave: so
   * who looks at them in steps goes on where it was.
   */
  get front(): number {
    return this.#gone;
  }

  /** Behind the last one in memory. */
  get back(): number {
    return this.#gone + this.#waiting.length;
  }

  /** Null: it has left. */
  at(place: number): Delivery | null {
    return place < this.#gone ? null : (this.#waiting.at(place - this.#gone) ?? null);
  }

  /** Takes out the one that stands there, and not to make room. */
  takeAt(place: number): void {
    const delivery = this.at(place)!;
    this.#waiting.replace(place - this.#gone, null);
    this.#takenOut++;
    this.#release(delivery);
    this.#left(delivery.bytes);
    this.#skipTakenOut();
  }

  #skipTakenOut(): void {
    while (this.#waiting.peek() === null) {
      this.#waiting.shift();
      this.#gone++;
      this.#takenOut--;
    }
  }

  /** The next one in memory. */
  shift(): Delivery | undefined {
    const delivery = this.#take();
    if (delivery !== undefined) this.#left(delivery.bytes);
    return delivery;
  }

  #take(): Delivery | undefined {
    const delivery = this.#waiting.shift();
    if (delivery === undefined || delivery === null) return undefined;
    this.#gone++;
    this.#release(delivery);
    this.#skipTakenOut();
    return delivery;
  }

  #release({ message, bytes }: Delivery): void {
    this.#bytes -= bytes;
    this.#totals.messages--;
    this.#totals.bytes -= bytes;
    letGo(this.#account, queues, message, deliveryBytes);
  }

  /** Takes out everything in memory that is unwanted, and returns it in order. */
  takeOut(isUnwanted: (delivery: Delivery) => boolean): Delivery[] {
    const all = [...this];
    const unwanted = all.filter(isUnwanted);
    if (unwanted.length === 0) return unwanted;
    const gone = new Set(unwanted);
    for (const { bytes } of unwanted) this.#left(bytes);
    this.#clear();
    for (const delivery of all) if (!gone.has(delivery)) this.push(delivery);
    return unwanted;
  }
}
