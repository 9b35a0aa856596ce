/**
 * Records that all nodes share, each changed by compare-and-swap on its revision.
 *
 * A write is never given up while its outcome is unknown: whoever acted as if it had failed would undo what had in
 * fact been done.
 */
import type { Timers } from '../base/clock.ts';
import { type EngineStream, EngineUnavailable, type Sequence } from '../contracts/cluster-engine.ts';

/** What a key holds. `revision` is what the next write of the key expects; 0: the key was never written. */
export interface StoredRecord {
  readonly key: string;
  readonly revision: Sequence;
  readonly value: Uint8Array;
}

/** Somebody else has written the key: read it again, and decide anew. */
export class Conflict extends Error {
  override readonly name = 'Conflict';
  /** Of what is there now. */
  readonly revision: Sequence;

  constructor(key: string, expected: Sequence, revision: Sequence) {
    super(`Record ${key} was to have revision ${expected}, and has ${revision}`);
    this.revision = revision;
  }
}

/** Nothing more can be stored. */
export class RecordsFull extends Error {
  override readonly name = 'RecordsFull';
}

/** How long after an unknown outcome, or no answer, the same is asked again. */
const retryMs = 100;

export class Records {
  readonly #stream: EngineStream;
  readonly #timers: Timers;
  #hasEnded = false;

  /** Of a stream that keeps the newest entry of each subject, and refuses when it is full. */
  constructor(stream: EngineStream, timers: Timers) {
    this.#stream = stream;
    this.#timers = timers;
  }

  /**
   * Null: the key was never written. May be outdated, as every read is; a write that relies on it is refused then.
   */
  async get(key: string): Promise<StoredRecord | null> {
    for (;;) {
      try {
        const entry = await this.#stream.last(key);
        return entry === null ? null : { key, revision: entry.sequence, value: entry.bytes };
      } catch (error) {
        await this.#pauseAfter(error);
      }
    }
  }

  /**
   * Writes if the key still has this revision; resolves to the new one. Rejects with `Conflict`: the value is not
   * there, or was there and has been replaced since; or with `RecordsFull`: it is not there.
   *
   * A value names who writes it, and a node has one write of a key in flight: else it would take the same value of
   * another write for its own.
   */
  async put(key: string, value: Uint8Array, revision: Sequence): Promise<Sequence> {
    let mayComeYet = false;
    for (;;) {
      const outcome = await this.#stream.append(key, value, revision);
      if (outcome.state === 'stored') return outcome.sequence;
      if (outcome.state === 'outdated') {
        const now = await this.get(key);
        const current = now?.revision ?? 0;
        if (now !== null && current > revision && sameBytes(now.value, value)) return current;
        // An old leader has answered the read: it does not know yet what has overtaken us.
        if (current >= outcome.last) throw new Conflict(key, revision, current);
      } else if (outcome.state === 'full' && !mayComeYet) {
        throw new RecordsFull(`Record ${key} cannot be written: stream ${this.#stream.settings.name} is full`);
      } else mayComeYet = true;
      await this.#pause();
    }
  }

  /**
   * Visits every record: one that changes meanwhile as it was, or is, or both. It goes on until it has caught up with
   * whoever writes, since a record that is replaced before its turn comes again at the end.
   */
  async scan(visit: (record: StoredRecord) => void): Promise<void> {
    let at = 0;
    for (;;) {
      const before = at;
      try {
        const last = await this.visitSince(at, (record) => {
          at = record.revision;
          visit(record);
        });
        if (last <= before) return;
        at = last;
      } catch (error) {
        await this.#pauseAfter(error);
      }
    }
  }

  /**
   * Visits the records that were written behind an entry, once. Resolves to the last entry that there was. Rejects with
   * `EngineUnavailable`.
   */
  async visitSince(after: Sequence, visit: (record: StoredRecord) => void): Promise<Sequence> {
    const { last } = await this.#stream.bounds();
    if (last > after) {
      await this.#stream.scan(after, last, ({ sequence, subject, bytes }) => {
        visit({ key: subject, revision: sequence, value: bytes });
      });
    }
    return last;
  }

  /** What waits for an answer rejects instead of asking again: its outcome stays unknown. */
  close(): void {
    this.#hasEnded = true;
  }

  async #pauseAfter(error: unknown): Promise<void> {
    if (!(error instanceof EngineUnavailable)) throw error;
    await this.#pause();
  }

  async #pause(): Promise<void> {
    await new Promise<void>((resolve) => this.#timers.after(retryMs, resolve));
    if (this.#hasEnded) throw new EngineUnavailable('This node has left the cluster; the outcome is unknown');
  }
}

const sameBytes = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
