/**
 * The side of a script that the broker sees: its worker, and the messages on their way to it and back. Messages of one round of the event loop travel
 * together, and while a batch is away the next one gathers. A worker that gets on no more is terminated and replaced; then each
 * of its messages is tried alone, so that the one that hangs costs nobody else's.
 */
import { Worker } from 'node:worker_threads';
import { workerFile } from '../../base/worker-file.ts';
import { StageFailure } from '../errors.ts';
import type { FromWorker, WorkerSettings } from './worker.ts';

/** Messages of one batch, and characters of their JSON. */
const batchMessagesMax = 500;
const batchCharactersMax = 1_000_000;
/** What waits for the script; beyond, messages fail. */
const waitingMessagesMax = 100_000;
const waitingCharactersMax = 67_108_864;
/** How long a worker may take to be ready. */
const startMs = 30_000;
/** A worker that shows no sign of life so much longer than a message may take is stuck where it cannot be interrupted. */
const stuckMs = 2_000;
/** A script that could be loaded before and cannot be loaded now is tried again after this. */
const restartMs = 5_000;
const workerMegabytes = 128;

interface Job {
  readonly json: string;
  /** Its batch did not come back: it travels alone. */
  isSuspect: boolean;
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

export type ScriptOptions = Omit<WorkerSettings, 'heartbeat'>;

export class ScriptHost {
  readonly #options: ScriptOptions;
  readonly #warn: (what: string) => void;
  readonly #heartbeat = new SharedArrayBuffer(4);
  #worker: Worker | null = null;
  #isReady = false;
  /** Why messages cannot be answered at all, for now or for good. */
  #broken: string | null = null;
  #isClosed = false;
  #waiting: Job[] = [];
  #waitingCharacters = 0;
  #away: Job[] = [];
  #isScheduled = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: ScriptOptions, warn: (what: string) => void) {
    this.#options = options;
    this.#warn = warn;
  }

  /** Rejects if the script cannot be loaded. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(workerFile(import.meta.url, 'worker'), {
        workerData: { ...this.#options, heartbeat: this.#heartbeat } satisfies WorkerSettings,
        env: {},
        execArgv: [],
        resourceLimits: { maxOldGenerationSizeMb: workerMegabytes },
      });
      this.#worker = worker;
      this.#isReady = false;
      this.#after(startMs, () => this.#lost(worker, 'it was not ready in time'));
      worker.unref();
      worker.on('message', (message: FromWorker) => {
        if (worker !== this.#worker) return;
        this.#after(0, null);
        if ('refused' in message) reject(new Error(message.refused));
        else if ('ready' in message) {
          this.#isReady = true;
          this.#broken = null;
          resolve();
          this.#send();
        } else this.#answered(message.answers);
      });
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

  /** The script's answer to one message, as the worker's `guest.ts` has it. Rejects with a StageFailure. */
  run(json: string): Promise<unknown> {
    if (this.#broken !== null) return Promise.reject(new StageFailure(`the script does not run: ${this.#broken}`));
    const isFull = this.#waiting.length >= waitingMessagesMax || this.#waitingCharacters > waitingCharactersMax;
    if (isFull) return Promise.reject(new StageFailure('too many messages wait for the script already'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ json, isSuspect: false, resolve, reject });
      this.#waitingCharacters += json.length;
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
    let characters = 0;
    let count = 0;
    for (const { json, isSuspect } of this.#waiting) {
      const isFull = characters + json.length > batchCharactersMax || count >= batchMessagesMax;
      if (count > 0 && (isSuspect || isFull)) break;
      characters += json.length;
      count++;
      if (isSuspect) break;
    }
    this.#away = this.#waiting.splice(0, count);
    this.#waitingCharacters -= characters;
    this.#worker!.ref();
    this.#watch(this.#worker!);
    this.#worker!.postMessage(`[${this.#away.map(({ json }) => json).join(',')}]`);
  }

  /** A script can break the language around it, so its answers may be anything. */
  #answered(text: string): void {
    const jobs = this.#away;
    this.#away = [];
    this.#worker!.unref();
    let answers: unknown = null;
    try {
      answers = JSON.parse(text);
    } catch {
      // Below: nobody gets an answer.
    }
    for (const [index, job] of jobs.entries()) {
      job.resolve(Array.isArray(answers) ? answers[index] : undefined);
    }
    this.#send();
  }

  /**
   * As long as its heart beats, a worker may take its time: each message has its own deadline. One that is stuck uses the
   * processor; on a machine that is busy with something else, a worker may only not have had it.
   */
  #watch(worker: Worker): void {
    const heartbeat = new Int32Array(this.#heartbeat);
    const before = Atomics.load(heartbeat, 0);
    const usedBefore = process.cpuUsage();
    const stillMs = this.#options.timeoutMs + stuckMs;
    const look = () => {
      if (Atomics.load(heartbeat, 0) !== before) return this.#watch(worker);
      const { user, system } = process.cpuUsage(usedBefore);
      if (user + system < stillMs * 500) this.#after(stuckMs / 2, look);
      else this.#lost(worker, 'it got stuck');
    };
    this.#after(stillMs, look);
  }

  /** Calls once, in place of what was to be called. */
  #after(milliseconds: number, call: (() => void) | null): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = call === null ? null : setTimeout(call, milliseconds).unref();
  }

  /** The worker is of no use any more: another one takes its place. */
  #lost(worker: Worker, why: string): void {
    if (worker !== this.#worker) return;
    const wasReady = this.#isReady;
    this.#worker = null;
    this.#isReady = false;
    void worker.terminate();
    const jobs = this.#away;
    this.#away = [];
    if (jobs.length === 1) jobs[0]!.reject(new StageFailure(`the worker of the script was stopped: ${why}`));
    else {
      for (const job of jobs) {
        job.isSuspect = true;
        this.#waitingCharacters += job.json.length;
      }
      this.#waiting.unshift(...jobs);
    }
    if (!wasReady) return this.#break(why);
    this.#warn(`the worker of the script was stopped (${why}) and is started anew`);
    this.#restart();
  }

  #restart(): void {
    this.start().catch((error: Error) => this.#break(error.message));
  }

  /** Messages fail until a worker runs again. */
  #break(why: string): void {
    if (this.#isClosed) return;
    if (this.#broken === null) this.#warn(`the script does not run: ${why}`);
    this.#refuseAll(why);
    this.#after(restartMs, () => this.#restart());
  }

  #refuseAll(why: string): void {
    this.#broken = why;
    const jobs = [...this.#away, ...this.#waiting];
    this.#away = [];
    this.#waiting = [];
    this.#waitingCharacters = 0;
    for (const job of jobs) job.reject(new StageFailure(`the script does not run: ${why}`));
  }

  close(): void {
    this.#isClosed = true;
    this.#after(0, null);
    const worker = this.#worker;
    this.#worker = null;
    void worker?.terminate();
    this.#refuseAll('its pipeline was taken out');
  }
}
