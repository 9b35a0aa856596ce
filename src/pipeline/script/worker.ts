/**
 * The worker that runs one user's script, in QuickJS compiled to WebAssembly: no process, no files, no network, no timers; its own
 * memory with a limit; interrupted when one message takes too long. It gets batches and answers them, in order.
 */
import { parentPort, workerData } from 'node:worker_threads';
import variant from '@jitl/quickjs-ng-wasmfile-release-sync';
import {
  newQuickJSWASMModuleFromVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSSyncVariant,
  type QuickJSWASMModule,
} from 'quickjs-emscripten-core';
import { guestSource } from './guest.ts';

export interface WorkerSettings {
  readonly file: string;
  /** JavaScript. */
  readonly source: string;
  readonly timeoutMs: number;
  readonly memoryBytes: number;
  /** An Int32Array with one number, which rises while the script gets on. */
  readonly heartbeat: SharedArrayBuffer;
}

/** To the main thread: first `ready` or `refused`, then an answer for each batch. */
export type FromWorker = { readonly refused: string } | { readonly ready: true } | { readonly answers: string };

const stackBytes = 262_144;
/** A script may take longer to be loaded than for a message. */
const loadMs = 2_000;
/** More than there are messages in a batch. */
const failuresMax = 1_000;

const settings = workerData as WorkerSettings;
const { timeoutMs, memoryBytes } = settings;
const heartbeat = new Int32Array(settings.heartbeat);

/** A function of the guest's that threw, with what it threw. */
class GuestError extends Error {}

class Sandbox {
  readonly #context: QuickJSContext;
  readonly #guest: QuickJSHandle;
  #marks: QuickJSHandle | null = null;
  /** Which message the clock runs for; -1: for none. */
  #index = -1;
  #startedAt = performance.now();
  /** By the whole process, which is the nearest there is to what this thread used. */
  #usedAtStart = process.cpuUsage();

  constructor(module: QuickJSWASMModule) {
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

  /** Answers of all messages. `isSpent`: the memory is used up, and a new sandbox is needed. */
  run(batch: string): { readonly answers: string; readonly isSpent: boolean } {
    let isSpent = false;
    let step = () => this.#call('begin', this.#context.newString(batch));
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
        step = () => this.#call('resume', this.#context.newString(why));
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

const port = parentPort!;

async function main(): Promise<void> {
  let sandbox: Sandbox;
  const fresh = async () =>
    new Sandbox(await newQuickJSWASMModuleFromVariant(variant as unknown as QuickJSSyncVariant));
  try {
    sandbox = await fresh();
  } catch (error) {
    return port.postMessage({ refused: (error as Error).message } satisfies FromWorker);
  }
  port.on('message', async (batch: string) => {
    const { answers, isSpent } = sandbox.run(batch);
    // A module of its own has its own memory, which goes as a whole.
    if (isSpent) sandbox = await fresh();
    port.postMessage({ answers } satisfies FromWorker);
  });
  port.postMessage({ ready: true } satisfies FromWorker);
}

await main();
