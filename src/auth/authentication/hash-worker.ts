/** The other side of `HashThreads`: one check after the other, behind everybody who wants a processor. */
import { readlinkSync } from 'node:fs';
import { constants, getPriority, setPriority } from 'node:os';
import { basename } from 'node:path';
import { parentPort } from 'node:worker_threads';
import type { HashAnswer, HashTask } from './hash-threads.ts';
import { type PasswordHash, verifyPassword } from './password-hash.ts';

/** Linux has priorities for threads, by numbers that are found here. Elsewhere this one is like the others. */
function giveWay(): void {
  if (process.platform !== 'linux') return;
  try {
    const thread = Number(basename(readlinkSync('/proc/thread-self')));
    const { PRIORITY_BELOW_NORMAL, PRIORITY_LOW } = constants.priority;
    setPriority(thread, Math.min(getPriority(thread) + PRIORITY_BELOW_NORMAL, PRIORITY_LOW));
  } catch {
    // Without /proc it cannot be told which thread this is.
  }
}

/** On their way from thread to thread, Buffers become plain arrays of bytes. */
function withBuffers(hash: PasswordHash): PasswordHash {
  const fields = Object.entries(hash).map(([name, value]) => {
    return [name, value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value];
  });
  return Object.fromEntries(fields) as PasswordHash;
}

async function answer({ hash, password }: HashTask): Promise<HashAnswer> {
  try {
    return { isRight: await verifyPassword(withBuffers(hash), Buffer.from(password)) };
  } catch (error) {
    return { failure: (error as Error).message };
  }
}

giveWay();
parentPort!.on('message', (task: HashTask) => void answer(task).then((each) => parentPort!.postMessage(each)));
