/** `publish-probe`: what became of a marked message at each recipient. */
import { expect, test } from 'vitest';
import { Probe, probeProperty, recipientsMost } from '../../../src/broker/probes.ts';
import { encodePublishProperties } from '../../../src/codec/publish-properties.ts';
import type { ClientSession } from '../../../src/core/client-session.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { testBroker } from '../../support/broker.ts';
import { type Received, unique, type WireClient } from '../../support/wire-client.ts';

const broker = testBroker({
  limits: { queueMessages: 1, queuePolicy: 'drop-newest' },
  authorization: { rules: [{ deny: 'publish', topics: ['in/#'], for: { username: 'denied' } }, { allow: 'all' }] },
  pipelines: [
    { name: 'json', filter: 'refused/#', stages: [{ decode: 'json', onError: 'reject' }] },
    { name: 'none', filter: 'withheld/#', on: 'deliver', for: { username: 'nobody' }, stages: [{ filter: 'false' }] },
  ],
});
const probe = (topic: string, more: { qos?: 0 | 1 | 2; from?: string; timeoutSeconds?: number } = {}) =>
  broker.sluice.command('publish-probe', { topic, ...more });

const lasting = (clientId: string, properties: object = {}) =>
  ({ version: 5, clientId, clean: false, properties: { sessionExpiryInterval: 100, ...properties } }) as const;

async function subscriber(clientId: string, topic: string, qos = 2): Promise<WireClient> {
  const client = await broker.connect(lasting(clientId));
  await client.subscribe(topic, { qos });
  return client;
}

const marked = ({ properties }: Received) => (properties as { userProperties?: Record<string, string> }).userProperties;

test.each([1, 2] as const)(
  'all who acknowledge it are told with their times, and it says what it is (QoS %i)',
  async (qos) => {
    const topic = unique('topic');
    const names = [unique('one'), unique('two')];
    const clients = await Promise.all(names.map((name) => subscriber(name, topic)));
    const report = probe(topic, { qos });
    const received = await Promise.all(clients.map((client) => client.next('publish')));
    await Promise.all(clients.map((client, index) => client.acknowledge(received[index]!)));
    const { id, isSettled, reasonCode, counts, recipients, sessions } = await report;
    expect({ isSettled, reasonCode, sessions }).toEqual({ isSettled: true, reasonCode: 0, sessions: 2 });
    expect(counts).toEqual({ sent: 0, acknowledged: 2, waiting: 0, dropped: 0, withheld: 0 });
    expect(recipients.map(({ clientId }) => clientId).sort()).toEqual([...names].sort());
    for (const each of recipients) {
      expect(each).toMatchObject({ state: 'acknowledged', qos, reason: null });
      expect(each.acknowledgedAfterMs).toBeGreaterThanOrEqual(each.sentAfterMs!);
    }
    expect(received.map(marked)).toEqual([{ 'sluice-probe': id }, { 'sluice-probe': id }]);
    expect(received[0]!.payload!.toString()).toBe(`Sluice probe ${id}`);
  },
);

test('QoS 0 is over once it is sent, and a client that is away does not get it', async () => {
  const topic = unique('topic');
  const [here, away] = [unique('here'), unique('away')];
  const client = await subscriber(here, topic);
  await (await subscriber(away, topic)).disconnect();
  const { isSettled, counts, recipients } = await probe(topic, { qos: 0 });
  await client.next('publish');
  expect({ isSettled, counts }).toMatchObject({ isSettled: true, counts: { sent: 1, dropped: 1 } });
  expect(recipients.find(({ clientId }) => clientId === away)).toMatchObject({
    state: 'dropped',
    reason: 'clientAway',
  });
});

test('for who is away it waits, until the queue is full', async () => {
  const topic = unique('topic');
  const away = unique('away');
  await (await subscriber(away, topic)).disconnect();
  const first = await probe(topic);
  expect(first).toMatchObject({
    isSettled: true,
    recipients: [{ clientId: away, state: 'waiting', reason: 'in its queue: the client is away' }],
  });
  expect((await probe(topic)).recipients).toMatchObject([{ clientId: away, state: 'dropped', reason: 'queueFull' }]);
});

