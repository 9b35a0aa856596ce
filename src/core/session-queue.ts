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
  readonly #waiting = new Deque<Delivery>();
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
    return this.#waiting.length + this.#spilled;
  }

  /** See `queuedBytes`. */
  get bytes(): number {
    return this.#bytes + this.#spilledBytes;
  }

  get inMemory(): number {
    return this.#waiting.length;
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
    const first = this.#waiting.peek();
    if (first === undefined) return;
    this.#addSpilled(this.#waiting.length, this.#bytes);
    this.position = first.message.id - 1;
    this.#clear();
  }

  #clear(): void {
    for (const { message } of this.#waiting) letGo(this.#account, queues, message, deliveryBytes);
    this.#totals.messages -= this.#waiting.length;
    this.#totals.bytes -= this.#bytes;
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
  [Symbol.iterator](): Iterator<Delivery> {
    return this.#waiting[Symbol.iterator]();
  }

  peek(): Delivery | undefined {
    return this.#waiting.peek();
  }

  /** The next one in memory. */
  shift(): Delivery | undefined {
    const delivery = this.#take();
    if (delivery !== undefined) this.#left(delivery.bytes);
    return delivery;
  }

  #take(): Delivery | undefined {
    const delivery = this.#waiting.shift();
    if (delivery === undefined) return undefined;
    const { bytes } = delivery;
    this.#bytes -= bytes;
    this.#totals.messages--;
    this.#totals.bytes -= bytes;
    letGo(this.#account, queues, delivery.message, deliveryBytes);
    return delivery;
  }

  /** Takes out everything in memory that is unwanted, and returns it in order. */
  takeOut(isUnwanted: (delivery: Delivery) => boolean): Delivery[] {
    const all = [...this.#waiting];
    const unwanted = all.filter(isUnwanted);
    if (unwanted.length === 0) return unwanted;
    const gone = new Set(unwanted);
    for (const { bytes } of unwanted) this.#left(bytes);
    this.#clear();
    for (const delivery of all) if (!gone.has(delivery)) this.push(delivery);
    return unwanted;
  }
}
