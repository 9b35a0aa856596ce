/**
 * The worker that runs one user's script, in QuickJS compiled to WebAssembly: no process, no files, no network, no
 * timers; its own memory with a limit; interrupted when one message takes too long. It gets batches and answers them,
 * in order.
 */
import { serialize } from 'node:v8';
import { parentPort, workerData } from 'node:worker_threads';
import variant from '@jitl/quickjs-ng-wasmfile-release-sync';
import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSSyncVariant,
  type QuickJSWASMModule,
} from 'quickjs-emscripten-core';
import { failureReason, StageFailure } from '../errors.ts';
import { TooLarge, weigh } from '../formats/format.ts';
import { KnownFormats } from '../formats/formats.ts';
import { SchemaFiles } from '../formats/schema-files.ts';
import { Item, type ItemTools } from '../item.ts';
import { threadLimitsOf } from '../loop-limits.ts';
import { pack } from '../packed.ts';
import type { FromWorker, WorkerMarks } from '../thread/batch-worker.ts';
import { guestSource } from './guest.ts';
import {
  type PackedResult,
  type ScriptAnswers,
  type ScriptBatch,
  type ScriptJob,
  type ScriptWorkerData,
  toJson,
} from './host.ts';
import { messagesMax, type ScriptResult, tooMany } from './message.ts';

const stackBytes = 262_144;
/** A script may take longer to be loaded than for a message. */
const loadMs = 2_000;
/** More than there are messages in a batch. */
const failuresMax = 1_000;

/**
 * QuickJS counts blocks and not their size here, so its own limit holds for small blocks only. What holds for all is
 * how far the memory of the WebAssembly module can grow: what the module itself takes, and a batch on its way, come on
 * top.
 */
const pageBytes = 65_536;
const ownBytes = 12_582_912;
const pagesMin = 256;
/** A batch takes its length several times: as bytes, as a text, and as what is in it. */
const batchShare = 4;
/** Answers that are longer together are not parsed on the event loop. */
const shortCharacters = 65_536;
/** A larger payload stays packed. */
const chunkValueBytes = 4_096;
/** Results of one answer that are read there without a pause. */
const chunkResults = 100;
const reasonCharacters = 1_000;

const settings = workerData as ScriptWorkerData & WorkerMarks;
const { timeoutMs, memoryBytes, limits } = settings;
const heartbeat = new Int32Array(settings.marks);
const tools: ItemTools = {
  formats: new KnownFormats(limits, new SchemaFiles(settings.files)),
  limits: threadLimitsOf(limits),
  configured: limits,
};

/** A function of the guest's that threw, with what it threw. */
class GuestError extends Error {}

class Sandbox {
  readonly #memory: Memory;
  readonly #context: QuickJSContext;
  readonly #guest: QuickJSHandle;
  #marks: QuickJSHandle | null = null;
  /** Which message the clock runs for; -1: for none. */
  #index = -1;
  #startedAt = performance.now();
  /** By the whole process, which is the nearest there is to what this thread used. */
  #usedAtStart = process.cpuUsage();

