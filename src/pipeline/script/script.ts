/**
 * `script`: a user's JavaScript or TypeScript file, sandboxed in a worker. Messages of one turn travel together, and while a batch
 * is away the next one gathers. A worker that does not answer is terminated and replaced; then each of its messages is tried
 * alone, so that the one that hangs costs nobody else's.
 */
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { StageSettings } from '../../contracts/pipeline.ts';
import { PipelineError, StageFailure } from '../errors.ts';
import { fromFile } from '../formats/formats.ts';
import { jsonable } from '../formats/json.ts';
import type { Item } from '../item.ts';
import type { Outcome, Stage, StageContext, StageTools } from '../stages/stage.ts';
import { outcomeOf, type ScriptResult } from './message.ts';
import type { FromWorker, WorkerSettings } from './worker.ts';

type Settings = NonNullable<StageSettings['script']>;

/** Messages of one batch, and characters of their JSON. */
const batchMessagesMax = 500;
const batchCharactersMax = 1_000_000;
/** Messages that wait for the script; beyond, they fail. */
const waitingMax = 100_000;
/** How long a worker may take to be ready, and beyond the messages' own time to answer. */
const graceMs = 5_000;
const workerMegabytes = 128;

/** The worker runs what was built, also where this file runs from its source. */
const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? '../../../dist/pipeline/script/worker.js' : './worker.js',
  import.meta.url,
);

interface Amaro {
  readonly default: {
    transformSync(source: string, options: { readonly mode: 'strip-only' }): { readonly code: string };
  };
}

interface Job {
  readonly json: string;
  /** Its batch did not come back: it travels alone. */
  isSuspect: boolean;
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

export async function scriptStage(settings: Settings, { path, warn }: StageTools): Promise<Stage> {
  const text = fromFile([...path, 'file'], () => readFileSync(settings.file, 'utf8'));
  const host = new ScriptHost(settings, settings.file.endsWith('.ts') ? await withoutTypes(text) : text, warn);
  try {
    await host.start();
  } catch (cause) {
    host.close();
    throw new PipelineError([...path, 'file'], `${settings.file}: ${(cause as Error).message}`, { cause });
  }
  return {
    async run(item, context) {
      const answer = await host.run(toJson(item, context));
      return toOutcome(answer, item);
    },
    close: () => host.close(),
  };
}

async function withoutTypes(text: string): Promise<string> {
  const name: string = 'amaro'; // it has no types itself
  const { default: amaro } = (await import(name)) as Amaro;
  return amaro.transformSync(text, { mode: 'strip-only' }).code;
}

/** In the order that the guest reads. */
function toJson(item: Item, { client, now }: StageContext): string {
  const { value, topic, qos, retain, contentType, userProperties } = item;
  const withoutBigints = (_: string, each: unknown) => (typeof each === 'bigint' ? String(each) : each);
  const payload = jsonable(value, () => {});
  const { clientId = null, username = null } = client ?? {};
  const fields = [payload, topic, qos, retain, contentType ?? null, userProperties, clientId, username, now];
  try {
    return JSON.stringify(fields);
  } catch {
    return JSON.stringify(fields, withoutBigints);
  }
}

function toOutcome(answer: unknown, item: Item): Outcome {
  if (answer === 1) return true;
  if (answer === 0) return false;
  if (typeof answer === 'string') throw new StageFailure(answer);
  return outcomeOf(answer as ScriptResult[], item);
}

class ScriptHost {
  readonly #settings: WorkerSettings;
  readonly #warn: (what: string) => void;
  #worker: Worker | null = null;
  #isReady = false;
  #isClosed = false;
  #waiting: Job[] = [];
  #away: Job[] = [];
  #isScheduled = false;
  #watchdog: NodeJS.Timeout | null = null;

  constructor({ file, timeoutMs, memoryBytes }: Settings, source: string, warn: (what: string) => void) {
    this.#settings = { file, source, timeoutMs, memoryBytes };
    this.#warn = warn;
  }

  /** Rejects if the script cannot be loaded. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(workerFile, {
        workerData: this.#settings,
        env: {},
        execArgv: [],
        resourceLimits: { maxOldGenerationSizeMb: workerMegabytes },
      });
      this.#worker = worker;
      this.#isReady = false;
      this.#watch(graceMs);
      worker.unref();
      worker.on('message', (message: FromWorker) => {
        if (worker !== this.#worker) return;
        this.#unwatch();
        if ('refused' in message) reject(new Error(message.refused));
        else if ('ready' in message) {
          this.#isReady = true;
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

  run(json: string): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(new StageFailure('the script has been taken out'));
    if (this.#waiting.length >= waitingMax) {
      return Promise.reject(new StageFailure(`${waitingMax} messages wait for the script already`));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ json, isSuspect: false, resolve, reject });
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      // At the end of the turn: what is read in it goes together.
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
    for (const job of this.#waiting) {
      if (job.isSuspect && count > 0) break;
      characters += job.json.length;
      if (count > 0 && (characters > batchCharactersMax || count >= batchMessagesMax)) break;
      count++;
      if (job.isSuspect) break;
    }
    this.#away = this.#waiting.splice(0, count);
    this.#worker!.ref();
    this.#watch(graceMs + count * this.#settings.timeoutMs);
    this.#worker!.postMessage(`[${this.#away.map(({ json }) => json).join(',')}]`);
  }

  #answered(text: string): void {
    const jobs = this.#away;
    this.#away = [];
    this.#worker!.unref();
    const answers = JSON.parse(text) as unknown[];
    for (const [index, job] of jobs.entries()) job.resolve(answers[index] ?? 'it gave no answer');
    this.#send();
  }

  #watch(milliseconds: number): void {
    this.#unwatch();
    this.#watchdog = setTimeout(() => {
      const worker = this.#worker;
      if (worker !== null) this.#lost(worker, 'it did not answer in time');
    }, milliseconds);
    this.#watchdog.unref();
  }

  #unwatch(): void {
    if (this.#watchdog !== null) clearTimeout(this.#watchdog);
    this.#watchdog = null;
  }

  /** The worker is of no use any more: another one takes its place. */
  #lost(worker: Worker, why: string): void {
    if (worker !== this.#worker) return;
    this.#worker = null;
    this.#unwatch();
    void worker.terminate();
    const jobs = this.#away;
    this.#away = [];
    if (jobs.length === 1) jobs[0]!.reject(new StageFailure(`the worker of the script was stopped: ${why}`));
    else {
      for (const job of jobs) job.isSuspect = true;
      this.#waiting.unshift(...jobs);
    }
    if (this.#isClosed || !this.#isReady) return this.#giveUp(why);
    this.#warn(`the worker of the script was stopped (${why}) and is started anew`);
    this.start().catch((error: Error) => this.#giveUp(error.message));
  }

  #giveUp(why: string): void {
    const jobs = [...this.#away, ...this.#waiting];
    this.#away = [];
    this.#waiting = [];
    for (const job of jobs) job.reject(new StageFailure(`the script does not run: ${why}`));
  }

  close(): void {
    this.#isClosed = true;
    this.#unwatch();
    const worker = this.#worker;
    this.#worker = null;
    void worker?.terminate();
    this.#giveUp('its pipeline was taken out');
  }
}
