/**
 * Quarantined messages in the database: a record each, staged with what the store commits next. In memory stays how large each is.
 */
import type { QuarantinedMessage, QuarantineEntry, QuarantineStore } from '../../contracts/pipeline.ts';
import type { ByteWriter } from './bytes.ts';
import type { Database } from './database.ts';
import { key, numberOf, Prefix, readQuarantined, writeQuarantined } from './records.ts';

export interface QuarantineLimits {
  readonly quarantineMessages: number;
  readonly quarantineBytes: number;
}

export interface QuarantineOptions {
  readonly limits: QuarantineLimits;
  readonly database: () => Database;
  readonly nextId: () => number;
  /** Stages a value, or with null a deletion. */
  readonly stage: (key: Buffer, value: Buffer | null) => void;
  readonly writer: ByteWriter;
}

export class LevelQuarantine implements QuarantineStore {
  bytes = 0;
  readonly #options: QuarantineOptions;
  /** Bytes by number, in order. */
  readonly #sizes = new Map<number, number>();
  /** What is staged, and what is being written, cannot be read yet. */
  #staged = new Map<number, QuarantineEntry>();
  #writing = new Map<number, QuarantineEntry>();

  constructor(options: QuarantineOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#sizes.size;
  }

  /** For the start. */
  restore(at: Buffer, value: Buffer): void {
    readQuarantined(value, numberOf(at));
    this.#sizes.set(numberOf(at), value.length);
    this.bytes += value.length;
  }

  put(message: QuarantinedMessage): number {
    const { nextId, stage, writer, limits } = this.#options;
    const id = nextId();
    const value = writeQuarantined(writer, message);
    const size = value.length;
    stage(key(Prefix.quarantine, id), value);
    this.#sizes.set(id, size);
    this.bytes += size;
    const payload = Buffer.from(message.message.payload);
    this.#staged.set(id, { ...message, message: { ...message.message, payload }, id });
    let dropped = 0;
    while (this.#sizes.size > limits.quarantineMessages || this.bytes > limits.quarantineBytes) {
      this.remove(this.#sizes.keys().next().value!);
      dropped++;
    }
    return dropped;
  }

  /** A commit of what is staged begins. */
  writing(): void {
    this.#writing = this.#staged;
    this.#staged = new Map();
  }

  /** It is done. */
  settled(): void {
    this.#writing = new Map();
  }

  async list(afterId: number, limit: number): Promise<QuarantineEntry[]> {
    const ids = [];
    for (const id of this.#sizes.keys()) {
      if (ids.length === limit) break;
      if (id > afterId) ids.push(id);
    }
    const entries = await Promise.all(ids.map((id) => this.get(id)));
    return entries.filter((entry) => entry !== null);
  }

  async get(id: number): Promise<QuarantineEntry | null> {
    if (!this.#sizes.has(id)) return null;
    const recent = this.#staged.get(id) ?? this.#writing.get(id);
    if (recent !== undefined) return recent;
    const [value] = await this.#options.database().getMany([key(Prefix.quarantine, id)]);
    return value === undefined ? null : readQuarantined(value, id);
  }

  remove(id: number): void {
    const size = this.#sizes.get(id);
    if (size === undefined) return;
    this.#sizes.delete(id);
    this.#staged.delete(id);
    this.bytes -= size;
    this.#options.stage(key(Prefix.quarantine, id), null);
  }
}
