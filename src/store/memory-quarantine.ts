/** Quarantined messages of a broker that keeps nothing on disk. */
import type { QuarantinedMessage, QuarantineEntry, QuarantineStore } from '../contracts/pipeline.ts';

/** What an entry takes beside its payload, about. */
const entryBytes = 500;

export class MemoryQuarantine implements QuarantineStore {
  bytes = 0;
  readonly #limits: { readonly quarantineMessages: number; readonly quarantineBytes: number };
  readonly #entries = new Map<number, QuarantineEntry>();
  #lastId = 0;

  constructor(limits: { readonly quarantineMessages: number; readonly quarantineBytes: number }) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#entries.size;
  }

  put(quarantined: QuarantinedMessage): number {
    const id = ++this.#lastId;
    const message = { ...quarantined.message, payload: Buffer.from(quarantined.message.payload) };
    this.#entries.set(id, { ...quarantined, message, id });
    this.bytes += message.payload.length + entryBytes;
    let dropped = 0;
    const { quarantineMessages, quarantineBytes } = this.#limits;
    while (this.#entries.size > quarantineMessages || this.bytes > quarantineBytes) {
      this.remove(this.#entries.keys().next().value!);
      dropped++;
    }
    return dropped;
  }

  async list(afterId: number, limit: number): Promise<QuarantineEntry[]> {
    return [...this.#entries.values()].filter(({ id }) => id > afterId).slice(0, limit);
  }

  async get(id: number): Promise<QuarantineEntry | null> {
    return this.#entries.get(id) ?? null;
  }

  remove(id: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.bytes -= entry.message.payload.length + entryBytes;
  }
}
