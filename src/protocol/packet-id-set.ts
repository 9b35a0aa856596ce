/**
 * A set of packet identifiers. A client may leave all 65,535 of them open: beyond some hundreds they are bits in 8 KiB,
 * where a `Set` would take 2.5 MB.
 */
import { Account, Category, unlimited } from '../base/ledger.ts';
import type { PacketId } from './packets.ts';

const fewMax = 256;
const bitmapBytes = 8_192;
/** One of a few, in a `Set`. */
const idBytes = 40;

export class PacketIdSet {
  readonly #account: Account;
  #few: Set<PacketId> | null = null;
  /** In place of `#few`, until the set is empty again. */
  #bits: Uint8Array | null = null;
  #size = 0;

  /** Charged with what it takes. */
  constructor(account = new Account(unlimited)) {
    this.#account = account;
  }

  get size(): number {
    return this.#size;
  }

  get footprint(): number {
    return this.#bits === null ? this.#size * idBytes : bitmapBytes;
  }

  has(id: PacketId): boolean {
    if (this.#bits !== null) return (this.#bits[id >> 3]! & (1 << (id & 7))) !== 0;
    return this.#few?.has(id) === true;
  }

  add(id: PacketId): void {
    if (this.has(id)) return;
    const before = this.footprint;
    if (this.#bits === null && this.#size === fewMax) this.#spread();
    if (this.#bits !== null) this.#bits[id >> 3]! |= 1 << (id & 7);
    else (this.#few ??= new Set()).add(id);
    this.#size++;
    this.#account.add(Category.inFlight, this.footprint - before);
  }

  #spread(): void {
    this.#bits = new Uint8Array(bitmapBytes);
    for (const id of this.#few!) this.#bits[id >> 3]! |= 1 << (id & 7);
    this.#few = null;
  }

  /** Returns whether it was there. */
  delete(id: PacketId): boolean {
    if (!this.has(id)) return false;
    const before = this.footprint;
    if (this.#bits !== null) this.#bits[id >> 3]! &= ~(1 << (id & 7));
    else this.#few!.delete(id);
    if (--this.#size === 0) this.#bits = null;
    this.#account.add(Category.inFlight, this.footprint - before);
    return true;
  }

  clear(): void {
    this.#account.add(Category.inFlight, -this.footprint);
    this.#few = this.#bits = null;
    this.#size = 0;
  }

  *[Symbol.iterator](): Generator<PacketId> {
    if (this.#few !== null) yield* this.#few;
    if (this.#bits !== null) for (let id = 1; id <= 0xffff; id++) if (this.has(id)) yield id;
  }
}
