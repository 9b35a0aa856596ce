/** What the servers hold of one stream: no network, no time. Its size is bounded by `settings.bytesMax`. */
import type { AppendOutcome, Bounds, Entry, Sequence, StreamSettings } from '../../contracts/cluster-engine.ts';

/** What an entry counts for beside its bytes and its subject. */
const entryOverheadBytes = 32;
/** So many entries that were replaced are known yet to whoever answers as of a while ago. */
const replacedKept = 256;

export class StoredStream {
  readonly settings: StreamSettings;
  /** Called with each entry that was stored. */
  readonly onStored = new Set<() => void>();
  /** Entry with sequence `#base + index`; null: it is gone. Never begins with null. */
  readonly #entries: (Entry | null)[] = [];
  #base = 1;
  #bytes = 0;
  readonly #newest = new Map<string, Entry>();
  readonly #replaced: Entry[] = [];

  constructor(settings: StreamSettings) {
    this.settings = settings;
  }

  get bounds(): Bounds {
    return { first: this.#base, last: this.#last };
  }

  get #last(): Sequence {
    return this.#base + this.#entries.length - 1;
  }

  append(subject: string, bytes: Uint8Array, expected: Sequence | null): AppendOutcome {
    const before = this.#newest.get(subject);
    const last = before?.sequence ?? 0;
    if (expected !== null && expected !== last) return { state: 'outdated', last };
    const entry: Entry = { sequence: this.#last + 1, subject, bytes: Uint8Array.from(bytes) };
    const { keeps, whenFull, bytesMax } = this.settings;
    const replaced = keeps === 'newestOfSubject' ? before : undefined;
    const free = bytesMax - this.#bytes + (replaced === undefined ? 0 : sizeOf(replaced));
    if (free < sizeOf(entry) && (whenFull === 'refuse' || sizeOf(entry) > bytesMax)) return { state: 'full' };
    this.#entries.push(entry);
    this.#bytes += sizeOf(entry);
    this.#newest.set(subject, entry);
    if (replaced !== undefined) {
      this.#replaced.push(replaced);
      if (this.#replaced.length > replacedKept) this.#replaced.shift();
      this.#take(replaced.sequence);
    }
    while (this.#bytes > bytesMax) this.#take(this.#base);
    for (const stored of this.onStored) stored();
    return { state: 'stored', sequence: entry.sequence };
  }

  /** As it was when `asOf` was the highest sequence. */
  last(subject: string, asOf: Sequence): Entry | null {
    const newest = this.#newest.get(subject);
    if (newest === undefined || newest.sequence <= asOf) return newest ?? null;
    const { keeps } = this.settings;
    const known = keeps === 'newestOfSubject' ? this.#replaced : this.#entries;
    return known.findLast((entry) => entry !== null && entry.subject === subject && entry.sequence <= asOf) ?? null;
  }

  read(sequence: Sequence, asOf: Sequence): Entry | null {
    return sequence > asOf ? null : (this.#entries[sequence - this.#base] ?? null);
  }

  /** The first entry behind a sequence. */
  following(after: Sequence): Entry | null {
    for (let at = Math.max(0, after + 1 - this.#base); at < this.#entries.length; at++) {
      const entry = this.#entries[at]!;
      if (entry !== null) return entry;
    }
    return null;
  }

  purge(upTo: Sequence): void {
    while (this.#base <= upTo && this.#entries.length > 0) this.#take(this.#base);
  }

  purgeSubject(subject: string): void {
    for (const entry of [...this.#entries]) if (entry?.subject === subject) this.#take(entry.sequence);
  }

  #take(sequence: Sequence): void {
    const entry = this.#entries[sequence - this.#base]!;
    this.#bytes -= sizeOf(entry);
    this.#entries[sequence - this.#base] = null;
    if (this.#newest.get(entry.subject) === entry) this.#newest.delete(entry.subject);
    const live = this.#entries.findIndex((each) => each !== null);
    const gone = live < 0 ? this.#entries.length : live;
    this.#entries.splice(0, gone);
    this.#base += gone;
  }
}

function sizeOf({ subject, bytes }: Entry): number {
  return Buffer.byteLength(subject) + bytes.length + entryOverheadBytes;
}
