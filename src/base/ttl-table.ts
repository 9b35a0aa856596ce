/**
 * What is remembered by name until a time, in bounded room.
 *
 * When it is full, a new entry takes the place of one that has passed, or else of that which passes soonest among a
 * few. So a peer that invents names in order to be forgotten displaces its own: an entry that is to last long stays
 * while others pass before it.
 */
export interface Passing {
  /** Milliseconds since the epoch. */
  readonly until: number;
}

/** Looked at to find room for one. */
const sampleSize = 16;
/** 2^32 over the golden ratio, so that steps of it spread evenly. */
const stride = 0x9e3779b1;

export class TtlTable<T extends Passing> {
  readonly #entriesMax: number;
  readonly #slots = new Map<string, number>();
  readonly #names: string[] = [];
  readonly #entries: T[] = [];
  /** Where the last sample ended. */
  #hand = 0;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  /** Those that have passed and were not asked for since are still counted. */
  get size(): number {
    return this.#slots.size;
  }

  get(name: string, now: number): T | null {
    const slot = this.#slots.get(name);
    if (slot === undefined) return null;
    const entry = this.#entries[slot]!;
    if (entry.until > now) return entry;
    this.#remove(slot);
    return null;
  }

  /** Returns the entry in whose place it comes: its own before, or another one's for which there is no room. */
  set(name: string, entry: T): T | null {
    if (this.#entriesMax === 0) return null;
    let slot = this.#slots.get(name);
    if (slot === undefined) {
      slot = this.#names.length < this.#entriesMax ? this.#names.length : this.#leastLasting();
      if (slot < this.#names.length) this.#slots.delete(this.#names[slot]!);
      this.#names[slot] = name;
      this.#slots.set(name, slot);
    }
    const before = this.#entries[slot] ?? null;
    this.#entries[slot] = entry;
    return before;
  }

  delete(name: string): boolean {
    const slot = this.#slots.get(name);
    if (slot === undefined) return false;
    this.#remove(slot);
    return true;
  }

  /** Those that have not passed. */
  *entries(now: number): Generator<[name: string, entry: T]> {
    for (const [slot, entry] of this.#entries.entries()) if (entry.until > now) yield [this.#names[slot]!, entry];
  }

  clear(): void {
    this.#slots.clear();
    this.#names.length = this.#entries.length = this.#hand = 0;
  }

  /** The last one moves into its place. */
  #remove(slot: number): void {
    this.#slots.delete(this.#names[slot]!);
    const name = this.#names.pop()!;
    const entry = this.#entries.pop()!;
    if (slot === this.#names.length) return;
    this.#names[slot] = name;
    this.#entries[slot] = entry;
    this.#slots.set(name, slot);
  }

  #leastLasting(): number {
    let found = this.#next();
    for (let i = 1; i < sampleSize; i++) {
      const slot = this.#next();
      if (this.#entries[slot]!.until < this.#entries[found]!.until) found = slot;
    }
    return found;
  }

  /** Far from the one before: what came together stands together. */
  #next(): number {
    this.#hand = (this.#hand + stride) >>> 0;
    return this.#hand % this.#entries.length;
  }
}

/** Levels that rise with each event and fall with time: leaky buckets, by name, in bounded room. */
export class LeakyBuckets {
  readonly #leakMs: number;
  readonly #table: TtlTable<Passing>;

  /** One drop leaks out in `leakMs`. */
  constructor(leakMs: number, entriesMax: number) {
    this.#leakMs = leakMs;
    this.#table = new TtlTable(entriesMax);
  }

  /** How many drops are in it; parts of one count. */
  level(name: string, now: number): number {
    const entry = this.#table.get(name, now);
    return entry === null ? 0 : (entry.until - now) / this.#leakMs;
  }

  /** Adds a drop and returns how many there are now; the one that is leaking counts as whole. */
  add(name: string, now: number): number {
    const level = this.level(name, now) + 1;
    this.#table.set(name, { until: now + level * this.#leakMs });
    return Math.ceil(level);
  }

  empty(name: string): void {
    this.#table.delete(name);
  }
}
