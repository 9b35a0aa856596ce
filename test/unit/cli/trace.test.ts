/** `sluice trace` on a running broker. */
import { expect, test } from 'vitest';
import { cliBroker } from '../../support/cli-broker.ts';
import { unique } from '../../support/wire-client.ts';

const broker = cliBroker();
const trace = (...argv: string[]) => broker.ask('trace', ...argv);

test('shows events as they come until Ctrl-C, which also ends the trace', async () => {
  const clientId = unique('client\u001b[2J');
  const { io, code } = broker.begin('trace', 'start', '--client', clientId, '--for', '1m');
  await expect.poll(async () => (await broker.sluice.traces.list()).items.length).toBe(1);
  const client = await broker.connect({ version: 5, clientId });
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
  await expect.poll(async () => (await broker.sluice.traces.list()).items[0]!.isActive).toBe(false);
  await client.disconnect();
});

test('begins one in the background, and lists, shows and stops it', async () => {
  const topic = unique('topic');
  const [id] = (await trace('start', '--topic', `${topic}/#`, '--background')).slice(2).split('\n');
  const client = await broker.connect({ version: 4 });
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
  [['start'], '2 Give exactly one of --client, --user, --address and --topic\n'],
  [['start', '--client', 'a', '--user', 'b'], /^2 Give exactly one of --client/],
  [['start', '--client', 'a', '--for', 'ever'], /^2 --for wants a time as 90s, 10m/],
  [['start', '--client', 'a', '--for', '30d'], '2 --for: expected at most 1d\n'],
  [['start', '--topic', 'a/#/b'], /^2 --topic: expected a topic filter/],
  [['show', 'x'], /^1 There is no trace "x"/],
  [['stop', 'x'], /^1 There is no trace "x"/],
  [['stop'], '2 sluice trace stop ID: ID is missing\n'],
  [['dance'], /^2 There is no sluice trace dance\. It takes: list, start, stop, show;/],
])('says what is wrong: %s', async (argv, expected) => {
  expect(await trace(...argv)).toMatch(expected);
});

test('says that there are none', async () => {
  expect(await broker.ask('certificates')).toBe('0 No certificates\n');
});
