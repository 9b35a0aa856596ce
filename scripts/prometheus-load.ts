/**
 * `npm run bench:prometheus`: a real Prometheus reads a broker under load for an hour, and has counted to the message
 * what the generator sent and received. Explained in docs/internals/testing.md.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { apiAddress } from './api-of-broker.ts';
import { startBroker } from './bench/brokers.ts';
import { processUsage } from './bench/process-usage.ts';
import { hasPrometheus, hasPromtool, startPrometheus } from './bench/prometheus.ts';
import { endsWithUs } from './child-processes.ts';
import { fail, readOptions, wholeNumber } from './command-line.ts';
import { projectRoot } from './project-root.ts';

const help = `npm run bench:prometheus -- [options]   ends with 1 if Prometheus has counted otherwise

  --minutes N        how long (60)
  --rate N           messages a second, QoS 1, 50 publishers with a subscriber each (500)
  --interval N       seconds between two scrapes (5)
  --generator FILE   mqload, or another program that takes its options (the project's own generator)
`;
const { values } = readOptions(help, {
  minutes: { type: 'string', default: '60' },
  rate: { type: 'string', default: '500' },
  interval: { type: 'string', default: '5' },
  generator: { type: 'string' },
});
const seconds = wholeNumber('minutes', values.minutes, 1) * 60;
const rate = wholeNumber('rate', values.rate, 1);
const intervalSeconds = wholeNumber('interval', values.interval, 1);
if (!hasPrometheus || !hasPromtool) fail('prometheus and promtool are not installed (Debian: apt install prometheus)');

/** What the generator counted. */
interface Counted {
  readonly expected: number;
  readonly lost: number;
  readonly dup: number;
}

async function load(port: string): Promise<Counted> {
  const own = join(projectRoot(), 'scripts/dist/bench/generator.js');
  const [file, first] = values.generator === undefined ? [process.execPath, [own]] : [values.generator, []];
  const flow = ['p2p', '-n', '50', '-V', '5', '-q', '1', '-u', '0', '-r', `${rate}`, '-d', `${seconds}`, '-P', port];
  const child = endsWithUs(spawn(file, [...first, ...flow], { stdio: ['ignore', 'pipe', 'inherit'] }));
  let output = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the generator failed with ${code}`);
  return JSON.parse(output) as Counted;
}

interface Sample {
  readonly value: number;
  readonly at: number;
}

/** All samples of the series that the selector matches, as they are on Prometheus's disk. */
function samplesOf(directory: string, selector: string): Sample[] {
  const lines = execFileSync('promtool', ['tsdb', 'dump', `--match=${selector}`, directory], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  const samples = lines
    .trim()
    .split('\n')
    .map((line): Sample => {
      const [, value, at] = /\} (\S+) (\d+)$/.exec(line) ?? [];
      return { value: Number(value), at: Number(at) };
    });
  // After a scrape that failed, Prometheus marks the series as stale by a NaN.
  return samples.filter(({ value }) => !Number.isNaN(value)).sort((one, other) => one.at - other.at);
}

/** By how much a counter rose from one sample to the next; a fall would be a broker that has started anew. */
const rises = (samples: readonly Sample[]) =>
  samples.slice(1).map(({ value, at }, i) => ({ by: value - samples[i]!.value, ms: at - samples[i]!.at }));

const folder = mkdtempSync(join(tmpdir(), 'sluice-prometheus-'));
const problems: string[] = [];
const check = (isRight: boolean, problem: string) => {
  if (!isRight) problems.push(problem);
};
const tell = (line: string) => process.stdout.write(`${line}\n`);

try {
  const setting = { isDurable: true, settings: 'admin: { listeners: [{ port: 0 }] }' };
  const broker = await startBroker('sluice', folder, setting);
  const admin = await apiAddress(folder);
  const rules = join(projectRoot(), 'deploy/prometheus/alerts.yml');
  const prometheus = await startPrometheus(folder, Number(admin.port), [rules], intervalSeconds * 1_000);
  await delay(3 * intervalSeconds * 1_000);
  const cpuBefore = processUsage(broker.pid)!.cpuSeconds;
  const counted = await load(new URL(broker.urls.get('mqtt')!).port);
  const cpuSeconds = processUsage(broker.pid)!.cpuSeconds - cpuBefore;
  await delay(3 * intervalSeconds * 1_000);
  const received = 'sluice_messages_received_total';
  const figure = async (expression: string) => Number((await prometheus.query(expression))[0]?.value[1] ?? Number.NaN);
  const range = `[${seconds + 10 * intervalSeconds}s]`;
  const increase = await figure(`increase(${received}${range})`);
  const alerts = await prometheus.query('ALERTS{alertstate="firing"}');
  // Our certificate is for two days.
  const firing = alerts.map(({ metric }) => metric.alertname).filter((name) => name !== 'SluiceCertificateEnds');
  const series = await figure('count({__name__=~"sluice_.+|process_.+|nodejs_.+"})');
  await prometheus.stop();
  await broker.stop();

  const tsdb = join(folder, 'tsdb');
  const sums = {
    received: [received, counted.expected],
    sent: ['sluice_messages_sent_total', counted.expected - counted.lost],
  };
  for (const [what, [metric, expected]] of Object.entries(sums) as [string, [string, number]][]) {
    const all = rises(samplesOf(tsdb, metric));
    const sum = all.reduce((total, { by }) => total + by, 0);
    tell(`${what}: Prometheus ${sum}, the generator ${expected}; ${all.length + 1} samples`);
    check(sum === expected, `${what}: ${sum}, and not ${expected}`);
    check(
      all.every(({ by }) => by >= 0),
      `${what}: the counter fell`,
    );
    const longest = Math.max(...all.map(({ ms }) => ms));
    check(longest <= 2.5 * intervalSeconds * 1_000, `${what}: no sample for ${longest} ms`);
    // Without the beginning and the end of the load.
    const rates = all
      .filter(({ by }) => by > 0)
      .slice(2, -2)
      .map(({ by, ms }) => (by * 1_000) / ms);
    const [least, most] = [Math.min(...rates), Math.max(...rates)];
    tell(
      `${what}: ${least.toFixed(1)} to ${most.toFixed(1)} messages a second between two scrapes, asked for: ${rate}`,
    );
    check(least > 0.5 * rate && most < 2 * rate, `${what}: rates from ${least} to ${most}`);
  }
  check(counted.lost === 0 && counted.dup === 0, `${counted.lost} messages lost, ${counted.dup} twice`);
  const ups = samplesOf(tsdb, 'up');
  check(
    ups.every(({ value }) => value === 1),
    'a scrape failed',
  );
  // It is extrapolated at both ends.
  const tolerance = Math.max(0.01, (2 * intervalSeconds) / seconds);
  check(Math.abs(increase / counted.expected - 1) < tolerance, `increase() says ${increase}`);
  // The first one loads what the API needs.
  const scrapes = samplesOf(tsdb, 'scrape_duration_seconds').slice(1);
  const slowest = Math.max(...scrapes.map(({ value }) => value));
  check(firing.length === 0, `alerts: ${firing.join(', ')}`);
  tell(
    `increase() over all of it: ${increase.toFixed(1)}; ${ups.length} scrapes, the slowest ${(slowest * 1_000).toFixed(1)} ms; ${series} series`,
  );
  tell(`CPU of the broker: ${cpuSeconds.toFixed(1)} s of ${seconds}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
for (const problem of problems) tell(`wrong: ${problem}`);
tell(problems.length === 0 ? 'all agrees' : 'it does not agree');
process.exit(problems.length === 0 ? 0 : 1);