  constructor(module: QuickJSWASMModule) {
    this.#memory = (module as unknown as { module: Memory }).module;
    // Where less is granted than the module begins with, the rest is taken.
    const taken = pagesMin * pageBytes - ownBytes - memoryBytes;
    if (taken > 0) this.#memory._malloc(taken);
    const runtime = module.newRuntime();
    runtime.setMemoryLimit(memoryBytes);
    runtime.setMaxStackSize(stackBytes);
    runtime.setInterruptHandler(() => this.#isOverdue());
    this.#context = runtime.newContext();
    const exported = this.#unwrap(this.#context.evalCode(settings.source, settings.file, { type: 'module' }));
    const user = this.#context.getProp(exported, 'default');
    if (this.#context.typeof(user) !== 'function') throw new GuestError('it has no default export that is a function');
    const make = this.#unwrap(this.#context.evalCode(guestSource, 'sluice'));
    const marks = this.#context.newArrayBuffer(new ArrayBuffer(8));
    this.#guest = this.#unwrap(this.#context.callFunction(make, this.#context.undefined, user, marks));
    this.#marks = marks;
  }

  /** Called by QuickJS every few thousand steps. Each message has the whole time for itself. */
  #isOverdue(): boolean {
    Atomics.add(heartbeat, 0, 1);
    const now = performance.now();
    if (this.#marks === null) return now - this.#startedAt > loadMs;
    const { index } = this.#readMarks();
    if (index !== this.#index) {
      this.#index = index;
      this.#startedAt = now;
      this.#usedAtStart = process.cpuUsage();
      return false;
    }
    if (now - this.#startedAt <= timeoutMs) return false;
    // On a machine that is busy with something else the clock runs on.
    const { user, system } = process.cpuUsage(this.#usedAtStart);
    return user + system > timeoutMs * 1000;
  }

  /** From memory that guest and host share: calling the guest while it runs would confuse it. */
  #readMarks(): { index: number; isOutOfMemory: boolean } {
    const shared = this.#context.getArrayBuffer(this.#marks!);
    const marks = Buffer.from(shared.value.buffer, shared.value.byteOffset, 8);
    const [index, memory] = [marks.readInt32LE(0), marks.readInt32LE(4)];
    shared.dispose();
    return { index, isOutOfMemory: memory === 1 };
  }

  #unwrap(result: ReturnType<QuickJSContext['callFunction']>): QuickJSHandle {
    if (result.error === undefined) return result.value;
    const { error } = result;
    const dumped: unknown = this.#context.dump(error);
    if (error.alive) error.dispose();
    const { name, message } = (typeof dumped === 'object' && dumped !== null ? dumped : {}) as Record<string, unknown>;
    throw new GuestError(message === undefined ? String(dumped) : `${String(name)}: ${String(message)}`);
  }

  #call(name: string, ...args: QuickJSHandle[]): QuickJSHandle {
    const method = this.#context.getProp(this.#guest, name);
    try {
      return this.#unwrap(this.#context.callFunction(method, this.#context.undefined, ...args));
    } finally {
      method.dispose();
      for (const each of args) each.dispose();
    }
  }

  /**
   * Nothing of ours checks whether there is room for a text, and writes it over the module's own memory if there is
   * not.
   */
  #newString(text: string): QuickJSHandle {
    const room = this.#memory._malloc(Buffer.byteLength(text) + 1);
    if (room === 0) throw new GuestError('out of memory');
    this.#memory._free(room);
    return this.#context.newString(text);
  }

  /** Answers of all messages. `isSpent`: the memory is used up, and a new sandbox is needed. */
  run(batch: string): { readonly answers: string; readonly isSpent: boolean } {
    let isSpent = false;
    let step = () => this.#call('begin', this.#newString(batch));
    for (let failures = 0; ; failures++) {
      this.#index = -1;
      this.#startedAt = performance.now();
      try {
        step().dispose();
        break;
      } catch (error) {
        // Not even what went wrong can be told to the guest: this worker is of no use any more.
        if (failures > failuresMax) throw error;
        const why = this.#explain((error as Error).message);
        isSpent ||= why.includes('memory');
        step = () => this.#call('resume', this.#newString(why));
      }
    }
    const handle = this.#call('answers');
    const answers = this.#context.getString(handle);
    handle.dispose();
    // The guest itself can catch that, and its memory is as full as before.
    return { answers, isSpent: isSpent || this.#readMarks().isOutOfMemory };
  }

  #explain(message: string): string {
    if (message.includes('interrupted')) return `it took longer than ${timeoutMs} ms`;
    if (message.includes('out of memory')) return `it used more memory than ${memoryBytes} bytes`;
    return `it threw ${message}`;
  }
}

/** The types of Node have it not. */
declare const WebAssembly: {
  readonly Memory: new (limits: { readonly initial: number; readonly maximum: number }) => object;
};

/** What of the module this needs, and the package keeps to itself. */
interface Memory {
  _malloc(bytes: number): number;
  _free(pointer: number): void;
}

async function fresh(): Promise<Sandbox> {
  const maximum = Math.max(pagesMin, Math.ceil((ownBytes + memoryBytes) / pageBytes));
  const wasmMemory = new WebAssembly.Memory({ initial: pagesMin, maximum });
  const limited = newVariant(variant as unknown as QuickJSSyncVariant, { wasmMemory });
  return new Sandbox(await newQuickJSWASMModuleFromVariant(limited));
}

