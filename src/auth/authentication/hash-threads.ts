/**
 * Checks passwords in threads of their own. A hash keeps a processor busy for a tenth of a second and may be asked for
 * by anybody, so these threads have a lower priority than all others, and the store, which writes by Node's threads,
 * does not wait for them.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { workerFile } from '../../base/worker-file.ts';
import type { PasswordHash } from './password-hash.ts';
import { WorkQueue, type WorkQueueOptions } from './work-queue.ts';

/** What such a thread is told, and what it answers. */
export interface HashTask {
  readonly hash: PasswordHash;
  readonly password: Uint8Array;
}
export type HashAnswer = { readonly isRight: boolean } | { readonly failure: string };

const workerMegabytes = 32;

export class HashThreads {
  readonly #queue: WorkQueue;
  readonly #idle: Worker[] = [];
  readonly #all = new Set<Worker>();
  #isClosed = false;

  /** As many threads as jobs at once; each is begun when it is first needed. */
  constructor(options: WorkQueueOptions) {
    this.#queue = new WorkQueue(options);
  }

  /** Rejects with a BusyError, or with an Error that says why the hash cannot be computed. */
  verify(hash: PasswordHash, password: Uint8Array): Promise<boolean> {
    return this.#queue.run(() => this.#verify({ hash, password: Uint8Array.from(password) }));
  }

  /** Ends the threads, and fails what they are at. What waits still gets its answer, from threads that do not stay. */
  close(): void {
    this.#isClosed = true;
    for (const worker of this.#all) void worker.terminate();
  }

  async #verify(task: HashTask): Promise<boolean> {
    const worker = this.#idle.pop() ?? this.#start();
    worker.postMessage(task);
    // A thread that ends fails its task; the next one begins another.
    const answering = new AbortController();
    const { signal } = answering;
    const ended = once(worker, 'exit', { signal }).then(([code]) => {
      throw new Error(`the thread that computes it ended (${code})`);
    });
    try {
      const [answer] = (await Promise.race([once(worker, 'message', { signal }), ended])) as [HashAnswer];
      if (this.#isClosed) void worker.terminate();
      else this.#idle.push(worker);
      if ('failure' in answer) throw new Error(answer.failure);
      return answer.isRight;
    } finally {
      ended.catch(() => {});
      answering.abort();
    }
  }

  #start(): Worker {
    const worker = new Worker(workerFile(import.meta.url, 'hash-worker'), {
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: workerMegabytes },
    });
    this.#all.add(worker);
    worker.unref();
    worker.on('error', () => {});
    worker.once('exit', () => {
      this.#all.delete(worker);
      if (this.#idle.includes(worker)) this.#idle.splice(this.#idle.indexOf(worker), 1);
    });
    return worker;
  }
}
