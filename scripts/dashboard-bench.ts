/**
 * `npm run bench:dashboard`: what the dashboard costs whoever looks at it, and the broker that they look at. Explained
 * in docs/internals/dashboard.md.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { processUsage } from './bench/process-usage.ts';
import { fail, readOptions, wholeNumber } from './command-line.ts';
import { startBareBrowser } from './dashboard/bare-browser.ts';
import { flow } from './dashboard/flow.ts';
import { type LoadTimes, loadOnce } from './dashboard/load-time.ts';
import { type MemorySample, type Turn, turn, watchMemory } from './dashboard/open-pages.ts';
import { type Stage, setStage } from './dashboard/stage.ts';

const help = `npm run bench:dashboard -- load    how long the first load takes on a slow processor
  --loads N          of how many the median is taken (9)
  --slower N         how many times slower the page's processor is (4)

npm run bench:dashboard -- open    what becomes of the browser's memory while pages stand open
  --minutes N        how long (60)

npm run bench:dashboard -- pages   what pages cost the broker: none, one and many of them, in turns
  --pages N          how many are many (20)
  --seconds N        of a turn (60)
  --rounds N         how often all three (3)
  --place PLACE      which page (#/)

of both:
  --rate N           messages a second, QoS 1, 100 pairs of clients (10000)
  --generator FILE   mqload, or another program that takes its options (the project's own generator)
`;
const text = (fallback: string) => ({ type: 'string', default: fallback }) as const;
const { values, positionals } = readOptions(
  help,
  {
    loads: text('9'),
    slower: text('4'),
    minutes: text('60'),
    pages: text('20'),
    seconds: text('60'),
    rounds: text('3'),
    place: text('#/'),
    rate: text('10000'),
    generator: { type: 'string' },
  },
  true,
);
const number = (name: 'loads' | 'slower' | 'minutes' | 'pages' | 'seconds' | 'rounds' | 'rate') =>
  wholeNumber(name, values[name], 1);
const options = { rate: number('rate'), generator: values.generator };
const tell = (line: string) => process.stdout.write(`${line}\n`);
const median = (all: readonly number[]) => all.toSorted((one, other) => one - other)[Math.floor(all.length / 2)]!;

async function load(stage: Stage): Promise<void> {
  const slower = number('slower');
  // The first makes the broker load its API.
  await loadOnce(stage, slower);
  const all: LoadTimes[] = [];
  for (let n = 0; n < number('loads'); n++) all.push(await loadOnce(stage, slower));
  for (const name of ['seen', 'figures', 'interactive'] as const) {
    const figures = all.map((each) => each[name]);
    const [least, middle, most] = [Math.min(...figures), median(figures), Math.max(...figures)];
    tell(`${name.padEnd(12)} ${middle.toFixed(0)} ms (${least.toFixed(0)} to ${most.toFixed(0)})`);
  }
  tell(`${all[0]!.requests} requests, ${all[0]!.kilobytes.toFixed(1)} kB`);
}

/** Those that follow streams, whatever is published; beside the overview, where whoever logs in arrives. */
const places = ['#/topics', '#/logs?tab=log'];

async function open(stage: Stage): Promise<void> {
  const seconds = number('minutes') * 60;
  const browser = await startBareBrowser(stage.executablePath, folder);
  await browser.open(stage.loginUrl());
  // Its cookie is for the others.
  await delay(5_000);
  for (const place of places) await browser.open(stage.url + place);
  const { pid, urls } = stage.broker;
  const before = processUsage(pid)!.cpuSeconds;
  const flowing = flow(urls.get('mqtt')!, seconds, options);
  const samples = await watchMemory(browser, Math.min(60, seconds / 10), flowing, (sample) => tell(line(sample)));
  const { expected, lost, lat_us } = await flowing;
  await browser.stop();
  const cores = (processUsage(pid)!.cpuSeconds - before) / seconds;
  tell(
    `${expected} messages, ${lost} lost, p99 ${(lat_us.p99 / 1_000).toFixed(2)} ms; broker ${percent(cores)} of a core`,
  );
  // A sixth of the time fills what is bounded: points of charts, lines of a log.
  const settled = samples.slice(Math.ceil(samples.length / 6));
  const half = Math.floor(settled.length / 2);
  const halves = (of: (sample: MemorySample) => number) =>
    `first half ${median(settled.slice(0, half).map(of)).toFixed(1)}, second half ${median(settled.slice(half).map(of)).toFixed(1)}`;
  tell('medians, after the start:');
  tell(`  objects, MB: ${halves(({ heapMegabytes }) => heapMegabytes)}`);
  tell(`  nodes: ${halves(({ nodes }) => nodes)}`);
  tell(`  browser, MB: ${halves(({ browserMegabytes }) => browserMegabytes)}`);
}

const line = ({ seconds, heapMegabytes, nodes, listeners, browserMegabytes }: MemorySample): string =>
  [
    `${String(seconds).padStart(6)} s`,
    `${heapMegabytes.toFixed(1).padStart(6)} MB of objects`,
    `${String(nodes).padStart(6)} nodes`,
    `${String(listeners).padStart(5)} listeners`,
    `${browserMegabytes.toFixed(0).padStart(5)} MB RSS`,
  ].join('  ');

const percent = (cores: number): string => `${(cores * 100).toFixed(1)} %`;

async function pages(stage: Stage): Promise<void> {
  const counts = [0, 1, number('pages')];
  const turns: Turn[] = [];
  await turn(stage, values.place, 1, 10, options);
  for (let n = 0; n < number('rounds'); n++) {
    for (const count of counts) {
      const one = await turn(stage, values.place, count, number('seconds'), options);
      tell(
        `${String(count).padStart(3)} pages  broker ${percent(one.brokerCores)} of a core  p99 ${one.p99Ms.toFixed(2)} ms` +
          `  ${one.lost} lost`,
      );
      turns.push(one);
    }
  }
  const middle = (count: number, of: (each: Turn) => number) =>
    median(turns.filter((each) => each.pages === count).map(of));
  const cores = (count: number) => middle(count, ({ brokerCores }) => brokerCores);
  for (const count of counts) {
    const page = count === 0 ? '' : `, ${((100 * (cores(count) - cores(0))) / count).toFixed(2)} % for each page`;
    const p99 = middle(count, ({ p99Ms }) => p99Ms).toFixed(2);
    tell(`${String(count).padStart(3)} pages: median ${percent(cores(count))} of a core${page}; p99 ${p99} ms`);
  }
}

const parts = { load, open, pages };
const part = parts[positionals[0] as keyof typeof parts];
if (part === undefined || positionals.length !== 1) fail(help.trimEnd());
if (part === load && spawnSync('chrt', ['--rr', '--pid', '1', String(process.pid)]).status !== 0) {
  // What else this machine has to do would be taken for the page's slowness.
  tell('beside whatever else runs here: chrt is not there, or not allowed');
}
const folder = mkdtempSync(join(tmpdir(), 'sluice-dashboard-bench-'));
// Elsewhere, browsers and generators do not take the broker's processor.
const stage = await setStage(folder, part !== load);
try {
  await part(stage);
} finally {
  await stage.stop();
  rmSync(folder, { recursive: true, force: true });
}
