/**
 * What all nodes of a cluster remember together, as one broker does in its notes: which broker they are for others, and
 * what a node has to know of bridges that another one ran. Each is a record, and the last write counts. A node knows of
 * what others have written since it last looked.
 */
import { createHash } from 'node:crypto';
import type { Timers } from '../base/clock.ts';
import {
  type EngineStream,
  EngineUnavailable,
  type Sequence,
  type StreamSettings,
} from '../contracts/cluster-engine.ts';
import { KeyedTasks } from './keyed-tasks.ts';
import { Conflict, Records, RecordsFull } from './records.ts';
import { decodeVersioned } from './versioned-json.ts';

export interface ClusterNotesOptions {
  readonly stream: EngineStream;
  readonly entryBytesMax: number;
  /** By chance, of each start another one. */
  readonly token: string;
  readonly timers: Timers;
  /** Why nothing can be written, for an operator; null: it can. */
  readonly failing: (why: string | null) => void;
}

export const notesStream: StreamSettings = {
  ...{ name: 'notes', keeps: 'newestOfSubject', whenFull: 'refuse', bytesMax: 33_554_432 },
};

const idNote = 'broker/id';
/** Others are about one run of a node, or it can do without them: see docs/internals/bridge.md. */
const sharedPrefixes = [idNote, 'bridge/paused/', 'bridge/in/filters/'];
const formatVersion = 1;
const retryMs = 100;

interface NoteRecord {
  readonly v: number;
  /** No two writes are the same. */
  readonly by: string;
  readonly write: number;
  /** In Base64; null: there is none any more. */
  readonly value: string | null;
}

export class ClusterNotes {
  /** Another node has written this, or took it away (null). Set once. */
  onChange: (name: string, value: Buffer | null) => void = () => {};
  readonly #options: ClusterNotesOptions;
  readonly #records: Records;
  readonly #tasks = new KeyedTasks();
  readonly #values = new Map<string, Buffer>();
  /** Somebody has written these while this node was about to. */
  readonly #passedOver = new Set<string>();
  #at: Sequence = 0;
  #writes = 0;
  #hasEnded = false;

  constructor(options: ClusterNotesOptions) {
    this.#options = options;
    this.#records = new Records(options.stream, options.timers);
  }

  close(): void {
    this.#hasEnded = true;
    this.#records.close();
  }

  get values(): ReadonlyMap<string, Buffer> {
    return this.#values;
  }

  /** Resolves once all notes are known. The first node of a cluster gives it the name that other brokers know. */
  async open(): Promise<void> {
    const { token } = this.#options;
    await this.#records.scan(({ key, revision, value }) => this.#apply(key, revision, value));
    while (!this.#values.has(idNote)) {
      const id = createHash('sha256').update(token).digest('base64url').slice(0, 12);
      try {
        await this.#records.put(idNote, this.#encode(Buffer.from(id)), 0);
      } catch (error) {
        // Another node was faster.
        if (!(error instanceof Conflict)) throw error;
      }
      const stored = await this.#records.get(idNote);
      if (stored !== null) this.#apply(idNote, stored.revision, stored.value);
      else await this.#pause();
    }
  }

  isShared(name: string): boolean {
    return sharedPrefixes.some((prefix) => name.startsWith(prefix));
  }

  /** Finds out what others have written. Rejects with `EngineUnavailable`. */
  refresh(): Promise<void> {
    return this.#tasks.run('', async () => {
      const last = await this.#records.visitSince(this.#at, ({ key, revision, value }) =>
        this.#apply(key, revision, value),
      );
      this.#at = Math.max(this.#at, last);
    });
  }

  /** What is too long for an entry counts as not known. */
  write(name: string, value: Buffer | null): Promise<void> {
    const { entryBytesMax, failing } = this.#options;
    return this.#tasks.run(name, async () => {
      let revision = (await this.#records.get(name))?.revision ?? 0;
      for (;;) {
        const whole = this.#encode(value);
        const bytes = whole.length > entryBytesMax ? this.#encode(null) : whole;
        try {
          await this.#records.put(name, bytes, revision);
          failing(null);
          return this.#written(name);
        } catch (error) {
          if (error instanceof Conflict) revision = error.revision;
          else if (error instanceof RecordsFull) failing(error.message);
          else throw error;
        }
        await this.#pause();
      }
    });
  }

  async #written(name: string): Promise<void> {
    if (!this.#passedOver.delete(name)) return;
    const stored = await this.#records.get(name);
    if (stored !== null) this.#apply(name, stored.revision, stored.value, true);
  }

  async #pause(): Promise<void> {
    await new Promise<void>((resolve) => this.#options.timers.after(retryMs, resolve));
    if (this.#hasEnded) throw new EngineUnavailable('This node has left the cluster');
  }

  #encode(value: Buffer | null): Buffer {
    const write = ++this.#writes;
    const record: NoteRecord = {
      ...{ v: formatVersion, by: this.#options.token, write, value: value?.toString('base64') ?? null },
    };
    return Buffer.from(JSON.stringify(record));
  }

  #apply(name: string, sequence: Sequence, bytes: Uint8Array, isWritten = false): void {
    this.#at = Math.max(this.#at, sequence);
    const record = decodeVersioned<NoteRecord>(bytes, formatVersion);
    if (record === null) return;
    // The own write is on its way, and counts if it is the last one.
    if (this.#tasks.has(name) && !isWritten) return void this.#passedOver.add(name);
    const value = record.value === null ? null : Buffer.from(record.value, 'base64');
    if (value === null) this.#values.delete(name);
    else this.#values.set(name, value);
    this.onChange(name, value);
  }
}
