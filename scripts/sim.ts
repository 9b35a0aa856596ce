/**
 * `npm run sim`: the broker in a seeded simulation, as many runs as one likes. Explained in
 * docs/internals/simulation.md.
 */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { runBridged } from '../test/sim/bridged/bridged.ts';
import { runClustered } from '../test/sim/clustered/simulation.ts';
import { minimize } from '../test/sim/minimize.ts';
import { stepText } from '../test/sim/plan.ts';
import { type RunResult, run } from '../test/sim/simulation.ts';
import { readOptions, wholeNumber } from './command-line.ts';

const help = `npm run sim -- [options]

  --seeds N     how many runs (1000)
  --seed S      the first seed; the next ones count up (1)
  --jobs N      processes at a time (as many as there are processors)
  --minimize    make the first failure as small as it gets, and tell its story
  --trace       tell the story of the seed
  --bridges     several brokers with bridges between them, which is a simulation of its own
  --cluster     several brokers that are nodes of one cluster, another one; with --bridges: and have a bridge
`;

const { values } = readOptions(help, {
  seeds: { type: 'string' },
  seed: { type: 'string' },
  jobs: { type: 'string' },
  minimize: { type: 'boolean', default: false },
  trace: { type: 'boolean', default: false },
  bridges: { type: 'boolean', default: false },
  cluster: { type: 'boolean', default: false },
});

/** Of several brokers; null: of one. */
export type Several = 'bridges' | 'cluster' | 'clusterWithBridge' | null;
const ofCluster = values.bridges ? 'clusterWithBridge' : 'cluster';
const several: Several = values.cluster ? ofCluster : values.bridges ? 'bridges' : null;

const whole = (name: 'seeds' | 'seed' | 'jobs', standard: number) =>
  wholeNumber(name, values[name] ?? String(standard), 1);

/** What a worker says of its seeds. */
export interface Progress {
  readonly runs: number;
  readonly messages: number;
  readonly events: number;
  /** Messages about which `explain` was asked, and those of them that were not sent at once. */
  readonly explained: number;
  readonly mishaps: number;
  readonly failed: { readonly seed: number; readonly message: string }[];
}

function tellRun(result: RunResult): void {
  const { settings, ...rest } = result.profile;
  const lines = [
    `seed ${result.seed}: ${result.violation?.message ?? 'nothing wrong'}`,
    `settings ${JSON.stringify({ ...rest, ...settings })}`,
    ...result.lines,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

async function runAll(first: number, seeds: number, jobs: number): Promise<Progress> {
  const total = { runs: 0, messages: 0, events: 0, explained: 0, mishaps: 0, failed: [] as Progress['failed'] };
  const startedAt = Date.now();
  let next = first;
  const share = Math.max(1, Math.min(500, Math.ceil(seeds / jobs)));
  const work = () =>
    new Promise<void>((resolve, reject) => {
      const worker = fork(join(import.meta.dirname, 'sim-worker.js'));
      const give = () => {
        if (next >= first + seeds) return worker.disconnect();
        const count = Math.min(share, first + seeds - next);
        worker.send({ seed: next, count, several });
        next += count;
      };
      worker.on('message', (progress: Progress) => {
        total.runs += progress.runs;
        total.messages += progress.messages;
        total.events += progress.events;
        total.explained += progress.explained;
        total.mishaps += progress.mishaps;
        for (const { seed, message } of progress.failed) process.stdout.write(`seed ${seed}: ${message}\n`);
        total.failed.push(...progress.failed);
        const seconds = ((Date.now() - startedAt) / 1000).toFixed(0);
        if (seeds > 5_000) process.stdout.write(`${total.runs} runs, ${total.failed.length} failed, ${seconds} s\n`);
        give();
      });
      worker.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`A worker ended with ${code}`))));
      give();
    });
  await Promise.all(Array.from({ length: Math.min(jobs, Math.ceil(seeds / share)) }, work));
  return total;
}

const first = whole('seed', 1);
const seeds = whole('seeds', values.seed === undefined ? 1_000 : 1);
if (values.trace && several !== null) {
  const hasBridge = several === 'clusterWithBridge';
  const options = { isTraced: true, hasBridge };
  const { violation, lines } = await (several === 'bridges'
    ? runBridged(first, options)
    : runClustered(first, options));
  process.stdout.write(`seed ${first}: ${violation?.message ?? 'nothing wrong'}\n${lines.join('\n')}\n`);
} else if (values.trace) tellRun(await run(first, { isTraced: true }));
else {
  const startedAt = Date.now();
  const { runs, messages, events, explained, mishaps, failed } = await runAll(
    first,
    seeds,
    whole('jobs', availableParallelism()),
  );
  const seconds = (Date.now() - startedAt) / 1000;
  if (values.minimize && failed.length > 0 && several === null) {
    const seed = Math.min(...failed.map((each) => each.seed));
    const smallest = await minimize(await run(seed));
    process.stdout.write(`\n${smallest.steps.map(stepText).join('\n')}\n\n`);
    tellRun(smallest);
  }
  process.stdout.write(
    `${runs} runs from seed ${first}: ${failed.length} failed; ${messages} messages, ${events} events, ` +
      `${explained} explained, ${mishaps} of them mishaps, ${seconds.toFixed(1)} s\n`,
  );
  if (failed.length > 0) process.exitCode = 1;
}
