/**
 * The side of the stage thread that the broker sees: stages that are not short enough for the event loop, on items that
 * are packed. There is one for all pipelines, begun with the first item that needs it.
 */
import { workerFile } from '../../base/worker-file.ts';
import type { PipelineLimits, StageSettings } from '../../contracts/pipeline-settings.ts';
import { StageFailure } from '../errors.ts';
import type { SchemaFiles } from '../formats/schema-files.ts';
import type { Item } from '../item.ts';
import { type PackedItem, transferable } from '../packed.ts';
import type { Outcome, StageContext } from '../stages/stage.ts';
import { BatchWorker, type BatchWorkerOptions } from './batch-worker.ts';

/** A stage as the thread makes it: of settings, or one that every pipeline has: to write the value, or to read it. */
export interface ThreadStage {
  readonly settings: StageSettings | 'write' | 'read';
  readonly limits: PipelineLimits;
  readonly files: SchemaFiles;
}

export interface StageDefinition {
  readonly key: number;
  readonly settings: ThreadStage['settings'];
  readonly limits: PipelineLimits;
  readonly files: ReadonlyMap<string, string>;
}

/** What a stage in the thread knows beside the message. */
export type PackedContext = Pick<StageContext, 'publisher' | 'now' | 'isRetained'>;

export interface StageJob {
  readonly key: number;
  /** `look`: only what the stage decides by. */
  readonly isLook: boolean;
  readonly item: PackedItem;
  readonly context: PackedContext;
}

export interface StageBatch {
  readonly definitions: readonly StageDefinition[];
  /** Stages that there will be no more jobs for. */
  readonly forgotten: readonly number[];
  readonly jobs: readonly StageJob[];
}

export type StageAnswer =
  | { readonly outcome: boolean; readonly item: PackedItem }
  | { readonly items: readonly PackedItem[] }
  | { readonly looked: unknown }
  /** `item`: what was gathered, written as far as it can be. */
  | { readonly failure: string; readonly item?: PackedItem };

interface Request {
  readonly stage: ThreadStage;
  readonly isLook: boolean;
  readonly item: Item;
  readonly context: StageContext;
}

/** Beside the bytes of its payload. */
const requestBytes = 200;

export interface StageThreadOptions {
  readonly limits: PipelineLimits;
  readonly warn: (what: string) => void;
  readonly startWorker?: BatchWorkerOptions<unknown>['startWorker'];
}

export class StageThread {
  readonly #worker: BatchWorker<Request>;
  #isStarted = false;
  #lastKey = 0;
  readonly #keys = new Map<ThreadStage, number>();
  /** What the worker that runs has been told of. */
  #defined = new Set<number>();
  #forgotten: number[] = [];

  constructor({ limits, warn, startWorker }: StageThreadOptions) {
    this.#worker = new BatchWorker({
      file: workerFile(import.meta.url, 'stage-worker'),
      workerData: {},
      name: 'the stage thread',
      stuckMs: limits.stageMs,
      stuckReason: `it took longer than ${limits.stageMs} ms (pipelineLimits.stageMs)`,
      // Payloads stay where they are until they are sent, and their publishers wait.
      waitingSizeMax: Number.POSITIVE_INFINITY,
      sizeOf: ({ item }) => requestBytes + item.size,
      toMessage: (requests, isFirst) => this.#toMessage(requests, isFirst),
      answersIn: (message) => (Array.isArray(message) && message.every(isAnswer) ? message : null),
      warn,
      startWorker,
    });
  }

  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** How often it was stopped in the middle of something. */
  get losses(): number {
    return this.#worker.losses;
  }

  #toMessage(requests: readonly Request[], isFirst: boolean): { message: StageBatch; transfer: ArrayBuffer[] } {
    if (isFirst) this.#defined = new Set();
    const definitions: StageDefinition[] = [];
    const jobs = requests.map(({ stage, isLook, item, context }): StageJob => {
      const key = this.#keyOf(stage);
      if (!this.#defined.has(key)) {
        this.#defined.add(key);
        const { settings, limits, files } = stage;
        definitions.push({ key, settings, limits, files: files.texts });
      }
      const { publisher, now, isRetained } = context;
      return { key, isLook, item: item.toPacked(), context: { publisher, now, isRetained } };
    });
    const forgotten = this.#forgotten;
    this.#forgotten = [];
    return { message: { definitions, forgotten, jobs }, transfer: jobs.flatMap(({ item }) => transferable(item)) };
  }

  #keyOf(stage: ThreadStage): number {
    let key = this.#keys.get(stage);
    if (key === undefined) this.#keys.set(stage, (key = ++this.#lastKey));
    return key;
  }

  async #do(request: Request): Promise<StageAnswer> {
    if (!this.#isStarted) {
      this.#isStarted = true;
      // Whoever asks is told.
      this.#worker.start().catch(() => {});
    }
    return (await this.#worker.run(request, clientOf(request.context))) as StageAnswer;
  }

  /** Rejects with a StageFailure; the item is as it was then. */
  async run(stage: ThreadStage, item: Item, context: StageContext): Promise<Outcome> {
    const answer = await this.#do({ stage, isLook: false, item, context });
    if ('outcome' in answer) {
      item.become(answer.item);
      return answer.outcome;
    }
    if ('items' in answer) return answer.items.map((each) => item.copy().become(each));
    throw failureOf(answer, item);
  }

  /** What the stage decides by. */
  async look(stage: ThreadStage, item: Item, context: StageContext): Promise<unknown> {
    const answer = await this.#do({ stage, isLook: true, item, context });
    if ('looked' in answer) return answer.looked;
    throw failureOf(answer, item);
  }

  /** The stage will not be asked for again. */
  forget(stage: ThreadStage): void {
    const key = this.#keys.get(stage);
    if (key === undefined) return;
    this.#keys.delete(stage);
    this.#forgotten.push(key);
  }

  close(): void {
    this.#worker.close('the pipelines are closed');
  }
}

/** Who pays for it. What is made for subscribers, or of what was held back, is nobody's: all of it has one share. */
export const clientOf = ({ publisher }: Pick<StageContext, 'publisher'>): string => publisher?.clientId ?? '';

function failureOf(answer: StageAnswer, item: Item): StageFailure {
  if (!('failure' in answer)) return new StageFailure('the stage thread gave another answer than it was asked for');
  if (answer.item !== undefined) item.become(answer.item);
  return new StageFailure(answer.failure);
}

function isAnswer(answer: unknown): answer is StageAnswer {
  if (typeof answer !== 'object' || answer === null) return false;
  if ('outcome' in answer) return typeof answer.outcome === 'boolean' && 'item' in answer && isPacked(answer.item);
  if ('items' in answer) return Array.isArray(answer.items) && answer.items.every(isPacked);
  if ('failure' in answer) return typeof answer.failure === 'string' && (!('item' in answer) || isPacked(answer.item));
  return 'looked' in answer;
}

function isPacked(item: unknown): item is PackedItem {
  if (typeof item !== 'object' || item === null || !('topic' in item) || !('content' in item)) return false;
  if (typeof item.topic !== 'string' || typeof item.content !== 'object') return false;
  const content = item.content as Partial<Record<'bytes' | 'value', unknown>> | null;
  if (content === null) return true;
  const { bytes, value } = content;
  return (bytes === null || bytes instanceof Uint8Array) && (value === null || typeof value === 'object');
}
