/**
 * `npm run fuzz`: random and mutated input for everything in the broker that reads what others wrote. Explained in
 * docs/internals/fuzzing.md.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { fail, readOptions } from '../../scripts/command-line.ts';
import { saveFinding } from './findings.ts';
import type { Report } from './fuzzer.ts';
import { minimized } from './minimize.ts';
import { SharedInput } from './shared-input.ts';
import { targetNames } from './targets.ts';
import type { FromWorker, WorkerTask } from './worker.ts';

const help = `npm run fuzz -- [options]

  --target T    ${targetNames.join(', ')}; several with commas (all)
  --seconds S   in all (60)
  --inputs N    per target, if that comes first
  --seed S      a number; the same inputs come again, as far as they do not depend on the time (by chance)
`;
/** Without an answer for so long, an input counts as one that hangs. */
const hangMs = 10_000;
const hangReplayMs = 2_000;

const { values } = readOptions(help, {
  target: { type: 'string' },
  seconds: { type: 'string' },
  inputs: { type: 'string' },
  seed: { type: 'string' },
});
const names = values.target?.split(',') ?? targetNames;
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
const inputsMax = Number(values.inputs ?? Number.POSITIVE_INFINITY);
const seconds = Number(values.seconds ?? (values.inputs === undefined ? 60 : 86_400)) / names.length;
const unknown = names.find((name) => !targetNames.includes(name));
if (unknown !== undefined) fail(`There is no target "${unknown}"; there are ${targetNames.join(', ')}`);
if (!(seconds > 0 && inputsMax > 0 && seed >= 0)) {
  fail(`--seconds and --inputs want numbers above 0, --seed one that is not below\n\n${help.trimEnd()}`);
}

let failures = 0;

function report(target: string, input: Uint8Array, what: string): void {
  failures++;
  const file = saveFinding(target, input, what);
  const hex = Buffer.from(input).toString('hex');
  process.stdout.write(
    `${target}: ${what}\n  ${input.length} bytes: ${hex.slice(0, 400)}${hex.length > 400 ? '…' : ''}\n  saved as ${file}\n`,
  );
}

/** Fuzzes one target in a thread of its own, which is stopped if it hangs. Resolves to null if it was. */
async function fuzz(target: string): Promise<Report | null> {
  const shared = new SharedInput();
  const task: WorkerTask = { target, seed, seconds, inputsMax, shared: shared.memory, isReplay: false };
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: task });
  let result: Report | null = null;
  worker.on('message', (message: FromWorker) => {
    if (message.kind === 'failure') report(target, message.input, message.what);
    else if (message.kind === 'report') result = message.report;
  });
  worker.on('error', (error) => report(target, shared.input, `threw out of everything: ${error.stack ?? error}`));
  let [count, since] = [0, Date.now()];
  let hung: Uint8Array | null = null;
  const watch = setInterval(() => {
    if (shared.count !== count || shared.count === 0) [count, since] = [shared.count, Date.now()];
    else if (Date.now() - since > hangMs && result === null) {
      hung = shared.input;
      void worker.terminate();
    }
  }, 500);
  await once(worker, 'exit');
  clearInterval(watch);
  if (hung !== null) {
    report(target, await minimized(hung, (smaller) => hangs(target, smaller)), 'hangs');
    for (const replayer of replayers) await replayer.terminate();
    replayers = [];
  }
  return result;
}

/** Threads that wait for the next input of one that hung. */
let replayers: Worker[] = [];

async function hangs(target: string, input: Uint8Array): Promise<boolean> {
  const replayer = replayers.pop() ?? (await startReplayer(target));
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), hangReplayMs);
  replayer.postMessage(input);
  try {
    await once(replayer, 'message', { signal: late.signal });
    replayers.push(replayer);
    return false;
  } catch {
    await replayer.terminate();
    return true;
  } finally {
    clearTimeout(timer);
  }
}

async function startReplayer(target: string): Promise<Worker> {
  const shared = new SharedInput().memory;
  const task: WorkerTask = { target, seed, seconds: 0, inputsMax: 0, shared, isReplay: true };
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: task });
  await once(worker, 'message');
  return worker;
}

process.stdout.write(`seed ${seed}\n`);
let inputs = 0;
for (const name of names) {
  const result = await fuzz(name);
  if (result === null) continue;
  inputs += result.inputs;
  const { reached, missed, corpus, ways } = result;
  const perSecond = Math.round(result.inputs / result.seconds);
  process.stdout.write(
    `${name.padEnd(12)} ${String(result.inputs).padStart(10)} inputs  ${String(perSecond).padStart(8)}/s  ` +
      `${ways} outcomes  ${reached} blocks run, ${missed} beside them not  corpus ${corpus}  ` +
      `slowest ${result.slowestMs.toFixed(0)} ms  grown ${(result.grownBytes / 1_048_576).toFixed(1)} MiB\n`,
  );
}
process.stdout.write(`${inputs} inputs, ${failures} failures\n`);
process.exit(failures === 0 ? 0 : 1);
