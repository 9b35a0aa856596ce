/**
 * A double-ended queue over a ring that grows by doubling. Nothing is allocated until the first push, and an emptied
 * queue gives a large ring back. Its bound is its owner's business: see `core/session-queue.ts`.
 */
import { assert } from './assert.ts';

const smallRing = 16;

export class Deque<T> {
  #ring: (T | undefined)[] = [];
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = item;
    this.#length++;
  }

  unshift(item: T): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#ring.length - 1);
    this.#ring[this.#head] = item;
    this.#length++;
  }

  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#ring[this.#head];
  }

  peekLast(): T | undefined {
    return this.#length === 0 ? undefined : this.#ring[(this.#head + this.#length - 1) & (this.#ring.length - 1)];
  }

  /** The one behind `index` others; undefined if they are fewer. */
  at(index: number): T | undefined {
    return index < this.#length ? this.#ring[(this.#head + index) & (this.#ring.length - 1)] : undefined;
  }

  /** The one behind `index` others, which are as many at least, becomes another one. */
  replace(index: number, item: T): void {
    assert(index < this.#length, `a queue of ${this.#length} has nothing behind ${index} others`);
    this.#ring[(this.#head + index) & (this.#ring.length - 1)] = item;
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    if (--this.#length === 0 && this.#ring.length > smallRing) this.clear();
    return item;
  }

  clear(): void {
    this.#ring = [];
    this.#head = this.#length = 0;
  }

  /** Front to back. The queue must not change meanwhile. */
  *[Symbol.iterator](): Generator<T> {
    for (let i = 0; i < this.#length; i++) yield this.#ring[(this.#head + i) & (this.#ring.length - 1)] as T;
  }

  #grow(): void {
    const [ring, length] = [this.#ring, this.#length];
    this.#ring = new Array<T | undefined>(Math.max(smallRing, length * 2)).fill(undefined);
    for (let i = 0; i < length; i++) this.#ring[i] = ring[(this.#head + i) & (length - 1)];
    this.#head = 0;
  }
}
