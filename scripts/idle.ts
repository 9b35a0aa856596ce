/**
 * `npm run bench:idle`: what a gateway costs that has nothing to do: a broker with one listener, a bridge whose peer is
 * away, and the store on disk. How long from its start to the first message, and what it has in memory then. It has the
 * environment that packages and image give it.
 *
 * The memory is that of /proc/PID/smaps_rollup. Of `resident`, the program's own pages that several processes share are
 * a part. What Node costs without a program is told beside it: a process that only listens.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { LoadClient, publishTemplate } from './bench/load/client.ts';
import { processUsage } from './bench/process-usage.ts';
import { endsWithUs } from './child-processes.ts';
import { fail, readOptions } from './command-line.ts';
import { freePorts, untilOpen } from './ports.ts';
import { startCommand } from './start-command.ts';

const help = `npm run bench:idle -- [options]

  --seconds N       how long it has nothing to do before its memory is read (10)
  --starts N        how many starts: the median is told (1)
`;
const { values } = readOptions(help, {
  seconds: { type: 'string', default: '10' },
  starts: { type: 'string', default: '1' },
});
const seconds = Number(values.seconds);
if (!(seconds >= 0)) fail(`--seconds wants a number\n\n${help.trimEnd()}`);
const starts = Number(values.starts);
if (!(Number.isInteger(starts) && starts > 0)) fail(`--starts wants a number from 1 on\n\n${help.trimEnd()}`);

const folder = mkdtempSync(join(tmpdir(), 'sluice-idle-'));
const [port, nobody] = await freePorts(2);
const config = join(folder, 'sluice.yaml');
writeFileSync(
  config,
  [
    `listeners: [{ kind: tcp, port: ${port} }]`,
    `store: { kind: level, directory: ${join(folder, 'data')} }`,
    'admin: { listeners: [] }',
    'bridges:',
    '  - name: cloud',
    `    addresses: [mqtt://127.0.0.1:${nobody}]`,
    '    topics: [{ filter: "#", qos: 1 }]',
  ].join('\n'),
);

interface Memory {
  readonly resident: number;
  readonly own: number;
}

/** In megabytes. */
function memory(pid: number): Memory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const megabytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)![1]) / 1_000;
  return { resident: megabytes('Rss'), own: megabytes('Private_Dirty') };
}

function startNode(argv: readonly string[], log: number) {
  const env = { ...process.env, MALLOC_MMAP_THRESHOLD_: '32768' };
  return endsWithUs(spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', log], env }));
}

async function firstMessage(): Promise<void> {
  const url = new URL(`mqtt://127.0.0.1:${port}`);
  let arrived = () => {};
  const arrival = new Promise<void>((resolve) => (arrived = resolve));
  const client = await LoadClient.connect({ url, version: 5, clientId: 'first' }, { onMessage: () => arrived() });
  await client.subscribe(['first'], 1);
  const { bytes, idAt } = publishTemplate('first', 8, { qos: 1, version: 5 });
  bytes.writeUInt16BE(1, idAt);
  client.write(bytes);
  await arrival;
  await client.leave();
}

interface Start extends Memory {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

const log = openSync(join(folder, 'log'), 'w');

/** Until `isThere` resolves, and then with nothing to do. */
async function measure(argv: readonly string[], isThere: () => Promise<void>): Promise<Start> {
  const began = performance.now();
  const child = startNode(argv, log);
  const ended = new AbortController();
  child.once('exit', () => ended.abort());
  if (!(await untilOpen(port!, ended.signal))) fail(readFileSync(join(folder, 'log'), 'utf8'));
  await isThere();
  const took = performance.now() - began;
  const { cpuSeconds } = processUsage(child.pid!) ?? fail('There is no /proc here');
  await delay(seconds * 1_000);
  const start = { seconds: took / 1_000, cpuSeconds, ...memory(child.pid!) };
  child.kill('SIGTERM');
  await once(child, 'exit');
  return start;
}

function tell(what: string, measured: readonly Start[]): void {
  const median = (of: (start: Start) => number) => measured.map(of).sort((a, b) => a - b)[measured.length >> 1]!;
  const time = `after ${median((each) => each.seconds).toFixed(2)} s`;
  const cpu = `${median((each) => each.cpuSeconds).toFixed(2)} s of them processor time`;
  const resident = `${median((each) => each.resident).toFixed(1)} MB resident`;
  console.log(`${what} ${time}, ${cpu}; ${resident}, ${median((each) => each.own).toFixed(1)} MB of them its own`);
}

const listening = `require('node:net').createServer().listen(${port}, '127.0.0.1')`;
const brokers: Start[] = [];
const empty: Start[] = [];
for (let i = 0; i < starts; i++) {
  rmSync(join(folder, 'data'), { recursive: true, force: true });
  brokers.push(await measure([...startCommand(), '--config', config], firstMessage));
  empty.push(await measure(['-e', listening], async () => {}));
}
tell('broker, first message', brokers);
tell(`Node ${process.version}, listening`, empty);
rmSync(folder, { recursive: true });
