/**
 * A worker thread that does jobs for the event loop, and is not trusted to come back. Jobs of one round of the event
 * loop travel together, and while a batch is away the next one gathers; who has taken much of the worker's time waits
 * for the others. A worker that makes no progress is terminated and replaced: the job that it was in fails, and the
 * others are done by the next worker. Nothing that comes from a worker is believed before it was looked at.
 */
import { Worker } from 'node:worker_threads';
import { StageFailure } from '../errors.ts';
import { FairQueue, type Owner } from './fair-queue.ts';

/** Jobs of one batch, and bytes or characters of them. */
const batchJobsMax = 500;
const batchSizeMax = 1_000_000;
/** What waits; beyond, jobs fail. */
const waitingJobsMax = 100_000;
/** How long a worker may take to be ready. */
const startMs = 30_000;
/** A worker that could be started before and cannot be started now is tried again after this. */
const restartMs = 5_000;
/**
 * V8 ends the whole process where a thread passes this in one go. So the memory of the process is watched while a job
 * is at work, and the thread ended long before.
 */
const workerMegabytes = 1_024;
const jobBytesMax = 201_326_592;
const watchMs = 25;

/** A worker makes ready for its jobs, which it may take as long for as to begin. */
export const preparing = -2;

/** What such a worker gets as `workerData`, beside its own settings. */
export interface WorkerMarks {
  /**
   * An Int32Array: first a number that rises while the worker gets on, then which job of its batch it is in; -1: not
   * known, `preparing`: in none yet.
   */
  readonly marks: SharedArrayBuffer;
}

/**
 * To the main thread: first `ready` or `refused`, then answers for the jobs of a batch in their order, all of them or
 * some.
 */
export type FromWorker =
  | { readonly refused: string }
  | { readonly ready: true }
  /** `isSpent`: another worker is to take its place, behind this batch. */
  | { readonly answers: unknown; readonly isSpent?: boolean };

export interface BatchWorkerOptions<Request> {
  readonly file: URL;
  readonly workerData: object;
  /** In reasons: `the script`, `the stage thread`. */
  readonly name: string;
  /** No progress for so long, of which half was time of the processor: it is stuck. */
  readonly stuckMs: number;
  /** Why a job failed in which it got stuck. */
  readonly stuckReason: string;
  /** What of the requests waits takes memory here; beyond, jobs fail. */
  readonly waitingSizeMax: number;
  sizeOf(request: Request): number;
  /** `isFirst`: the worker has had none before. */
  toMessage(requests: readonly Request[], isFirst: boolean): { message: unknown; transfer?: ArrayBuffer[] };
  /** Null: these are no answers. */
  answersIn(message: unknown): readonly unknown[] | null;
  warn(what: string): void;
  /** For tests. */
  readonly startWorker?: ((file: URL, workerData: object) => Worker) | undefined;
}

interface Job<Request> {
  readonly request: Request;
  readonly owner: Owner<Job<Request>>;
  /** Its batch did not come back: it travels alone. */
  isSuspect: boolean;
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

export class BatchWorker<Request> {
  readonly #options: BatchWorkerOptions<Request>;
  readonly #marks = new Int32Array(new SharedArrayBuffer(8));
  #worker: Worker | null = null;
  #isReady = false;
  #isFirst = true;
  /** Why jobs cannot be done at all, for now or for good. */
  #broken: string | null = null;
  #isClosed = false;
  readonly #waiting = new FairQueue<Job<Request>>();
  #waitingSize = 0;
  #away: Job<Request>[] = [];
  /** Of the batch that is away. */
  #answered = 0;
  /** When the last answers came, or the batch was sent. */
  #answeredAt = 0;
  #isSpent = false;
  #isScheduled = false;
  #timer: NodeJS.Timeout | null = null;
  /** Workers that were stopped in the middle of something. */
  losses = 0;

