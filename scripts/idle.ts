/**
 * `npm run bench:idle`: what a gateway costs that has nothing to do: a broker with one listener, a bridge whose peer is
 * away, and the store on disk. How long from its start to the first message, and what it has in memory then.
 *
 * The memory is that of /proc/PID/smaps_rollup. Of `resident`, the program's own pages that several processes share are
 * a part: those of Node alone are told beside it.
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
`;
const { values } = readOptions(help, { seconds: { type: 'string', default: '10' } });
const seconds = Number(values.seconds);
if (!(seconds >= 0)) fail(`--seconds wants a number\n\n${help.trimEnd()}`);

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

function memory(pid: number): string {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const megabytes = (name: string) =>
    (Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)![1]) / 1_000).toFixed(1);
  return `${megabytes('Rss')} MB resident, ${megabytes('Private_Dirty')} MB of them its own`;
}

function startNode(argv: readonly string[], log: number) {
  return endsWithUs(spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', log] }));
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

const log = openSync(join(folder, 'log'), 'w');
const empty = startNode(['-e', 'setInterval(() => {}, 1000)'], log);
const began = performance.now();
const broker = startNode([...startCommand(), '--config', config], log);
const ended = new AbortController();
broker.once('exit', () => ended.abort());
if (!(await untilOpen(port!, ended.signal))) fail(readFileSync(join(folder, 'log'), 'utf8'));
await firstMessage();
const took = performance.now() - began;
const { cpuSeconds } = processUsage(broker.pid!) ?? fail('There is no /proc here');
console.log(`first message  after ${(took / 1_000).toFixed(2)} s, ${cpuSeconds.toFixed(2)} s of them processor time`);
await delay(seconds * 1_000);
console.log(`broker         ${memory(broker.pid!)}`);
console.log(`Node alone     ${memory(empty.pid!)} (${process.version})`);
empty.kill();
broker.kill('SIGTERM');
await once(broker, 'exit');
rmSync(folder, { recursive: true });
