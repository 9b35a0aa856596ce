/** Clients that take long to acknowledge: which are told of, and how long they took. */
import { expect, test } from 'vitest';
import { SlowClients } from '../../../src/broker/slow-clients.ts';
import type { ClientSession } from '../../../src/core/client-session.ts';
import { testBroker } from '../../support/broker.ts';
import { unique } from '../../support/wire-client.ts';

const eventually = { interval: 10 };

const broker = testBroker({ diagnostics: { slowClientMs: 20 } });
const quick = testBroker({ diagnostics: { slowClientMs: 0 } });

const slow = async (which = broker) => (await which.sluice.command('clients slow', {})).items;
const entryOf = async (clientId: string) => (await slow()).find((each) => each.clientId === clientId);
/** So long that it counts as slow, for sure. */
const pause = (ms = 60) => new Promise((resolve) => setTimeout(resolve, ms));

const kinds = [
  ['5.0, a session that stays', { version: 5, clean: false, properties: { sessionExpiryInterval: 100 } }],
  ['5.0, a session that does not', { version: 5 }],
  ['3.1.1', { version: 4 }],
] as const;
const cases = kinds.flatMap(([title, how]) => [1, 2].map((qos) => ({ title, how, qos })));

test.each(cases)(
  'one that acknowledges late is one of them, with its time ($title, QoS $qos)',
  async ({ how, qos }) => {
    const clientId = unique('late');
    const client = await broker.connect({ ...how, clientId, username: 'ada' });
    await client.subscribe(clientId, { qos: 2 });
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish(clientId, 'x', { qos });
    const message = await client.next('publish');
    await pause();
    await client.acknowledge(message);
    await expect.poll(async () => (await entryOf(clientId))?.count, eventually).toBe(1);
    const { worstMs, lastMs, isAcknowledged, username } = (await entryOf(clientId))!;
    expect(worstMs).toBeGreaterThanOrEqual(50);
    expect({ lastMs, isAcknowledged, username }).toEqual({ lastMs: worstMs, isAcknowledged: true, username: 'ada' });
  },
);

test('a client that acknowledges at once is none, also if it was away', async () => {
  const clientId = unique('fast');
  const how = { version: 5, clientId, clean: false, properties: { sessionExpiryInterval: 100 } } as const;
  const leaving = await broker.connect(how);
  await leaving.subscribe(clientId, { qos: 1 });
  const publisher = await broker.connect({ version: 5 });
  await publisher.publish(clientId, 'x', { qos: 1 });
  await leaving.disconnect();
  await publisher.publish(clientId, 'x', { qos: 1 });
  await pause();
  const client = await broker.connect(how);
  for (const message of await client.collect('publish', 2)) await client.acknowledge(message);
  await client.nothingElse();
  expect(await entryOf(clientId)).toBe(undefined);
});

test('one that does not acknowledge at all is told of while more comes for it', async () => {
  const clientId = unique('silent');
  const client = await broker.connect({ version: 5, clientId, properties: { receiveMaximum: 1 } });
  await client.subscribe(clientId, { qos: 1 });
  const publisher = await broker.connect({ version: 5 });
  const isTold = async () => {
    await publisher.publish(clientId, 'x', { qos: 1 });
    return (await entryOf(clientId))?.isAcknowledged;
  };
  await expect.poll(isTold, eventually).toBe(false);
});

test('it can be off', async () => {
  const client = await quick.connect({ version: 5 });
  await client.subscribe('a', { qos: 1 });
  const publisher = await quick.connect({ version: 5 });
  await publisher.publish('a', 'x', { qos: 1 });
  await pause();
  await client.acknowledge(await client.next('publish'));
  await client.nothingElse();
  expect(await slow(quick)).toEqual([]);
});

test('the table keeps the slowest, forgets those that were not slow for an hour, and stays as large as it is', () => {
  const table = new SlowClients();
  const named = (clientId: string) => ({ clientId, identity: null }) as ClientSession;
  for (let i = 0; i < 1_000; i++) table.note(named(`${i}`), 1_000 + ((i * 7) % 1_000), true, 0);
  expect(table.list(1_000, 0).map(({ worstMs }) => worstMs)).toEqual(Array.from({ length: 100 }, (_, i) => 1_999 - i));
  table.note(named('fast'), 1_001, true, 0);
  expect(table.list(100, 0).some(({ clientId }) => clientId === 'fast')).toBe(false);
  table.note(named('fast'), 1_001, false, 3_600_001);
  expect(table.list(100, 3_600_001).length).toBeLessThanOrEqual(100);
  table.note(named('later'), 2_000, false, 3_600_001);
  expect(table.list(100, 3_600_001).map(({ clientId }) => clientId)).toEqual(['later']);
  table.note(named('fast'), 1_001, false, 3_600_002);
  expect(table.list(1, 3_600_002)).toMatchObject([{ clientId: 'later', count: 1 }]);
  expect(table.list(100, 3_600_002)).toHaveLength(2);
});
