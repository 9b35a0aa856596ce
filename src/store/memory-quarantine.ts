/** Quarantined messages of a broker that keeps nothing on disk. */
import type { QuarantinedMessage, QuarantineEntry, QuarantineStore, QuarantineSummary } from '../contracts/pipeline.ts';
import { AscendingIds } from './ascending-ids.ts';
import { pageOf, summaryOf } from './quarantine-summary.ts';

/** What an entry takes beside its payload and texts, about. */
const entryBytes = 500;

function bytesOf({ message, reason }: QuarantinedMessage): number {
  const { topic, payload, contentType = '', responseTopic = '', correlationData, userProperties } = message;
  const texts = [reason, topic, contentType, responseTopic, ...userProperties.flat()];
  return texts.reduce((sum, { length }) => sum + length, entryBytes + payload.length + (correlationData?.length ?? 0));
}

export class MemoryQuarantine implements QuarantineStore {
  bytes = 0;
  readonly #limits: { readonly quarantineMessages: number; readonly quarantineBytes: number };
  readonly #entries = new Map<number, QuarantineEntry>();
  readonly #ids = new AscendingIds();
  #lastId = 0;

  constructor(limits: { readonly quarantineMessages: number; readonly quarantineBytes: number }) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#entries.size;
  }

  get lastId(): number {
    return this.#ids.last;
  }

  put(quarantined: QuarantinedMessage): number {
    const id = ++this.#lastId;
    const message = { ...quarantined.message, payload: Buffer.from(quarantined.message.payload) };
    const entry = { ...quarantined, message, id };
    this.#entries.set(id, entry);
    this.#ids.add(id);
    this.bytes += bytesOf(entry);
    let dropped = 0;
    const { quarantineMessages, quarantineBytes } = this.#limits;
    while (this.#entries.size > quarantineMessages || this.bytes > quarantineBytes) {
      this.remove(this.#ids.oldest((each) => this.#entries.has(each))!);
      dropped++;
    }
    return dropped;
  }

  list(afterId: number, limit: number): QuarantineSummary[] {
    return pageOf(this.#above(afterId), limit);
  }

  *#above(afterId: number): Generator<QuarantineSummary> {
    for (const id of this.#ids.above(afterId)) {
      const entry = this.#entries.get(id);
      if (entry !== undefined) yield summaryOf(entry);
    }
  }

  async get(id: number): Promise<QuarantineEntry | null> {
    return this.#entries.get(id) ?? null;
  }

  has(id: number): boolean {
    return this.#entries.has(id);
  }

  next(afterId: number): number | null {
    for (const id of this.#ids.above(afterId)) if (this.#entries.has(id)) return id;
    return null;
  }

  remove(id: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.bytes -= bytesOf(entry);
  }
}