  constructor(options: BatchWorkerOptions<Request>) {
    this.#options = options;
  }

  get isStarted(): boolean {
    return this.#worker !== null;
  }

  /** Rejects if the worker refuses to begin. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const { file, workerData, startWorker = startThread } = this.#options;
      const worker = startWorker(file, { ...workerData, marks: this.#marks.buffer as SharedArrayBuffer });
      this.#worker = worker;
      this.#isReady = false;
      this.#isFirst = true;
      this.#isSpent = false;
      this.#after(startMs, () => this.#lost(worker, 'it was not ready in time'));
      worker.unref();
      worker.on('message', (message: FromWorker) => {
        if (worker !== this.#worker) return;
        if ('refused' in message) {
          this.#after(0, null);
          reject(new Error(message.refused));
        } else if ('ready' in message) {
          this.#after(0, null);
          this.#isReady = true;
          this.#broken = null;
          resolve();
          this.#send();
        } else this.#received(worker, message);
      });
      worker.on('messageerror', (error) => this.#lost(worker, error.message));
      worker.on('error', (error) => {
        reject(error);
        this.#lost(worker, error.message);
      });
      worker.on('exit', () => {
        reject(new Error('the worker ended'));
        this.#lost(worker, 'it ended');
      });
    });
  }

  /** The worker's answer to one request, in this client's share of its time. Rejects with a StageFailure. */
  run(request: Request, client: string): Promise<unknown> {
    const { name, waitingSizeMax } = this.#options;
    if (this.#broken !== null) return Promise.reject(new StageFailure(`${name} does not run: ${this.#broken}`));
    const isFull = this.#waiting.length >= waitingJobsMax || this.#waitingSize > waitingSizeMax;
    if (isFull) return Promise.reject(new StageFailure(`too many messages wait for ${name} already`));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, owner: this.#waiting.ownerOf(client), isSuspect: false, resolve, reject });
      this.#waitingSize += this.#options.sizeOf(request);
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      // At the end of the round: what is read in it goes together.
      setImmediate(() => {
        this.#isScheduled = false;
        this.#send();
      });
    });
  }