/** In the guest's JSON. Throws a StageFailure. */
function jsonOf(job: ScriptJob): string {
  if (typeof job === 'string') return job;
  const text = toJson(Item.unpacked(job.item, tools), job.context);
  if (text.length * batchShare > memoryBytes) {
    throw new StageFailure(`the message is too large for a script of ${memoryBytes} bytes (memoryBytes)`);
  }
  return text;
}

const shortReason = (error: unknown): string => failureReason(error).slice(0, reasonCharacters);

/** The guest gets all that can be read, at once. */
function answersOf(sandbox: Sandbox, batch: ScriptBatch): { answers: ScriptAnswers; isSpent: boolean } {
  if ('text' in batch) return answersFor(sandbox.run(batch.text), batch.count, new Map());
  const texts: string[] = [];
  const failures = new Map<number, string>();
  for (const [index, job] of batch.jobs.entries()) {
    try {
      texts.push(jsonOf(job));
    } catch (error) {
      failures.set(index, shortReason(error));
    }
  }
  return answersFor(sandbox.run(`[${texts.join(',')}]`), batch.jobs.length, failures);
}

function answersFor(
  { answers: text, isSpent }: ReturnType<Sandbox['run']>,
  count: number,
  failures: ReadonlyMap<number, string>,
): { answers: ScriptAnswers; isSpent: boolean } {
  if (failures.size === 0 && text.length <= shortCharacters) return { answers: { text, count }, isSpent };
  const given = parsed(text);
  let next = 0;
  const list = Array.from({ length: count }, (_, index) => failures.get(index) ?? oneByOne(given[next++]));
  return { answers: { list }, isSpent };
}

function parsed(text: string): readonly unknown[] {
  try {
    const all: unknown = JSON.parse(text);
    return Array.isArray(all) ? all : [];
  } catch {
    // A script can break the language around it: nobody gets an answer.
    return [];
  }
}

function oneByOne(answer: unknown): 0 | 1 | string | readonly Uint8Array[] {
  if (answer === 0 || answer === 1) return answer;
  if (typeof answer === 'string') return answer.slice(0, reasonCharacters);
  if (!Array.isArray(answer)) return 'it gave no answer that can be read';
  if (answer.length > messagesMax) return tooMany(answer.length).message;
  try {
    return chunksOf(answer);
  } catch (error) {
    return shortReason(error);
  }
}

function chunksOf(results: readonly unknown[]): readonly Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (let i = 0; i < results.length || i === 0; i += chunkResults) {
    const chunk = serialize(results.slice(i, i + chunkResults).map(packedResult));
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > limits.payloadBytes) {
      throw new StageFailure(
        `what it returned takes more than ${limits.payloadBytes} bytes (pipelineLimits.payloadBytes)`,
      );
    }
  }
  return chunks;
}

function packedResult(result: unknown): PackedResult {
  if (typeof result !== 'object' || result === null) throw new StageFailure('a message that it returned is no object');
  const { payload, ...beside } = result as ScriptResult;
  if (payload === undefined) return { result: beside, payload: null };
  try {
    weigh(payload, { ...limits, valueBytes: chunkValueBytes });
    return { result: result as ScriptResult, payload: null };
  } catch (error) {
    if (!(error instanceof TooLarge)) throw error;
    weigh(payload, tools.limits);
    return { result: beside, payload: pack(payload).parts[0]! };
  }
}

const port = parentPort!;

async function main(): Promise<void> {
  let sandbox: Sandbox;
  try {
    sandbox = await fresh();
  } catch (error) {
    return port.postMessage({ refused: (error as Error).message } satisfies FromWorker);
  }
  port.on('message', (batch: ScriptBatch) => {
    const { answers, isSpent } = answersOf(sandbox, batch);
    const transfer =
      'list' in answers ? answers.list.flatMap((each) => (Array.isArray(each) ? each.map(bufferOf) : [])) : [];
    port.postMessage({ answers, isSpent } satisfies FromWorker, transfer);
  });
  port.postMessage({ ready: true } satisfies FromWorker);
}

const bufferOf = ({ buffer }: Uint8Array) => buffer as ArrayBuffer;

await main();
