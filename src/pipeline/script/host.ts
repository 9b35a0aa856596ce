/**
 * The side of a script that the broker sees: what goes to its worker of an item, and what becomes of the answer. Small
 * values go there and back as JSON; large ones are packed, so that the event loop has nothing to do with what is in
 * them.
 */
import { deserialize } from 'node:v8';
import type { Worker } from 'node:worker_threads';
import { workerFile } from '../../base/worker-file.ts';
import type { PipelineLimits } from '../../contracts/pipeline-settings.ts';
import { StageFailure } from '../errors.ts';
import { TooLarge } from '../formats/format.ts';
import { jsonable } from '../formats/json.ts';
import type { SchemaFiles } from '../formats/schema-files.ts';
import type { Item } from '../item.ts';
import { loopBytes } from '../loop-limits.ts';
import { type PackedItem, transferable } from '../packed.ts';
import { Pauses } from '../pauses.ts';
import type { Outcome, StageContext } from '../stages/stage.ts';
import { BatchWorker } from '../thread/batch-worker.ts';
import { clientOf, type PackedContext } from '../thread/stage-thread.ts';
import { changed, outcomeOf, type ScriptResult } from './message.ts';

/**
 * A worker that shows no sign of life so much longer than a message may take is stuck where it cannot be interrupted.
 */
const stuckMs = 2_000;
/** Of small messages, in characters of their JSON. */
const waitingCharactersMax = 67_108_864;

export interface ScriptSettings {
  readonly file: string;
  /** JavaScript. */
  readonly source: string;
  readonly timeoutMs: number;
  readonly memoryBytes: number;
}

export interface ScriptWorkerData extends ScriptSettings {
  readonly limits: PipelineLimits;
  readonly files: ReadonlyMap<string, string>;
}

/** The guest's JSON of an item, or the item. */
export type ScriptJob = string | { readonly item: PackedItem; readonly context: PackedContext };

/** What travels together: one JSON text where all of it is small. */
export type ScriptBatch = { readonly text: string; readonly count: number } | { readonly jobs: readonly ScriptJob[] };

/**
 * What came of a batch: all answers as the guest wrote them (see `guest.ts`), where they are short together; or one by
 * one, of which a list of results is a few at a time.
 */
export type ScriptAnswers =
  | { readonly text: string; readonly count: number }
  | { readonly list: readonly (0 | 1 | string | readonly Uint8Array[])[] };

/** One result: a payload that is too large for the event loop is packed. */
export interface PackedResult {
  readonly result: ScriptResult;
  readonly payload: Uint8Array | null;
}

type Request = string | { readonly item: Item; readonly context: StageContext };

export interface ScriptHostOptions {
  readonly settings: ScriptSettings;
  readonly limits: PipelineLimits;
  readonly files: SchemaFiles;
  readonly warn: (what: string) => void;
  /** For tests. */
  readonly startWorker?: (file: URL, workerData: object) => Worker;
}

export class ScriptHost {
  readonly #worker: BatchWorker<Request>;

  constructor({ settings, limits, files, warn, startWorker }: ScriptHostOptions) {
    this.#worker = new BatchWorker<Request>({
      file: workerFile(import.meta.url, 'worker'),
      workerData: { ...settings, limits, files: files.texts } satisfies ScriptWorkerData,
      name: 'the script',
      stuckMs: settings.timeoutMs + stuckMs,
      stuckReason: 'the worker of the script was stopped: it got stuck',
      waitingSizeMax: waitingCharactersMax,
      sizeOf: (request) => (typeof request === 'string' ? request.length : request.item.size),
      toMessage,
      answersIn,
      warn,
      startWorker,
    });
  }

  /** Rejects if the script cannot be loaded. */
  start(): Promise<void> {
    return this.#worker.start();
  }

  /** Rejects with a StageFailure. */
  async run(item: Item, context: StageContext): Promise<Outcome> {
    const answer = await this.#worker.run(smallRequest(item, context) ?? { item, context }, clientOf(context));
    if (answer === 1) return true;
    if (answer === 0) return false;
    if (!Array.isArray(answer)) {
      throw new StageFailure(typeof answer === 'string' ? answer : 'it gave no answer that can be read');
    }
    return answer[0] instanceof Uint8Array ? readResults(answer, item) : outcomeOf(answer as ScriptResult[], item);
  }

  close(): void {
    this.#worker.close('its pipeline was taken out');
  }
}

function smallRequest(item: Item, context: StageContext): string | null {
  if (item.size + item.besideSize > loopBytes) return null;
  try {
    return toJson(item, context);
  } catch (error) {
    if (error instanceof TooLarge) return null;
    throw error;
  }
}

/** In the order that the guest reads. JSON is all that it knows: whole numbers beyond 2^53 are texts for it. */
export function toJson(item: Item, { publisher, now }: Pick<StageContext, 'publisher' | 'now'>): string {
  const { value, topic, qos, retain, contentType, userProperties } = item;
  const payload = jsonable(value, () => {}, String);
  const { clientId = null, username = null } = publisher ?? {};
  return JSON.stringify([payload, topic, qos, retain, contentType ?? null, userProperties, clientId, username, now]);
}

function toMessage(requests: readonly Request[]): { message: ScriptBatch; transfer: ArrayBuffer[] } {
  if (requests.every((request) => typeof request === 'string')) {
    return { message: { text: `[${requests.join(',')}]`, count: requests.length }, transfer: [] };
  }
  const transfer: ArrayBuffer[] = [];
  const jobs = requests.map((request): ScriptJob => {
    if (typeof request === 'string') return request;
    const item = request.item.toPacked();
    transfer.push(...transferable(item));
    const { publisher, now, isRetained } = request.context;
    return { item, context: { publisher, now, isRetained } };
  });
  return { message: { jobs }, transfer };
}

/** A script can break the language around it, so its answers may be anything. */
function answersIn(message: unknown): readonly unknown[] | null {
  if (typeof message !== 'object' || message === null) return null;
  if ('list' in message) return Array.isArray(message.list) ? message.list : null;
  if (!('text' in message) || typeof message.text !== 'string') return null;
  const { text, count } = message as { text: string; count: number };
  let answers: unknown = null;
  try {
    answers = JSON.parse(text);
  } catch {
    // Nobody gets an answer.
  }
  return Array.from({ length: count }, (_, index) => (Array.isArray(answers) ? answers[index] : undefined));
}

/** A few at a time: others are served in between. */
async function readResults(chunks: readonly Uint8Array[], item: Item): Promise<readonly Item[]> {
  const pauses = new Pauses();
  const made: Item[] = [];
  for (const chunk of chunks) {
    for (const { result, payload } of deserialize(chunk) as PackedResult[]) {
      const one = changed(item.copy(), result);
      if (payload !== null) one.packed = { parts: [payload], isList: false };
      made.push(one);
    }
    await pauses.due();
  }
  return made;
}
