/**
 * What waits for one session: messages it cannot be sent yet, in their order, within a bound in messages and in bytes.
 */
import { Deque } from '../base/deque.ts';
import type { Delivery } from './delivery.ts';

export class SessionQueue {
  readonly #waiting = new Deque<Delivery>();
  #bytes = 0;

  get length(): number {
    return this.#waiting.length;
  }

  /** Payloads, properties and topics. */
  get bytes(): number {
    return this.#bytes;
  }

  hasRoomFor(bytes: number, limits: { readonly queueMessages: number; readonly queueBytes: number }): boolean {
    return this.#waiting.length < limits.queueMessages && this.#bytes + bytes <= limits.queueBytes;
  }

  /** The caller checks `hasRoomFor` first: it decides what to drop. */
  push(delivery: Delivery): void {
    this.#waiting.push(delivery);
    this.#bytes += delivery.message.size;
  }

  peek(): Delivery | undefined {
    return this.#waiting.peek();
  }

  shift(): Delivery | undefined {
    const delivery = this.#waiting.shift();
    if (delivery !== undefined) this.#bytes -= delivery.message.size;
    return delivery;
  }

  /** Takes out everything that is unwanted, and returns it in order. */
  takeOut(isUnwanted: (delivery: Delivery) => boolean): Delivery[] {
    const all = [...this.#waiting];
    const unwanted = all.filter(isUnwanted);
    if (unwanted.length === 0) return unwanted;
    const gone = new Set(unwanted);
    this.#waiting.clear();
    this.#bytes = 0;
    for (const delivery of all) if (!gone.has(delivery)) this.push(delivery);
    return unwanted;
  }

  [Symbol.iterator](): Iterator<Delivery> {
    return this.#waiting[Symbol.iterator]();
  }
}
