/** `sluice drops` on a running broker. */
import { beforeAll, expect, test, vi } from 'vitest';
import { cliBroker } from '../../support/cli-broker.ts';
import { unique } from '../../support/wire-client.ts';

const [away, publisher, topic] = [unique('away'), unique('publisher\u001b[2J'), unique('topic')];
const rules = [{ deny: 'publish' as const, topics: ['secret/#'] }];
const broker = cliBroker({ authorization: { default: 'allow', rules } });
const drops = (...argv: string[]) => broker.ask('drops', ...argv);

beforeAll(async () => {
  const properties = { sessionExpiryInterval: 100 };
  const leaving = await broker.connect({ version: 5, clientId: away, properties });
  await leaving.subscribe(topic, { qos: 1 });
  await leaving.disconnect();
  const isConnected = async () => (await broker.sluice.clients.show({ clientId: away })).isConnected;
  await vi.waitFor(async () => expect(await isConnected()).toBe(false), { timeout: 120_000 });
  const client = await broker.connect({ version: 5, clientId: publisher, username: 'ada' });
  for (let i = 0; i < 3; i++) await client.publish(topic, 'x');
  await client.publish('secret/a', 'x', { qos: 1 });
  for (let i = 0; i < 2; i++) await client.publish('nobody/a', 'x', { qos: 1 });
  await client.disconnect();
});

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
  expect(await drops('unmatched', '--topic', 'other/#')).toBe('0 No topics without subscribers match\n');
  expect(await drops('unmatched', '--topic', 'other/#', '--json')).toBe('0 ');
});

test('shows what was asked for, as lines of JSON on request', async () => {
  expect(await drops('--client', away)).toMatch(/^0 .* clientAway [^\n]*\n$/);
  expect(await drops('--reason', 'publishNotAllowed', '--since', '1h')).toMatch(/^0 .* publishNotAllowed [^\n]*\n$/);
  expect(await drops('--since', '2999-01-01T00:00:00Z')).toBe('0 No drops or refusals match\n');
  expect(await drops('--since', '2999-01-01T00:00:00Z', '--json')).toBe('0 ');
  const json = (await drops('--topic', '+/+', '--json', '--limit', '1')).slice(2);
  expect(JSON.parse(json)).toMatchObject({ reason: 'publishNotAllowed', topic: 'secret/a', qos: 1, count: 1 });
});

test('shows them again and again until Ctrl-C', async () => {
  const { io, code } = broker.begin('drops', '--client', away, '--watch');
  await io.stdout.until(/clientAway/);
  io.signal();
  expect(await code).toBe(0);
});

test.each([
  [['x'], /^2 There is no sluice drops x\. It takes: list, unmatched;/],
  [['unmatched', 'x'], /^2 sluice drops unmatched: unexpected "x"/],
  [['unmatched', '--client', 'x'], /^2 Unknown option --client/],
  [['--since', 'yesterday'], /^2 --since wants 10m, 2h, 1d or a time/],
  [['--reason', 'bad luck'], /^2 --reason: expected one of slowConsumer, .*, found "bad luck"/],
  [['--client', '--json'], /^2 --client wants a value; if that is to be the name of an option, write it as --client=…/],
])('says what is wrong: %s', async (argv, expected) => {
  expect(await drops(...argv)).toMatch(expected);
});

test('takes a client identifier that looks like an option', async () => {
  for (const argv of [['--client', '-x'], ['--client=-x']]) {
    expect(await drops(...argv)).toBe('0 No drops or refusals match\n');
  }
  const behind = await broker.tell('clients', 'show', '-x');
  expect(behind).toMatchObject({ code: 2, err: expect.stringContaining('goes behind --') });
});