test('who does not acknowledge is waited for until the deadline', async () => {
  const topic = unique('topic');
  const silent = unique('silent');
  await subscriber(silent, topic);
  const { isSettled, recipients } = await probe(topic, { timeoutSeconds: 1 });
  expect(isSettled).toBe(false);
  expect(recipients).toMatchObject([{ clientId: silent, state: 'sent', acknowledgedAfterMs: null }]);
});

test('whom a pipeline gives nothing is told apart, once the deadline has passed', async () => {
  const name = unique('kept-from');
  const client = await broker.connect({ ...lasting(name), username: 'nobody' });
  await client.subscribe('withheld/a', { qos: 1 });
  const { recipients } = await probe('withheld/a', { timeoutSeconds: 1 });
  expect(recipients).toMatchObject([{ clientId: name, state: 'withheld' }]);
});

test('a member of a shared subscription that gets it is one of them, and so is a client of the program', async () => {
  const topic = unique('topic');
  const member = unique('member');
  const client = await subscriber(member, `$share/group/${topic}`);
  const own = await broker.sluice.client({ onMessage: () => {} });
  await own.subscribe(topic, { qos: 1 });
  const report = probe(topic);
  await client.acknowledge(await client.next('publish'));
  const { sharedGroups, counts, recipients } = await report;
  expect({ sharedGroups, counts }).toMatchObject({ sharedGroups: 1, counts: { acknowledged: 2 } });
  expect(recipients.map(({ clientId }) => clientId)).toContain(member);
  await own.close();
});

test('in the name of a client it is under its rules, and goes through the pipelines', async () => {
  const [allowed, denied] = [unique('allowed'), unique('denied')];
  await broker.connect({ version: 5, clientId: allowed });
  await broker.connect({ version: 5, clientId: denied, username: 'denied' });
  const client = await subscriber(unique('reader'), 'in/a', 0);
  expect(await probe('in/a', { from: denied })).toMatchObject({
    reasonCode: 0x87,
    isSettled: true,
    counts: { withheld: 1 },
  });
  expect(await probe('in/a', { from: allowed })).toMatchObject({ reasonCode: 0, counts: { sent: 1 } });
  expect((await client.next('publish')).qos).toBe(0);
  const { reasonCode, reason } = await probe('refused/a', { from: allowed });
  expect({ reasonCode, reason }).toEqual({ reasonCode: 0x99, reason: expect.stringMatching(/not JSON/) });
  await expect(probe('in/a', { from: 'nobody' })).rejects.toMatchObject({ kind: 'not-found' });
});

test('nobody has subscribed: that is over at once', async () => {
  const topic = unique('topic');
  expect(await probe(topic)).toMatchObject({ isSettled: true, sessions: 0, recipients: [], reasonCode: 0x10 });
});

test('a topic with more levels than this broker takes is refused', async () => {
  await expect(probe('a/'.repeat(200))).rejects.toMatchObject({ kind: 'conflict' });
});

test.each(['', 'a/+', '$SYS/x', '$share'])(
  'a topic that nobody may publish to is refused in words (%j)',
  async (topic) => {
    await expect(probe(topic)).rejects.toMatchObject({ kind: 'invalid-request' });
  },
);

test('beyond a thousand recipients it only counts', () => {
  const properties = encodePublishProperties({ userProperties: [[probeProperty, 'id']] });
  const marked = Message.of(Topic.of('a'), Buffer.alloc(0), { properties });
  const sessionOf = (clientId: string) => ({ clientId }) as ClientSession;
  const watched = new Probe(
    'id',
    Array.from({ length: recipientsMost }, (_, i) => `${i}`),
    0,
  );
  for (let i = 0; i < recipientsMost + 500; i++) watched.sent(sessionOf(`${i}`), marked, 0, 0, 1);
  for (let i = 0; i < 20; i++) watched.dropped('queueFull', sessionOf(`other ${i}`), marked);
  watched.published();
  const { recipients, counts } = watched.report(() => undefined);
  expect(recipients).toHaveLength(recipientsMost);
  expect(counts).toMatchObject({ sent: recipientsMost + 500, dropped: 20 });
  expect(watched.isSettled(() => true)).toBe(true);
});
