/**
 * `npm run bench`: the same load on several brokers, side by side. Explained in docs/measurements/benchmarks.md.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { benchBridges } from './bench/bridge.ts';
import {
  type BrokerName,
  brokerNames,
  pinned,
  pinning,
  type RunningBroker,
  startBroker,
  versionOf,
} from './bench/brokers.ts';
import { benchPipelines } from './bench/pipeline.ts';
import { plotOf } from './bench/plot.ts';
import { type Row, type RunOutput, rowsOf } from './bench/results.ts';
import { groups, type Scenario } from './bench/scenarios.ts';
import { tableOf } from './bench/table.ts';
import { endsWithUs } from './child-processes.ts';
import { fail, readOptions } from './command-line.ts';
import { projectRoot } from './project-root.ts';

const help = `npm run bench -- [GROUP …] [options]   groups: ${Object.keys(groups).join(', ')} (core)
       npm run bench -- bridge         bridges of Sluice and of Mosquitto, in turns
       npm run bench -- pipeline       what pipelines cost, and what a hostile script costs others

  --only TEXT       of these, the scenarios whose title contains TEXT
  --brokers LIST    of ${brokerNames.join(', ')};
                    those that are not installed are left out (sluice, mosquitto, aedes, and what a group compares)
  --before DIR      compares with the checkout of Sluice in DIR, which has been built: this one, a second time this one
                    (what the machine adds), and sluice-before
  --runs N          of each scenario on each broker; the table has their medians (3)
  --seconds S       measured in each run, where the scenario does not end by itself (4)
  --queued N            bridge: messages that wait while the peer is away (20000)
  --mqload PATH     uses this program instead of the generator of the project, where it knows the load; TCP only
  --json FILE       appends the rows, a line of JSON each
  --plot FILE       writes an SVG
`;

const options = {
  only: { type: 'string', default: '' },
  brokers: { type: 'string' },
  before: { type: 'string' },
  runs: { type: 'string', default: '3' },
  seconds: { type: 'string', default: '4' },
  queued: { type: 'string', default: '20000' },
  mqload: { type: 'string' },
  json: { type: 'string' },
  plot: { type: 'string' },
} as const;
const { values, positionals } = readOptions(help, options, true);

function positive(name: 'runs' | 'seconds' | 'queued'): number {
  const value = Number(values[name]);
  if (!(value > 0)) fail(`--${name} wants a number above 0, not "${values[name]}"`);
  return value;
}

if (positionals.length === 1 && positionals[0] === 'pipeline') {
  await benchPipelines({ runs: positive('runs'), only: values.only });
  process.exit();
}
if (positionals.length === 1 && positionals[0] === 'bridge') {
  await benchBridges({ runs: positive('runs'), seconds: positive('seconds'), queued: positive('queued') });
  process.exit();
}
const { mqload } = values;
if (mqload !== undefined && !existsSync(mqload)) fail(`--mqload: there is no ${mqload}`);
const runs = positive('runs');
const seconds = positive('seconds');
const scenarios = (positionals.length === 0 ? ['core'] : positionals)
  .flatMap((name) => groups[name] ?? fail(`There is no group "${name}"; there are ${Object.keys(groups).join(', ')}`))
  .filter(({ title, scheme }) => title.includes(values.only) && (mqload === undefined || scheme === 'mqtt'));
if (scenarios.length === 0) fail('No scenario is left; see --help');
const { before } = values;
if (before !== undefined && !existsSync(join(before, 'dist/cli/main.js')))
  fail(`--before: ${before} has not been built`);
const named = before === undefined ? 'sluice,sluice-rules,mosquitto,aedes' : 'sluice,sluice-before,sluice-again';
const wanted = (values.brokers ?? named).split(',').map((name) => {
  return (
    brokerNames.find((each) => each === name) ??
    fail(`There is no broker "${name}"; there are ${brokerNames.join(', ')}`)
  );
});
const versions = new Map<BrokerName, string>();
for (const name of wanted) {
  const version = versionOf(name);
  if (version === null) process.stderr.write(`${name} is not installed and is left out\n`);
  else versions.set(name, version);
}

/** One run of the generator against one broker. */
async function runLoad({ args, scheme, isOwnLoad }: Scenario, broker: RunningBroker): Promise<RunOutput> {
  const url = broker.urls.get(scheme);
  if (url === undefined) throw new Error(`${broker.name} has no listener for ${scheme}://`);
  const isFlow = !/^(conn|retained|offline|sessions)/.test(args);
  const given = [...args.split(' '), '-p', String(broker.pid), ...(isFlow ? ['-d', String(seconds)] : [])];
  const generator = join(projectRoot(), 'scripts/dist/bench/generator.js');
  const [file, all] =
    mqload === undefined || isOwnLoad
      ? pinned(1, process.execPath, [generator, ...given, '--url', url])
      : pinned(1, mqload, [...given, '-P', new URL(url).port, '--quiet']);
  const child = endsWithUs(spawn(file, all, { stdio: ['ignore', 'pipe', 'pipe'] }));
  let [output, errors] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the generator failed (${code}) against ${broker.name}: ${errors.trim()}`);
  return JSON.parse(output) as RunOutput;
}

/** The brokers take turns, so that what else the machine does meets them all. */
async function runScenario(scenario: Scenario, folder: string): Promise<Row[]> {
  const { isDurable, isCold, warmUps, pauseSeconds } = scenario;
  const isCompared = (name: BrokerName) => /^sluice-(before|again|traced)$/.test(name);
  const names = [...versions.keys()].filter((name) => isCompared(name) || scenario.brokers.includes(name));
  let brokers: RunningBroker[] = [];
  const outputs = new Map<BrokerName, RunOutput[]>();
  const start = (name: BrokerName) => {
    const checkout = name === 'sluice-before' ? { checkout: resolve(before ?? projectRoot()) } : {};
    return startBroker(name, join(folder, name), { isDurable, ...checkout });
  };
  const stopAll = async () => {
    for (const broker of brokers) await broker.stop();
    brokers = [];
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (let run = -warmUps; run < runs; run++) {
      if (isCold) await stopAll();
      if (brokers.length === 0) for (const name of names) brokers.push(await start(name));
      if (run >= 0) await delay(pauseSeconds * 1_000);
      for (const broker of run % 2 === 0 ? brokers : brokers.toReversed()) {
        const output = await runLoad(scenario, broker);
        if (run >= 0) outputs.set(broker.name, [...(outputs.get(broker.name) ?? []), output]);
      }
    }
  } finally {
    await stopAll();
  }
  return [...outputs].flatMap(([name, each]) => rowsOf(scenario, name, each));
}

function commit(): string | null {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: projectRoot(), encoding: 'utf8' }).trim();
  } catch {
    return null;
  }
}

const surroundings = {
  commit: commit(),
  node: process.version,
  processor: cpus()[0]?.model.trim() ?? 'unknown',
  generator: mqload === undefined ? 'own' : 'mqload',
  pinning,
  seconds,
};
const names = [...versions].map(([name, version]) => `${name} ${version}`).join(', ');
process.stdout.write(
  `${names}; Node.js ${process.version}; ${surroundings.processor}; ${pinning}; generator: ${surroundings.generator}\n\n`,
);
const rows: Row[] = [];
let failures = 0;
for (const scenario of scenarios) {
  try {
    const own = await runScenario(scenario, mkdtempSync(join(tmpdir(), 'sluice-bench-')));
    rows.push(...own);
    process.stderr.write(`${tableOf(own).split('\n').slice(2).join('\n')}\n`);
  } catch (error) {
    failures++;
    process.stderr.write(`${scenario.title}: ${(error as Error).message}\n`);
  }
}
process.stdout.write(`\n${tableOf(rows)}\n`);
if (values.json !== undefined) {
  const at = new Date().toISOString();
  for (const row of rows) {
    const version = versions.get(row.broker);
    appendFileSync(values.json, `${JSON.stringify({ at, ...surroundings, version, ...row })}\n`);
  }
}
if (values.plot !== undefined)
  writeFileSync(values.plot, plotOf(rows, 'Messages or connections a second, one core for the broker'));
if (failures > 0) process.exitCode = 1;
