/** `sluice list` on a running broker, and the same by its library. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBroker, RequestError, type SluiceBroker } from '../../../src/index.ts';
import { unique, WireClient } from '../../support/wire-client.ts';
import { sluice } from './fake-io.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-list-'));
const audit = join(directory, 'audit.ndjson');
const [here, away, topic] = [unique('here'), unique('away'), unique('topic')];
let broker: SluiceBroker;

beforeAll(async () => {
  broker = await createBroker({
    config: {
      listeners: [{ kind: 'tcp', port: 0 }],
      store: { directory },
      log: { level: 'silent' },
      sysIntervalSeconds: 0,
      audit: { file: audit },
    },
  });
  const { port } = broker.listeners[0]!;
  const leaving = await WireClient.connect(port, {
    version: 5,
    clientId: away,
    properties: { sessionExpiryInterval: 100 },
  });
  await leaving.subscribe(`${topic}\u0007/+`, { qos: 1 });
  await leaving.subscribe(topic, { qos: 1 });
  await leaving.disconnect();
  const client = await WireClient.connect(port, { version: 4, clientId: here, username: 'ada\u001b[2J' });
  for (let i = 0; i < 3; i++) await client.publish(topic, `${i}`, { qos: 1, retain: i === 2 });
});
afterAll(async () => {
  await broker.close();
  rmSync(directory, { recursive: true });
});

async function list(...argv: string[]): Promise<string> {
  const { code, out, err } = await sluice('list', ...argv, '--data-dir', directory);
  return `${code} ${out}${err}`;
}

test('shows sessions and connections, with names that cannot speak to the terminal', async () => {
  const awayLine = `"${away}" {2}away since 20.*Z: 2 subscriptions, 3 messages wait, 0 in flight`;
  const hereLine = `"${here}" \\(user "ada\\\\u001b\\[2J"\\) {2}connected from 127\\.0\\.0\\.1:\\d+: 0 subscriptions, 0 messages wait, 0 in flight`;
  const lines = (await list('sessions')).replace(/^0 /, '').split('\n');
  expect(lines.sort()).toEqual(['', awayLine, hereLine].map((line) => expect.stringMatching(`^${line}$`)));
  expect(await list('connections')).toMatch(
    new RegExp(`^0 127\\.0\\.0\\.1:\\d+ {2}"${here}" \\(user .*\\), through mqtt://127\\.0\\.0\\.1:\\d+\n$`),
  );
});

test('shows subscriptions, retained messages and a queue', async () => {
  expect(await list('subscriptions')).toBe(`0 "${away}"  ${topic}\\u0007/+  QoS 1\n"${away}"  ${topic}  QoS 1\n`);
  expect(await list('retained')).toBe(`0 ${topic}  QoS 1, 1 bytes\n`);
  expect(await list('queue', away)).toMatch(/^0 (on disk, \d+ bytes\n){3}$/);
  expect(await list('queue', 'nobody')).toBe('1 There is no session of client "nobody"\n');
});

test('shows as many as were asked for, as lines of JSON on request', async () => {
  const [, line, ...others] = (await list('sessions', '--json', '--limit', '1')).split(/ |\n/);
  expect(others).toEqual(['']);
  const found = JSON.parse(line!);
  const isAway = found.clientId === away;
  expect(found).toMatchObject({ isConnected: !isAway, queuedMessages: isAway ? 3 : 0 });
});

test.each([[[]], [['all']], [['queue']], [['sessions', 'x']], [['queue', 'a', 'b']]])(
  'says how it is used: %s',
  async (argv) => {
    expect(await list(...argv)).toMatch(/^2 Use: sluice list sessions/);
  },
);

test('a program gives the same commands, and what changes something is in the audit log', async () => {
  const first = await broker.command('clients list', { limit: 1 });
  const second = await broker.command('clients list', { limit: 1, cursor: first.cursor });
  expect([...first.items, ...second.items].map(({ clientId }) => clientId).sort()).toEqual([away, here]);
  await expect(broker.command('clients list', { limit: 0 })).rejects.toThrow(RequestError);
  await expect(broker.command('clients list', { cursor: 'x' })).rejects.toThrow(/begin anew/);
  expect(await broker.command('bans clear', { address: null })).toEqual({ count: 0 });
  await expect
    .poll(() => readFileSync(audit, 'utf8'))
    .toContain('"request":"{\\"address\\":null}","by":"program","outcome":"done"');
});