  #send(): void {
    if (!this.#isReady || this.#away.length > 0 || this.#waiting.length === 0) return;
    const { sizeOf, toMessage } = this.#options;
    let size = 0;
    for (let job = this.#waiting.first(); job !== undefined; job = this.#waiting.peek()) {
      const each = sizeOf(job.request);
      const isFull = size + each > batchSizeMax || this.#away.length >= batchJobsMax;
      if (this.#away.length > 0 && (job.isSuspect || isFull)) break;
      size += each;
      this.#away.push(this.#waiting.shift());
      if (job.isSuspect) break;
    }
    this.#waitingSize -= size;
    this.#answered = 0;
    this.#answeredAt = performance.now();
    Atomics.store(this.#marks, 1, -1);
    this.#worker!.ref();
    this.#watch(this.#worker!);
    const { message, transfer } = toMessage(
      this.#away.map(({ request }) => request),
      this.#isFirst,
    );
    this.#isFirst = false;
    this.#worker!.postMessage(message, transfer ?? []);
  }

  #received(worker: Worker, { answers, isSpent = false }: { answers: unknown; isSpent?: boolean }): void {
    const list = this.#options.answersIn(answers);
    if (list === null || list.length > this.#away.length) return this.#lost(worker, 'it gave an answer that is none');
    const jobs = this.#away.splice(0, list.length);
    this.#done(jobs);
    for (const [index, job] of jobs.entries()) job.resolve(list[index]);
    this.#answered += list.length;
    this.#isSpent ||= isSpent;
    if (this.#away.length > 0) return;
    this.#after(0, null);
    worker.unref();
    if (!this.#isSpent) return this.#send();
    this.#worker = null;
    void worker.terminate();
    this.#restart();
  }

  /** Which of them took how long is not known: what is long is answered by itself, or nearly so. */
  #done(jobs: readonly Job<Request>[]): void {
    const now = performance.now();
    if (jobs.length > 0) this.#waiting.done(jobs, now - this.#answeredAt);
    this.#answeredAt = now;
  }

  /**
   * As long as it makes progress, a worker may take its time: each job has its own deadline. One that is stuck uses the
   * processor; on a machine that is busy with something else, a worker may only not have had it.
   */
  #watch(worker: Worker): void {
    const before = Atomics.load(this.#marks, 0);
    const usedBefore = process.cpuUsage();
    const startedAt = performance.now();
    const bytesBefore = process.memoryUsage.rss();
    const { stuckMs } = this.#options;
    const look = () => {
      if (Atomics.load(this.#marks, 0) !== before) return this.#watch(worker);
      if (Atomics.load(this.#marks, 1) === preparing && performance.now() - startedAt < startMs) {
        return this.#after(watchMs, look);
      }
      if (process.memoryUsage.rss() - bytesBefore > jobBytesMax) return this.#lost(worker, 'it takes too much memory');
      const isLate = performance.now() - startedAt >= stuckMs;
      const { user, system } = process.cpuUsage(usedBefore);
      if (isLate && user + system >= stuckMs * 500) this.#lost(worker, null);
      else this.#after(watchMs, look);
    };
    this.#after(Math.min(watchMs, stuckMs), look);
  }

  /** Calls once, in place of what was to be called. */
  #after(milliseconds: number, call: (() => void) | null): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = call === null ? null : setTimeout(call, milliseconds).unref();
  }

  /** The worker is of no use any more: another one takes its place. `why` is null: it is stuck. */
  #lost(worker: Worker, why: string | null): void {
    if (worker !== this.#worker) return;
    const { name, stuckReason, sizeOf, warn } = this.#options;
    const wasReady = this.#isReady;
    this.#worker = null;
    this.#isReady = false;
    void worker.terminate();
    this.losses++;
    const jobs = this.#away;
    this.#away = [];
    const known = Atomics.load(this.#marks, 1) - this.#answered;
    const guilty = jobs.length === 1 ? 0 : known >= 0 && known < jobs.length ? known : null;
    const reason = why === null ? stuckReason : `the worker of ${name} was stopped: ${why}`;
    if (guilty !== null) {
      const [job] = jobs.splice(guilty, 1);
      this.#done([job!]);
      job!.reject(new StageFailure(reason));
    } else for (const job of jobs) job.isSuspect = true;
    for (const { request } of jobs) this.#waitingSize += sizeOf(request);
    this.#waiting.giveBack(jobs);
    if (!wasReady) return this.#break(reason);
    warn(`the worker of ${name} was stopped (${why ?? 'it got stuck'}) and is started anew`);
    this.#restart();
  }

  #restart(): void {
    if (!this.#isClosed) this.start().catch((error: Error) => this.#break(error.message));
  }

  /** Jobs fail until a worker runs again. */
  #break(why: string): void {
    if (this.#isClosed) return;
    if (this.#broken === null) this.#options.warn(`${this.#options.name} does not run: ${why}`);
    this.#refuseAll(why);
    this.#after(restartMs, () => this.#restart());
  }

  #refuseAll(why: string): void {
    this.#broken = why;
    const jobs = [...this.#away, ...this.#waiting.takeAll()];
    this.#away = [];
    this.#waitingSize = 0;
    for (const job of jobs) job.reject(new StageFailure(`${this.#options.name} does not run: ${why}`));
  }

  close(why: string): void {
    this.#isClosed = true;
    this.#after(0, null);
    const worker = this.#worker;
    this.#worker = null;
    void worker?.terminate();
    this.#refuseAll(why);
  }
}

function startThread(file: URL, workerData: object): Worker {
  return new Worker(file, {
    workerData,
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: workerMegabytes },
  });
}
