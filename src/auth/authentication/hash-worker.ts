/** The other side of `HashThreads`: one check after the other, behind everybody who wants a processor. */
import { parentPort } from 'node:worker_threads';
import { lowerOwnPriority } from '../../base/threads.ts';
import type { HashAnswer, HashTask } from './hash-threads.ts';
import { type PasswordHash, verifyPassword } from './password-hash.ts';

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

lowerOwnPriority();
parentPort!.on('message', (task: HashTask) => void answer(task).then((each) => parentPort!.postMessage(each)));
