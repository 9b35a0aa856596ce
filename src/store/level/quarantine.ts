/**
 * Quarantined messages in the database: a record each, staged with what the store commits next. In memory stays how
 * large each is. One that has to make room before it is written never touches the disk.
 */
import type { QuarantinedMessage, QuarantineEntry, QuarantineStore } from '../../contracts/pipeline.ts';
import { AscendingIds } from '../ascending-ids.ts';
import type { ByteWriter } from './bytes.ts';
import type { Database } from './database.ts';
import { key, numberOf, Prefix, readQuarantined, writeQuarantined } from './records.ts';
import type { Staged } from './staged.ts';

export interface QuarantineLimits {
  readonly quarantineMessages: number;
  readonly quarantineBytes: number;
}

export interface QuarantineOptions {
  readonly limits: QuarantineLimits;
  readonly database: () => Database;
  readonly nextId: () => number;
  /** What is staged, and what is being written. */
  readonly collecting: () => Staged;
  readonly committing: () => Staged | null;
  /** Something was staged that an answer may wait for. */
  readonly onStaged: () => void;
  readonly writer: ByteWriter;
}

export class LevelQuarantine implements QuarantineStore {
  bytes = 0;
  readonly #options: QuarantineOptions;
  /** Bytes by number, in order. */
  readonly #sizes = new Map<number, number>();
  readonly #ids = new AscendingIds();

  constructor(options: QuarantineOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#sizes.size;
  }

  get lastId(): number {
    return this.#ids.last;
  }

  /** For the start. */
  restore(at: Buffer, value: Buffer): void {
    readQuarantined(value, numberOf(at));
    this.#sizes.set(numberOf(at), value.length);
    this.#ids.add(numberOf(at));
    this.bytes += value.length;
  }

  put(message: QuarantinedMessage): number {
    const { nextId, collecting, onStaged, writer, limits } = this.#options;
    const id = nextId();
    const value = writeQuarantined(writer, message);
    const size = value.length;
    collecting().quarantine(id, value);
    onStaged();
    this.#sizes.set(id, size);
    this.#ids.add(id);
    this.bytes += size;
    let dropped = 0;
    while (this.#sizes.size > limits.quarantineMessages || this.bytes > limits.quarantineBytes) {
      this.remove(this.#ids.oldest((each) => this.#sizes.has(each))!);
      dropped++;
    }
    return dropped;
  }

  async list(afterId: number, limit: number): Promise<QuarantineEntry[]> {
    const ids = [];
    for (const id of this.#ids.above(afterId)) {
      if (ids.length === limit) break;
      if (this.#sizes.has(id)) ids.push(id);
    }
    const entries = await Promise.all(ids.map((id) => this.get(id)));
    return entries.filter((entry) => entry !== null);
  }

  async get(id: number): Promise<QuarantineEntry | null> {
    if (!this.#sizes.has(id)) return null;
    const { collecting, committing } = this.#options;
    const staged = collecting().quarantined.get(id) ?? committing()?.quarantined.get(id);
    if (staged !== undefined) return readQuarantined(staged, id);
    const [value] = await this.#options.database().getMany([key(Prefix.quarantine, id)]);
    return value === undefined ? null : readQuarantined(value, id);
  }

  has(id: number): boolean {
    return this.#sizes.has(id);
  }

  next(afterId: number): number | null {
    for (const id of this.#ids.above(afterId)) if (this.#sizes.has(id)) return id;
    return null;
  }

  remove(id: number): void {
    const size = this.#sizes.get(id);
    if (size === undefined) return;
    this.#sizes.delete(id);
    this.bytes -= size;
    const staged = this.#options.collecting();
    if (!staged.takeBackQuarantined(id)) staged.delete(key(Prefix.quarantine, id));
  }
}
