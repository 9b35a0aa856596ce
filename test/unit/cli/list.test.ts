/** Lists of a running broker on the command line, and the same by its library. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RequestError } from '../../../src/index.ts';
import { cliBroker } from '../../support/cli-broker.ts';
import { sluice } from '../../support/fake-io.ts';
import { unique } from '../../support/wire-client.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-list-'));
afterAll(() => rmSync(folder, { recursive: true }));
const audit = join(folder, 'audit.ndjson');
const [here, away, topic] = [unique('here'), unique('away'), unique('topic')];
const running = cliBroker({ audit: { file: audit }, sysIntervalSeconds: 1 });
const { ask } = running;

beforeAll(async () => {
  const leaving = await running.connect({ version: 5, clientId: away, properties: { sessionExpiryInterval: 100 } });
  await leaving.subscribe(`${topic}\u0007/+`, { qos: 1 });
  await leaving.subscribe(topic, { qos: 1 });
  await leaving.disconnect();
  const client = await running.connect({ version: 4, clientId: here, username: 'ada\u001b[2J' });
  for (let i = 0; i < 3; i++) await client.publish(topic, `${i}`, { qos: 1, retain: i === 2 });
});

/** The rows of a table, in any order. */
const rowsOf = (text: string) =>
  text
    .replace(/^0 .*\n/, '')
    .trimEnd()
    .split('\n')
    .sort();

test('shows clients and connections, with names that cannot speak to the terminal', async () => {
  const clients = await ask('clients');
  expect(clients).toMatch(/^0 client id +username +is connected +address +subscriptions +queued messages +in flight\n/);
  const awayRow = expect.stringMatching(new RegExp(`^${away} +- +no +127\\.0\\.0\\.1:\\d+ +2 +3 +0$`));
  const hereRow = expect.stringMatching(new RegExp(`^${here} +ada\\\\u001b\\[2J +yes +127\\.0\\.0\\.1:\\d+ +0 +0 +0$`));
  expect(rowsOf(clients)).toEqual([awayRow, hereRow]);
  expect(await ask('connections', 'list')).toMatch(
    new RegExp(`\\n127\\.0\\.0\\.1:\\d+ +${here} +ada.* +open +tcp +mqtt://`),
  );
});

test('shows subscriptions, retained messages and a queue', async () => {
  const subscriptions = rowsOf(await ask('subscriptions')).map((row) => row.split(/ +/));
  expect(subscriptions).toEqual([
    [away, topic, '1'],
    [away, `${topic}\\u0007/+`, '1'],
  ]);
  expect(rowsOf(await ask('queue', away)).map((row) => row.split(/ +/).slice(0, 2))).toEqual([
    [topic, '1'],
    [topic, '1'],
    [topic, '1'],
  ]);
  expect(await ask('queue', 'nobody')).toBe('1 There is no session of client "nobody"\n');
});

test('leaves out what the broker itself publishes, unless it is asked for, and says so', async () => {
  await expect.poll(() => ask('retained', '--topic-filter', '$SYS/#')).toContain('$SYS/broker/version');
  const { out, err } = await running.tell('retained');
  expect(out).toMatch(new RegExp(`^topic .*\\n${topic} +1 +1 +-\\n$`));
  expect(err).toMatch(/^\d+ messages below \$SYS left out; --topic-filter '\$SYS\/#' lists them\n$/);
  const json = await running.tell('retained', '--json');
  expect(JSON.parse(json.out)).toMatchObject({ topic });
});

test('numbers each listener once', async () => {
  const rows = rowsOf(await ask('listeners', 'list'));
  expect(rows.map((row) => row.split(/ +/)[0])).toEqual(['0']);
});

test('shows as many as were asked for, as lines of JSON on request', async () => {
  const [, line, ...others] = (await ask('clients', '--json', '--limit', '1')).split(/ |\n/);
  expect(others).toEqual(['']);
  const found = JSON.parse(line!);
  const isAway = found.clientId === away;
  expect(found).toMatchObject({ isConnected: !isAway, queuedMessages: isAway ? 3 : 0 });
});

test.each([
  [['queue'], 'sluice queue list CLIENT_ID: CLIENT_ID is missing'],
  [['queue', 'a', 'b'], 'sluice queue list CLIENT_ID: unexpected "b"'],
  [['clients', 'lits'], 'There is no sluice clients lits. Did you mean list?'],
  [['clients', '--limit', '0'], '--limit wants a whole number from 1'],
  [['clients', '--lmit', '1'], 'Unknown option --lmit; did you mean --limit?'],
  [['clients', '--url', 'mqtt://x'], '--url wants an address as http://127.0.0.1:18083, not "mqtt://x"'],
])('says what is wrong: sluice %s', async (argv, error) => {
  const { code, err } = await sluice(...argv);
  expect(err).toContain(error);
  expect(code).toBe(2);
});

test('a program gives the same commands, and what changes something is in the audit log', async () => {
  const first = await running.sluice.command('clients list', { limit: 1 });
  const second = await running.sluice.command('clients list', { limit: 1, cursor: first.cursor });
  expect([...first.items, ...second.items].map(({ clientId }) => clientId).sort()).toEqual([away, here]);
  expect(await running.sluice.clients.list({ limit: 5 })).toMatchObject({ items: { length: 2 }, cursor: null });
  await expect(running.sluice.command('clients list', { limit: 0 })).rejects.toThrow(RequestError);
  await expect(running.sluice.command('clients list', { cursor: 'x' })).rejects.toThrow(/begin anew/);
  expect(await running.sluice.command('bans clear', { address: 'all' })).toEqual({ count: 0 });
  await expect
    .poll(() => readFileSync(audit, 'utf8'))
    .toContain('"request":"{\\"address\\":\\"all\\"}","by":"program","outcome":"done"');
});
