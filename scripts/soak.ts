/**
 * `npm run bench:soak`: hours or minutes of mixed load on one broker, and what becomes of its memory. Explained in
 * docs/benchmarks.md.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { pinned, startBroker } from './bench/brokers.ts';
import { processUsage } from './bench/process-usage.ts';
import { projectRoot } from './project-root.ts';

const help = `npm run bench:soak -- [options]

  --minutes N    how long (10)
  --rate N       messages a second that flow all the time, QoS 1 (5000)
`;
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    rate: { type: 'string', default: '5000' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(help);
  process.exit();
}
const minutes = Number(values.minutes);
const rate = Number(values.rate);
if (!(minutes > 0 && rate > 0)) {
  process.stderr.write(help);
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-soak-'));
const broker = await startBroker('sluice', folder, { isDurable: true });
const url = broker.urls.get('mqtt')!;
const endsAt = Date.now() + minutes * 60_000;
/** After the first run of everything; memory that grows from there on is a leak. */
const settledAt = Date.now() + Math.min(120_000, minutes * 15_000);
const samples: { readonly seconds: number; readonly megabytes: number }[] = [];

/** Resolves to what the generator says; ends the whole soak if it fails. */
async function load(args: string): Promise<string> {
  const generator = join(projectRoot(), 'scripts/dist/bench/generator.js');
  const [file, all] = pinned(1, process.execPath, [generator, ...args.split(' '), '--url', url]);
  const child = spawn(file, all, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the generator failed: ${args}`);
  return output;
}

/** Clients come and go, sessions fill and drain, retained messages are set and removed. */
async function churn(): Promise<number> {
  let rounds = 0;
  for (; Date.now() < endsAt; rounds++) {
    await load('conn -n 500 --idle 0');
    await load('offline -n 50 -m 100 -a 5 -q 1');
    await load('retained -n 2000 -q 1');
    await load('p2p -n 20 -q 2 -d 2 -u 0 -V 5 -r 2000');
  }
  return rounds;
}

async function watch(): Promise<void> {
  const startedAt = Date.now();
  while (Date.now() < endsAt) {
    const usage = processUsage(broker.pid);
    if (usage === null) throw new Error('the broker is gone');
    const sample = { seconds: Math.round((Date.now() - startedAt) / 1_000), megabytes: usage.rssKilobytes / 1_024 };
    samples.push(sample);
    process.stdout.write(`${String(sample.seconds).padStart(6)} s  ${sample.megabytes.toFixed(0).padStart(5)} MB\n`);
    await delay(Math.min(30_000, endsAt - Date.now()));
  }
}

try {
  const flow = load(`p2p -n 100 -q 1 -r ${rate} -u 0 -d ${minutes * 60}`);
  const [output, rounds] = await Promise.all([flow, churn(), watch()]);
  const { expected, lost, lat_us } = JSON.parse(output);
  const settled = samples.filter(({ seconds }) => seconds * 1_000 >= settledAt - endsAt + minutes * 60_000);
  const half = Math.floor(settled.length / 2);
  const mean = (some: typeof settled) => some.reduce((sum, { megabytes }) => sum + megabytes, 0) / some.length;
  process.stdout.write(
    [
      `${expected} messages, ${lost} lost, p99 ${(lat_us.p99 / 1_000).toFixed(2)} ms; ${rounds} rounds of churn`,
      `RSS after the start: first half ${mean(settled.slice(0, half)).toFixed(0)} MB, second half ${mean(settled.slice(half)).toFixed(0)} MB on average`,
      '',
    ].join('\n'),
  );
} finally {
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
}
