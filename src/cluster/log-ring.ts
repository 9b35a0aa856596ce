/** The newest entries of a partition, in memory: who catches up reads here, and only what is older in the log. */
import type { Entry, Sequence } from '../contracts/cluster-engine.ts';

export class LogRing {
  readonly #bytesMax: number;
  readonly #entries = new Map<Sequence, Entry>();
  #bytes = 0;
  #after: Sequence;

  /** Of a tail that begins behind `after`. */
  constructor(after: Sequence, bytesMax: number) {
    this.#after = after;
    this.#bytesMax = bytesMax;
  }

  /** Everything behind this that the tail has given, and was there, is here. */
  get after(): Sequence {
    return this.#after;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(entry: Entry): void {
    this.#entries.set(entry.sequence, entry);
    this.#bytes += entry.bytes.length;
    // A map gives what was added first.
    for (const [sequence, { bytes }] of this.#entries) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#entries.delete(sequence);
      this.#bytes -= bytes.length;
      this.#after = sequence;
    }
  }

  get(sequence: Sequence): Entry | null {
    return this.#entries.get(sequence) ?? null;
  }
}
