/**
 * What waits for one session: messages it cannot be sent yet, in their order, within a bound in messages and in bytes.
 *
 * The first ones are in memory. Those behind may be left to the store ("spilled"), which gives them back page by page.
 */
import { Deque } from '../base/deque.ts';
import type { Backlog } from '../contracts/session-store.ts';
import type { Message } from '../protocol/message.ts';
import type { Delivery } from './delivery.ts';

export class SessionQueue {
  readonly #waiting = new Deque<Delivery>();
  #bytes = 0;
  #spilled = 0;
  #spilledBytes = 0;
  /** A page is being read. */
  isLoading = false;
  /** The spilled ones are those that the store has after this message number. */
  position = 0;
  /** So many of the first ones may have been sent before the broker was started: which ones, it did not write down. */
  #maybeSent = 0;

  get length(): number {
    return this.#waiting.length + this.#spilled;
  }

  /** Payloads, properties and topics. */
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

  hasRoomFor(bytes: number, limits: { readonly queueMessages: number; readonly queueBytes: number }): boolean {
    return this.length < limits.queueMessages && this.bytes + bytes <= limits.queueBytes;
  }

  /** The caller checks `hasRoomFor` first: it decides what to drop. Nothing may be spilled. */
  push(delivery: Delivery): void {
    this.#waiting.push(delivery);
    this.#bytes += delivery.message.size;
    this.position = Math.max(this.position, delivery.message.id);
  }

  /** The store has one more behind the others. */
  spill({ id, size }: Message): void {
    // What the store has before it is in memory, or under way already.
    if (this.#spilled === 0) this.position = id - 1;
    this.#spilled++;
    this.#spilledBytes += size;
  }

  /** Leaves to the store what is in memory as well; all of it must be stored. */
  spillAll(): void {
    const first = this.#waiting.peek();
    if (first === undefined) return;
    this.#spilled += this.#waiting.length;
    this.#spilledBytes += this.#bytes;
    this.position = first.message.id - 1;
    this.#waiting.clear();
    this.#bytes = 0;
  }

  /** What the store had at the start; `windowMax` of it may have been on its way then. */
  restoreSpilled({ messages, bytes }: Backlog, windowMax: number): void {
    this.#spilled = messages;
    this.#spilledBytes = bytes;
    this.#maybeSent = Math.min(messages, windowMax);
  }

  /** Asked for each one that is sent or dropped from the front, in order: whether it may have been sent before. */
  takeMaybeSent(): boolean {
    if (this.#maybeSent === 0) return false;
    this.#maybeSent--;
    return true;
  }

  /** The oldest spilled one, with this number, is gone. */
  dropSpilled(messageId: number, bytes: number): void {
    this.position = messageId;
    this.#spilled--;
    this.#spilledBytes -= bytes;
  }

  /** A page of spilled ones is in memory now; those dropped since it was asked for are passed over. */
  load(deliveries: readonly Delivery[], damaged: Backlog): void {
    this.dropDamaged(damaged);
    for (const delivery of deliveries) {
      if (delivery.message.id <= this.position) continue;
      this.#spilled--;
      this.#spilledBytes -= delivery.message.size;
      this.push(delivery);
    }
  }

  /** Spilled ones that could not be read are gone. */
  dropDamaged({ messages, bytes }: Backlog): void {
    this.#spilled -= messages;
    this.#spilledBytes -= bytes;
  }

  /** One of the spilled ones, wherever it stands, is gone. */
  takeSpilled(bytes: number): void {
    this.#spilled--;
    this.#spilledBytes -= bytes;
    this.#maybeSent = Math.min(this.#maybeSent, this.length);
  }

  peek(): Delivery | undefined {
    return this.#waiting.peek();
  }

  /** The next one in memory. */
  shift(): Delivery | undefined {
    const delivery = this.#waiting.shift();
    if (delivery !== undefined) this.#bytes -= delivery.message.size;
    return delivery;
  }

  /** Takes out everything in memory that is unwanted, and returns it in order. */
  takeOut(isUnwanted: (delivery: Delivery) => boolean): Delivery[] {
    const all = [...this.#waiting];
    const unwanted = all.filter(isUnwanted);
    if (unwanted.length === 0) return unwanted;
    const gone = new Set(unwanted);
    this.#maybeSent -= all.slice(0, this.#maybeSent).filter((delivery) => gone.has(delivery)).length;
    this.#waiting.clear();
    this.#bytes = 0;
    for (const delivery of all) if (!gone.has(delivery)) this.push(delivery);
    return unwanted;
  }
}
