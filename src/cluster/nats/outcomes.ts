/** What JetStream answers to an append. */
import type { AppendOutcome } from '../../contracts/cluster-engine.ts';

interface Answer {
  readonly seq?: number;
  readonly error?: { readonly err_code: number; readonly description: string };
}

/** JetStream's own numbers of errors. */
const wrongLastSequence = 10_071;
const storageFailed = 10_077;
const resourcesExceeded = [10_023, 10_028, 10_047];

export function outcomeOf(text: string): AppendOutcome {
  const { seq, error } = JSON.parse(text) as Answer;
  if (error === undefined && seq !== undefined) return { state: 'stored', sequence: seq };
  const reason = `${error?.err_code} ${error?.description}`;
  if (error?.err_code === wrongLastSequence) {
    const last = /(\d+)$/.exec(error.description)?.[1];
    // The text has the only number that tells what is there.
    if (last !== undefined) return { state: 'outdated', last: Number(last) };
  }
  const isFull = error?.err_code === storageFailed && /maximum (bytes|messages)/.test(error.description);
  if (isFull || resourcesExceeded.includes(error?.err_code ?? 0)) return { state: 'full' };
  // Also 10164: an earlier append to the subject is not decided yet.
  return { state: 'unknown', reason };
}
