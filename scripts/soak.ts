/**
 * `npm run bench:soak`: hours or minutes of mixed load on one broker, and what becomes of its memory. Explained in
 * docs/measurements/faults.md.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startBroker } from './bench/brokers.ts';
import { complaintsIn } from './bench/complaints.ts';
import { processUsage } from './bench/process-usage.ts';
import { runGenerator } from './bench/run-generator.ts';
import { fail, readOptions } from './command-line.ts';

const help = `npm run bench:soak -- [options]

  --minutes N    how long (10)
  --rate N       messages a second that flow all the time, QoS 1 (5000)
  --pause S      seconds between two rounds of clients that come and go (0)
`;
const { values } = readOptions(help, {
  minutes: { type: 'string', default: '10' },
  rate: { type: 'string', default: '5000' },
  pause: { type: 'string', default: '0' },
});
const minutes = Number(values.minutes);
const rate = Number(values.rate);
const pauseSeconds = Number(values.pause);
if (!(minutes > 0 && rate > 0 && pauseSeconds >= 0)) {
  fail(`--minutes and --rate want numbers above 0, --pause one that is not below\n\n${help.trimEnd()}`);
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-soak-'));
const broker = await startBroker('sluice', folder, { isDurable: true });
const url = broker.urls.get('mqtt')!;
const endsAt = Date.now() + minutes * 60_000;
/** After the first run of everything; memory that grows from there on is a leak. */
const settledAt = Date.now() + Math.min(120_000, minutes * 15_000);

interface Sample {
  readonly seconds: number;
  readonly megabytes: number;
  readonly descriptors: number;
  readonly dataMegabytes: number;
}
const samples: Sample[] = [];

/**
 * Clients come and go, sessions fill and drain, retained messages are set and removed. Returns how often, and what
 * failed.
 */
async function churn(): Promise<{ rounds: number; failures: string[] }> {
  const failures: string[] = [];
  const webSocket = broker.urls.get('ws')!;
  let rounds = 0;
  for (; Date.now() < endsAt; rounds++) {
    try {
      await runGenerator('conn -n 500 --idle 0', url);
      await runGenerator('conn -n 200 --idle 0', webSocket);
      await runGenerator('offline -n 50 -m 100 -a 5 -q 1', url);
      await runGenerator('retained -n 2000 -q 1', url);
      await runGenerator('p2p -n 20 -q 2 -d 2 -u 0 -V 5 -r 2000', url);
    } catch (error) {
      // A machine so busy that handshakes time out ends a round, not the hours before it.
      failures.push((error as Error).message);
    }
    await delay(Math.max(0, Math.min(pauseSeconds * 1_000, endsAt - Date.now())));
  }
  return { rounds, failures };
}

async function watch(): Promise<void> {
  const startedAt = Date.now();
  while (Date.now() < endsAt) {
    const usage = processUsage(broker.pid);
    if (usage === null) throw new Error('the broker is gone');
    const sample = {
      seconds: Math.round((Date.now() - startedAt) / 1_000),
      megabytes: usage.rssKilobytes / 1_024,
      descriptors: readdirSync(`/proc/${broker.pid}/fd`).length,
      dataMegabytes: sizeOf(join(folder, 'data')) / 2 ** 20,
    };
    samples.push(sample);
    const columns = [
      `${String(sample.seconds).padStart(6)} s`,
      `${sample.megabytes.toFixed(0).padStart(5)} MB RSS`,
      `${String(sample.descriptors).padStart(5)} descriptors`,
      `${sample.dataMegabytes.toFixed(0).padStart(5)} MB of data`,
    ];
    process.stdout.write(`${columns.join('  ')}\n`);
    await delay(Math.min(30_000, endsAt - Date.now()));
  }
}

/** A file that LevelDB removes in between counts as nothing. */
function sizeOf(directory: string): number {
  const sizes = readdirSync(directory).map((name) => statSync(join(directory, name), { throwIfNoEntry: false })?.size);
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

try {
  const flow = runGenerator(`p2p -n 100 -q 1 -r ${rate} -u 0 -d ${minutes * 60}`, url);
  const [result, { rounds, failures }] = await Promise.all([flow, churn(), watch()]);
  const { expected, lost, dup, lat_us } = result;
  const settled = samples.filter(({ seconds }) => seconds * 1_000 >= settledAt - endsAt + minutes * 60_000);
  const half = Math.floor(settled.length / 2);
  const mean = (some: typeof settled, of: (sample: Sample) => number) =>
    (some.reduce((sum, sample) => sum + of(sample), 0) / some.length).toFixed(0);
  const halves = (of: (sample: Sample) => number) =>
    `first half ${mean(settled.slice(0, half), of)}, second half ${mean(settled.slice(half), of)}`;
  process.stdout.write(
    [
      `${expected} messages, ${lost} lost, ${dup} twice, p99 ${(lat_us.p99 / 1_000).toFixed(2)} ms, ` +
        `slowest ${(lat_us.max / 1_000).toFixed(0)} ms; ${rounds} rounds of churn`,
      ...failures.map((failure) => `a round ended early: ${failure}`),
      'on average, after the start:',
      `  RSS, MB: ${halves(({ megabytes }) => megabytes)}`,
      `  file descriptors: ${halves(({ descriptors }) => descriptors)}`,
      `  data, MB: ${halves(({ dataMegabytes }) => dataMegabytes)}`,
      `the log, at warn or worse: ${complaintsIn(join(folder, 'log')).join('; ') || 'nothing'}`,
      '',
    ].join('\n'),
  );
} finally {
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
}
