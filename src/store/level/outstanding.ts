/**
 * The deliveries one session is not done with, oldest first: 24 bytes each, while their content is on disk. What is
 * done at the front leaves at once, so the front is the session's acknowledgement floor.
 */
import type { DeliverySummary } from '../../contracts/session-store.ts';
import type { QoS } from '../../protocol/packets.ts';
import type { Floor } from './records.ts';

const fields = 3;
const smallest = 4;

/** One delivery as it is known without reading it. */
export interface Entry extends DeliverySummary {
  readonly qos: QoS;
  readonly retain: boolean;
  /** It has subscription identifiers or a shared group, which stand in the record of the recipients. */
  readonly hasDetails: boolean;
  /** Its content stands with its recipients. */
  readonly isInline: boolean;
}

const flagValues = 64;
/** It does not wait: see `claim`. */
const claimedFlag = 32;
const flagsOf = ({ qos, retain, hasDetails, isInline }: Omit<Entry, keyof DeliverySummary>) => {
  return qos + (retain ? 4 : 0) + (hasDetails ? 8 : 0) + (isInline ? 16 : 0);
};

export class Outstanding {
  /** A ring of entries: message number (negative once it is done), bytes and flags in one, expiry. */
  #ring = new Float64Array(smallest * fields);
  #capacity = smallest;
  #head = 0;
  /** Entries in the ring, done or not. */
  #entries = 0;
  /** The highest number that has left the front: all up to it are done. */
  #floor: number;
  count = 0;
  bytes = 0;

  /** `floor`: what the session was done with in earlier lives. Others may still want those messages. */
  constructor(floor = 0) {
    this.#floor = floor;
  }

  /** Numbers come in rising order. */
  push(entry: Entry): void {
    const at = this.#append();
    this.#ring[at] = entry.messageId;
    this.#ring[at + 1] = entry.bytes * flagValues + flagsOf(entry);
    this.#ring[at + 2] = entry.expiresAt;
    this.count++;
    this.bytes += entry.bytes;
  }

  /** One that the session was done with in an earlier life, above its floor: the next floor has to say so again. */
  pushDone(messageId: number): void {
    if (this.#entries === 0) {
      this.#floor = messageId;
      return;
    }
    const at = this.#append(); // which may replace the ring
    this.#ring[at] = -messageId;
  }

  #append(): number {
    if (this.#entries === this.#capacity) this.#resize(this.#capacity * 2);
    return this.#at(this.#entries++);
  }

  /** Returns null if it was not there, or done before. */
  remove(messageId: number): Entry | null {
    const index = this.#indexOf(messageId);
    if (index < 0) return null;
    const entry = this.#entry(index);
    this.#ring[this.#at(index)] = -messageId;
    this.count--;
    this.bytes -= entry.bytes;
    while (this.#entries > 0 && this.#ring[this.#at(0)]! < 0) {
      this.#floor = -this.#ring[this.#at(0)]!;
      this.#head = (this.#head + 1) % this.#capacity;
      this.#entries--;
    }
    if (this.#capacity > 64 && this.#entries < this.#capacity / 8) this.#resize(this.#capacity / 2);
    return entry;
  }

  /** The oldest one; null: there is none. */
  get first(): Entry | null {
    return this.#entries === 0 ? null : this.#entry(0);
  }

  /** It does not wait any more: it has a packet identifier, or is on its way to another session. */
  claim(messageId: number): void {
    const index = this.#indexOf(messageId);
    if (index < 0) return;
    const at = this.#at(index) + 1;
    if (this.#ring[at]! % flagValues < claimedFlag) this.#ring[at]! += claimedFlag;
  }

  isOutstanding(messageId: number): boolean {
    return this.#indexOf(messageId) >= 0;
  }

  /** The first ones above this number that wait, as many as fit in so many bytes, but at least one. */
  waiting(afterMessageId: number, most: number, bytesMax: number): Entry[] {
    const page: Entry[] = [];
    let bytes = 0;
    for (let index = this.#indexAfter(afterMessageId); index < this.#entries && page.length < most; index++) {
      const at = this.#at(index);
      if (this.#ring[at]! < 0 || this.#ring[at + 1]! % flagValues >= claimedFlag) continue;
      const entry = this.#entry(index);
      if (page.length > 0 && bytes + entry.bytes > bytesMax) break;
      page.push(entry);
      bytes += entry.bytes;
    }
    return page;
  }

  /** -1: it is not there, or done. Mostly it is the first one. */
  #indexOf(messageId: number): number {
    const index = this.#entries > 0 && this.#ring[this.#at(0)] === messageId ? 0 : this.#indexAfter(messageId - 1);
    return index < this.#entries && this.#ring[this.#at(index)] === messageId ? index : -1;
  }

  #entry(index: number): Entry {
    const at = this.#at(index);
    const flags = this.#ring[at + 1]! % flagValues;
    return {
      messageId: this.#ring[at]!,
      bytes: Math.floor(this.#ring[at + 1]! / flagValues),
      expiresAt: this.#ring[at + 2]!,
      qos: (flags & 3) as QoS,
      retain: (flags & 4) !== 0,
      hasDetails: (flags & 8) !== 0,
      isInline: (flags & 16) !== 0,
    };
  }

  get floor(): Floor {
    const done: number[] = [];
    // Mostly all of them are to come.
    if (this.count === this.#entries) return { floor: this.#floor, done };
    for (let index = 0; index < this.#entries; index++) {
      const messageId = this.#ring[this.#at(index)]!;
      if (messageId < 0) done.push(-messageId);
    }
    return { floor: this.#floor, done };
  }

  #at(index: number): number {
    return ((this.#head + index) % this.#capacity) * fields;
  }

  /** The index of the first entry above this number, done or not: a binary search. */
  #indexAfter(messageId: number): number {
    let low = 0;
    let high = this.#entries;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Math.abs(this.#ring[this.#at(middle)]!) <= messageId) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #resize(capacity: number): void {
    const ring = new Float64Array(capacity * fields);
    for (let index = 0; index < this.#entries; index++) {
      const at = this.#at(index);
      for (let field = 0; field < fields; field++) ring[index * fields + field] = this.#ring[at + field]!;
    }
    this.#ring = ring;
    this.#capacity = capacity;
    this.#head = 0;
  }
}
