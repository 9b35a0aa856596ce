/**
 * Quarantined messages in the database: a record each, staged with what the store commits next. In memory stay how
 * large each is, and its texts without the payload, so lists need no disk; the texts count in the size. A message that
 * has to make room before it is written never touches the disk.
 */
import type {
  QuarantinedMessage,
  QuarantineEntry,
  QuarantineStore,
  QuarantineSummary,
} from '../../contracts/pipeline.ts';
import { AscendingIds } from '../ascending-ids.ts';
import { pageOf, summaryOf } from '../quarantine-summary.ts';
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
  /** By number, in order; `size`: bytes of the record. */
  readonly #kept = new Map<number, { readonly size: number; readonly summary: QuarantineSummary }>();
  readonly #ids = new AscendingIds();

  constructor(options: QuarantineOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#kept.size;
  }

  get lastId(): number {
    return this.#ids.last;
  }

  /** For the start. */
  restore(at: Buffer, value: Buffer): void {
    const id = numberOf(at);
    this.#keep(value.length, summaryOf(readQuarantined(value, id)));
  }

  #keep(size: number, summary: QuarantineSummary): void {
    this.#kept.set(summary.id, { size, summary });
    this.#ids.add(summary.id);
    this.bytes += size;
  }

  put(message: QuarantinedMessage): number {
    const { nextId, collecting, onStaged, writer, limits } = this.#options;
    const id = nextId();
    const value = writeQuarantined(writer, message);
    collecting().quarantine(id, value);
    onStaged();
    this.#keep(value.length, summaryOf({ ...message, id }));
    let dropped = 0;
    while (this.#kept.size > limits.quarantineMessages || this.bytes > limits.quarantineBytes) {
      this.remove(this.#ids.oldest((each) => this.#kept.has(each))!);
      dropped++;
    }
    return dropped;
  }

  list(afterId: number, limit: number): QuarantineSummary[] {
    return pageOf(this.#above(afterId), limit);
  }

  *#above(afterId: number): Generator<QuarantineSummary> {
    for (const id of this.#ids.above(afterId)) {
      const kept = this.#kept.get(id);
      if (kept !== undefined) yield kept.summary;
    }
  }

  async get(id: number): Promise<QuarantineEntry | null> {
    if (!this.#kept.has(id)) return null;
    const { collecting, committing } = this.#options;
    const staged = collecting().quarantined.get(id) ?? committing()?.quarantined.get(id);
    if (staged !== undefined) return readQuarantined(staged, id);
    const [value] = await this.#options.database().getMany([key(Prefix.quarantine, id)]);
    return value === undefined ? null : readQuarantined(value, id);
  }

  has(id: number): boolean {
    return this.#kept.has(id);
  }

  next(afterId: number): number | null {
    for (const id of this.#ids.above(afterId)) if (this.#kept.has(id)) return id;
    return null;
  }

  remove(id: number): void {
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    this.#kept.delete(id);
    this.bytes -= kept.size;
    const staged = this.#options.collecting();
    if (!staged.takeBackQuarantined(id)) staged.delete(key(Prefix.quarantine, id));
  }
}
