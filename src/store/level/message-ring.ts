/**
 * Messages in memory by their number: those not written yet, and behind them a cache of the newest that are. Numbers
 * rise and lie close together, so a ring does what a map would, without hashing.
 */

import type { StoredDelivery } from '../../contracts/session-store.ts';
import type { Message, SharedContent } from '../../protocol/message.ts';
import type { IdList } from './id-lists.ts';

export interface Recipient {
  readonly sid: number;
  readonly delivery: StoredDelivery;
  /** What has a record of its own, perhaps for other messages as well; null: its identifiers stand with it. */
  readonly idList: IdList | null;
}

/** What a message is committed with: `Staged`, as far as it matters here. */
interface Batch {
  addRecipient(recipient: Recipient): void;
  takenBack(): void;
}

export class ResidentMessage {
  readonly message: Message;
  /** Who is to get it; what is written. */
  readonly recipients: Recipient[];
  /**
   * What has a record of its own, perhaps in common with other messages; null: the content stands with the recipients.
   */
  readonly content: SharedContent | null;
  /** Where it was staged, until that is under way: then nothing of it can be taken back any more. */
  batch: Batch | null;
  /** It is written, and counts as cached. */
  isCached = false;
  /** What long lists of identifiers take. They count in full for each message: others may have let go of them. */
  idBytes = 0;

  constructor(message: Message, recipients: Recipient[], content: SharedContent | null, batch: Batch | null) {
    this.message = message;
    this.recipients = recipients;
    this.content = content;
    this.batch = batch;
  }
}

const smallestRing = 1_024;
/**
 * What is cached is dropped before the ring grows beyond this: an old message must not span all that came and went
 * since.
 */
const cachingRing = 1_048_576;
/** A message that is written may displace so many: one that is large takes the room of many small ones. */
const evictionsPerMessage = 1_000;
/** Evicted in one go where memory is short. */
const evictionsInRow = 1_000;
/** What a cached message takes beside its payload, about. */
const messageOverhead = 400;

export class MessageRing {
  /** Of the cache; at most `#cacheBytesMax`. */
  cachedBytes = 0;
  #cacheBytesMax: number;
  readonly #onEvicted: (message: ResidentMessage) => void;
  #slots: (ResidentMessage | undefined)[] = new Array(smallestRing);
  /** Every message here has a number in [#first, #end). */
  #first = 0;
  #end = 0;
  /** None that is cached has a smaller number. */
  #cachedFrom = 0;

  constructor(cacheBytesMax: number, onEvicted: (message: ResidentMessage) => void = () => {}) {
    this.#cacheBytesMax = cacheBytesMax;
    this.#onEvicted = onEvicted;
  }

  get(id: number): ResidentMessage | undefined {
    if (id < this.#first || id >= this.#end) return undefined;
    return this.#slots[id & (this.#slots.length - 1)];
  }

  /** `id` is above all that are written; those that are not may come in any order. */
  add(id: number, entry: ResidentMessage): void {
    if (this.#first === this.#end) this.#first = this.#end = id;
    const end = Math.max(this.#end, id + 1);
    while (end - Math.min(this.#first, id) > this.#slots.length) this.#makeRoom();
    this.#first = Math.min(this.#first, id);
    this.#end = end;
    this.#slots[id & (this.#slots.length - 1)] = entry;
  }

  #makeRoom(): void {
    if (this.#slots.length >= cachingRing && this.get(this.#first)?.isCached === true) this.#evict(this.#first);
    else this.#grow();
  }

  /** Returns what was there. */
  delete(id: number): ResidentMessage | undefined {
    const entry = this.get(id);
    if (entry === undefined) return undefined;
    this.#slots[id & (this.#slots.length - 1)] = undefined;
    this.#skipEmpty();
    // One that is done with while its batch is under way was never counted.
    if (entry.isCached) this.#discount(entry);
    return entry;
  }

  #evict(id: number): void {
    const entry = this.delete(id);
    if (entry !== undefined) this.#onEvicted(entry);
  }

  /** Content that cached messages have in common counts once. */
  #count({ message, content, idBytes }: ResidentMessage): void {
    this.cachedBytes += messageOverhead + idBytes + (content === null || content.cached++ === 0 ? message.size : 0);
  }

  #discount({ message, content, idBytes }: ResidentMessage): void {
    this.cachedBytes -= messageOverhead + idBytes + (content === null || --content.cached === 0 ? message.size : 0);
  }

  /** The message is written: it stays as long as there is room, and makes room for newer ones. */
  written(id: number): void {
    const entry = this.get(id);
    if (entry === undefined) return; // done with meanwhile
    entry.isCached = true;
    this.#count(entry);
    this.#cachedFrom = Math.min(this.#cachedFrom, id);
    this.#shrinkCache(evictionsPerMessage);
  }

  /** Lowers or raises the bound, and evicts some of what is beyond it. Returns whether there is more to evict. */
  limitCache(bytes: number): boolean {
    this.#cacheBytesMax = bytes;
    this.#shrinkCache(evictionsInRow);
    return this.cachedBytes > bytes;
  }

  #shrinkCache(most: number): void {
    let left = most;
    for (let id = Math.max(this.#first, this.#cachedFrom); this.cachedBytes > this.#cacheBytesMax; id++) {
      if (left <= 0) return;
      this.#cachedFrom = id + 1;
      if (this.get(id)?.isCached !== true) continue;
      this.#evict(id);
      left--;
    }
  }

  #skipEmpty(): void {
    while (this.#first < this.#end && this.#slots[this.#first & (this.#slots.length - 1)] === undefined) this.#first++;
  }

  #grow(): void {
    const slots: (ResidentMessage | undefined)[] = new Array(this.#slots.length * 2);
    for (let id = this.#first; id < this.#end; id++) slots[id & (slots.length - 1)] = this.get(id);
    this.#slots = slots;
  }
}
