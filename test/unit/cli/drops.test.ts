/** `sluice drops` on a running broker. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBroker, type SluiceBroker } from '../../../src/index.ts';
import { unique, WireClient } from '../../support/wire-client.ts';
import { sluice } from './fake-io.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-drops-'));
const [away, publisher, topic] = [unique('away'), unique('publisher\u001b[2J'), unique('topic')];
let broker: SluiceBroker;

beforeAll(async () => {
  broker = await createBroker({
    config: {
      listeners: [{ kind: 'tcp', port: 0 }],
      store: { directory },
      log: { level: 'silent' },
      sysIntervalSeconds: 0,
      authorization: { default: 'allow', rules: [{ deny: 'publish', topics: ['secret/#'] }] },
    },
  });
  const { port } = broker.listeners[0]!;
  const properties = { sessionExpiryInterval: 100 };
  const leaving = await WireClient.connect(port, { version: 5, clientId: away, properties });
  await leaving.subscribe(topic, { qos: 1 });
  await leaving.disconnect();
  const client = await WireClient.connect(port, { version: 5, clientId: publisher, username: 'ada' });
  for (let i = 0; i < 3; i++) await client.publish(topic, 'x');
  await client.publish('secret/a', 'x', { qos: 1 });
  for (let i = 0; i < 2; i++) await client.publish('nobody/a', 'x', { qos: 1 });
  await client.disconnect();
});
afterAll(async () => {
  await broker.close();
  rmSync(directory, { recursive: true });
});

async function drops(...argv: string[]): Promise<string> {
  const { code, out, err } = await sluice('drops', ...argv, '--data-dir', directory);
  return `${code} ${out}${err}`;
}

const time = '\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z';
const from = `from "publisher\\\\u001b\\[2J-\\d+-\\d+" \\(user "ada"\\) at 127\\.0\\.0\\.1:\\d+`;

test('shows what was dropped and refused, newest first, with names that cannot speak to the terminal', async () => {
  const [refused, dropped, end] = (await drops()).replace(/^0 /, '').split('\n');
  expect(refused).toMatch(
    new RegExp(`^${time}  refused publishNotAllowed  secret/a QoS 1  ${from}: .*deny publish secret/#$`),
  );
  expect(dropped).toMatch(
    new RegExp(`^${time}  dropped clientAway 3 times  ${topic} QoS 0  ${from}  to "${away}": away since ${time}$`),
  );
  expect(end).toBe('');
});

test('shows topics to which nobody had subscribed', async () => {
  expect(await drops('unmatched')).toMatch(new RegExp(`^0 nobody/a  2 messages, last ${time}, first from "publisher`));
  expect(await drops('unmatched', '--topic', 'other/#')).toBe('0 ');
});

test('shows what was asked for, as lines of JSON on request', async () => {
  expect(await drops('--client', away)).toMatch(/^0 .* clientAway [^\n]*\n$/);
  expect(await drops('--reason', 'publishNotAllowed', '--since', '1h')).toMatch(/^0 .* publishNotAllowed [^\n]*\n$/);
  expect(await drops('--since', '2999-01-01T00:00:00Z')).toBe('0 ');
  const json = (await drops('--topic', '+/+', '--json', '--limit', '1')).slice(2);
  expect(JSON.parse(json)).toMatchObject({ reason: 'publishNotAllowed', topic: 'secret/a', qos: 1, count: 1 });
});

test.each([
  [['x'], /^2 Use: sluice drops/],
  [['unmatched', 'x'], /^2 Use: sluice drops/],
  [['unmatched', '--client', 'x'], /^2 sluice drops unmatched knows topics only/],
  [['--since', 'yesterday'], /^2 --since: expected 10m/],
  [['--reason', 'bad luck'], /^2 drops list: reason: expected one of slowConsumer, /],
])('says what is wrong: %s', async (argv, expected) => {
  expect(await drops(...argv)).toMatch(expected);
});
