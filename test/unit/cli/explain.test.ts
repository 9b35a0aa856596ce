/** `sluice explain` and `sluice clients slow` on a running broker. */
import { beforeAll, expect, test } from 'vitest';
import { cliBroker } from '../../support/cli-broker.ts';

const broker = cliBroker({ diagnostics: { slowClientMs: 1 } });
const { ask } = broker;

beforeAll(async () => {
  const b = await broker.connect({ version: 5, clientId: 'B\u001b[2J' });
  await b.subscribe('a/b', { qos: 1 });
  const a = await broker.connect({ version: 5, clientId: 'A' });
  await a.publish('a/b', 'x', { qos: 1 });
  const message = await b.next('publish');
  await new Promise((resolve) => setTimeout(resolve, 20));
  await b.acknowledge(message);
  await b.nothingElse();
});

test('explain tells each step, and what they come to', async () => {
  const told = await ask(
    'explain',
    '--topic',
    'a/b',
    '--from',
    'A',
    '--to',
    'B\u001b[2J',
    '--qos',
    '1',
    '--since',
    '1h',
  );
  expect(told).toMatch(/^0 ok {6}topic {8}the topic name is valid\nok {6}publisher/);
  expect(told).toMatch(/\n\nNothing of this topic was dropped or refused since\n\nIt would arrive\n$/);
  expect(told).not.toContain('\u001b');
  const stopped = await ask('explain', '--topic', 'a/b', '--to', 'C');
  expect(stopped).toMatch(
    /\nSTOPS {3}session {6}there is no session of "C".*\n\nIt would not arrive: there is no session/,
  );
  const all = await ask('explain', '--topic', 'a/b');
  expect(all).toMatch(/\n\nReceivers\n {2}B\\u001b\[2J\n\nIt would arrive\n$/);
  const [line] = (await ask('explain', '--topic', 'a/b', '--json')).slice(2).split('\n');
  expect(JSON.parse(line!)).toMatchObject({ arrives: 'yes', step: null });
});

test('clients slow is a table', async () => {
  expect(await ask('clients', 'slow')).toMatch(/^0 client id .*\nB\\u001b\[2J +- +\d+ +\d+ +yes +1 +\d{4}-/);
});
