/** `sluice trace` on a running broker. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../../src/cli/run.ts';
import { createBroker, type SluiceBroker } from '../../../src/index.ts';
import { unique, WireClient } from '../../support/wire-client.ts';
import { FakeIo, sluice } from './fake-io.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-trace-'));
let broker: SluiceBroker;

beforeAll(async () => {
  broker = await createBroker({
    config: {
      listeners: [{ kind: 'tcp', port: 0 }],
      admin: { listeners: [] },
      store: { directory },
      log: { level: 'silent' },
      sysIntervalSeconds: 0,
    },
  });
});
afterAll(async () => {
  await broker.close();
  rmSync(directory, { recursive: true });
});

async function trace(...argv: string[]): Promise<string> {
  const { code, out, err } = await sluice('trace', ...argv, '--data-dir', directory);
  return `${code} ${out}${err}`;
}

/** One that goes on until it ends or is told to. */
function begin(...argv: string[]) {
  const io = new FakeIo();
  return { io, code: run(['trace', ...argv, '--data-dir', directory], io) };
}

test('shows events as they come until Ctrl-C, which also ends the trace', async () => {
  const clientId = unique('client\u001b[2J');
  const { io, code } = begin('start', '--client', clientId, '--for', '1m');
  await expect.poll(async () => (await broker.traces.list()).items.length, { timeout: 15_000 }).toBe(1);
  const client = await WireClient.connect(broker.listeners[0]!.port, { version: 5, clientId });
  await client.subscribe('a/b', { qos: 1 });
  await io.stdout.until(/← SUBACK/);
  io.signal();
  expect(await code).toBe(0);
  const lines = io.stdout.text.split('\n');
  expect(lines[0]).toMatch(
    /^20[^ ]+Z {2}"client\\u001b\[2J-\d+-\d+" {2}→ CONNECT protocolVersion=5 clean=true keepAlive=0 /,
  );
  expect(lines[2]).toMatch(/ {2}connected username=null mechanism=null session=new$/);
  expect(lines.filter((line) => line.includes('rule action=subscribe filter=a/b qos=1'))).toHaveLength(1);
  await expect.poll(async () => (await broker.traces.list()).items[0]!.isActive).toBe(false);
  await client.disconnect();
});

test('begins one in the background, and lists, shows and stops it', async () => {
  const topic = unique('topic');
  const [id] = (await trace('start', '--topic', `${topic}/#`, '--background')).slice(2).split('\n');
  const client = await WireClient.connect(broker.listeners[0]!.port, { version: 4 });
  await client.publish(`${topic}/a`, 'x', { qos: 1 });
  expect(await trace('list')).toMatch(
    new RegExp(`${id}  topic "${topic}/#"  until 20[^ ]+Z, by control socket: 3 events\n$`),
  );
  expect(await trace('stop', id!)).toMatch(new RegExp(`^0 ${id}  topic .* ended .* 4 events\n$`));
  const shown = (await trace('show', id!)).slice(2).split('\n');
  expect(shown.map((line) => line.split('  ').at(-1)!.split(' ').slice(0, 2).join(' '))).toEqual([
    '→ PUBLISH',
    'rule action=publish',
    `unmatched topic=${topic}/a`,
    expect.stringContaining('ended why='),
    '',
  ]);
  const [json] = (await trace('show', id!, '--json')).slice(2).split('\n');
  expect(JSON.parse(json!)).toMatchObject({ number: 1, event: 'packetReceived', details: { packet: 'PUBLISH' } });
  await client.disconnect();
});

test.each([
  [['start'], /^2 Give one of --client/],
  [['start', '--client', 'a', '--user', 'b'], /^2 Give one of --client/],
  [['start', '--client', 'a', '--for', 'ever'], /^2 --for wants a time from 1s to 24h/],
  [['start', '--topic', 'a/#/b'], /^2 traces start: topic: expected a topic filter/],
  [['show', 'x'], /^1 There is no trace "x"/],
  [['stop', 'x'], /^1 There is no trace "x"/],
  [['stop'], /^2 Use: sluice trace start/],
  [['dance'], /^2 Use: sluice trace start/],
])('says what is wrong: %s', async (argv, expected) => {
  expect(await trace(...argv)).toMatch(expected);
});
