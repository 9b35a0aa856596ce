/**
 * The thread in which one target is fuzzed. The input under way stands in shared memory, so that who waits outside can
 * tell which one hung.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Fuzzer, type Report } from './fuzzer.ts';
import { SharedInput } from './shared-input.ts';
import { makeTarget } from './targets.ts';

export interface WorkerTask {
  readonly target: string;
  readonly seed: number;
  readonly seconds: number;
  readonly inputsMax: number;
  readonly shared: SharedArrayBuffer;
  /** Instead of fuzzing: run these that are sent, and say after each whether it failed. */
  readonly isReplay: boolean;
}

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failure'; readonly input: Uint8Array; readonly what: string }
  | { readonly kind: 'replayed'; readonly what: string | null }
  | { readonly kind: 'report'; readonly report: Report };

const { target: name, seed, seconds, inputsMax, shared, isReplay } = workerData as WorkerTask;
const tell = (message: FromWorker) => parentPort!.postMessage(message);
const input = new SharedInput(shared);
const target = await makeTarget(name, seed);
const fuzzer = new Fuzzer(target, {
  seed,
  seconds,
  inputsMax,
  onInput: (bytes) => input.set(bytes),
  onFailure: (failure) => tell({ kind: 'failure', ...failure }),
});
tell({ kind: 'ready' });
if (isReplay) {
  parentPort!.on('message', async (bytes: Uint8Array) => {
    tell({ kind: 'replayed', what: await fuzzer.failure(bytes) });
  });
} else {
  const report = await fuzzer.run();
  target.close?.();
  tell({ kind: 'report', report });
}
