/** What the peer's CONNACK and its acknowledgements say, and what becomes of messages that it does not take. */
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CommandAnswer } from '../../src/contracts/commands.ts';
import { program } from '../../src/contracts/roles.ts';
import { type BridgedBroker, type BridgeInput, bridgedBrokers, bridgeTo } from '../support/bridged.ts';
import { StandInPeer } from '../support/stand-in-peer.ts';
import { type Received, WireClient } from '../support/wire-client.ts';
import { eventually } from '../unit/net/eventually.ts';

const brokers = bridgedBrokers();
let peer: StandInPeer;

beforeEach(async () => {
  peer = await StandInPeer.start();
});
afterEach(() => peer.stop());

const out = (qos: 0 | 1 | 2, more: object = {}) => [{ filter: '#', direction: 'out' as const, qos, ...more }];
const textOf = ({ topic, payload, qos }: Received) => `${topic} ${payload} ${qos}`;

async function edgeWith(bridge: Partial<BridgeInput> = {}): Promise<[BridgedBroker, WireClient]> {
  const edge = await brokers.start({ bridges: [bridgeTo(peer.port, { topics: out(2), ...bridge })] });
  return [edge, await WireClient.connect(edge.port, { version: 5 })];
}

/** Nothing is on its way: what could come does so at once. */
async function quiet(link: WireClient): Promise<void> {
  await setTimeout(50);
  expect(link.waiting).toEqual([]);
}

const quarantined = async (edge: BridgedBroker) => {
  const answer = (await (
    await edge.app!.commands()
  ).receive('quarantine list', {}, program)) as CommandAnswer<'quarantine list'>;
  return answer.entries.map(({ topic, pipeline, stage, reason }) => ({ topic, pipeline, stage, reason }));
};

test('no more is in flight than its Receive Maximum', async () => {
  const [, client] = await edgeWith();
  for (let i = 1; i <= 5; i++) await client.publish('a', `${i}`, { qos: 1 });
  const link = await peer.greet({ properties: { receiveMaximum: 2 } });

  const first = await link.collect('publish', 2);
  await quiet(link);
  await link.acknowledge(first[0]!);

  expect(first.map(textOf)).toEqual(['a 1 1', 'a 2 1']);
  expect(textOf(await link.next('publish'))).toBe('a 3 1');
  await quiet(link);
});

test('a message beyond its Maximum Packet Size is kept in the quarantine, and the next one goes', async () => {
  const [edge, client] = await edgeWith();
  for (const qos of [0, 1, 2]) await client.publish('large', 'x'.repeat(500), { qos });
  const link = await peer.greet({ properties: { maximumPacketSize: 100 } });
  await client.publish('small', 'y', { qos: 2 });

  const next = await link.next('publish');
  await link.acknowledge(next);

  expect(textOf(next)).toBe('small y 2');
  const entry = {
    topic: 'large',
    pipeline: 'bridge up',
    stage: 'out',
    reason: expect.stringContaining('Maximum Packet Size'),
  };
  expect(await quarantined(edge)).toEqual([entry, entry]);
});

test('QoS 2 goes as QoS 1 where that is its Maximum QoS, and is over with PUBACK', async () => {
  const [edge, client] = await edgeWith();
  await client.publish('a', 'x', { qos: 2 });
  const link = await peer.greet({ properties: { maximumQoS: 1 } });

  const message = await link.next('publish');
  await link.acknowledge(message);

  expect(textOf(message)).toBe('a x 1');
  await eventually(() => edge.app!.bridges.get('up')!.session!.window.count === 0);
  await quiet(link);
});

test('QoS 1 and 2 go as QoS 0 where that is its Maximum QoS', async () => {
  const [edge, client] = await edgeWith();
  await client.publish('a', 'x', { qos: 2 });
  await client.publish('a', 'y', { qos: 1 });
  const link = await peer.greet({ properties: { maximumQoS: 0 } });

  expect((await link.collect('publish', 2)).map(textOf).sort()).toEqual(['a x 0', 'a y 0']);
  await eventually(() => edge.app!.bridges.get('up')!.session!.window.count === 0);
});

test('nothing is retained where it retains nothing', async () => {
  const [, client] = await edgeWith();
  const link = await peer.greet({ properties: { retainAvailable: false } });
  await client.publish('a', 'x', { qos: 1, retain: true });

  expect(await link.next('publish')).toMatchObject({ topic: 'a', retain: false });
});

test('topic aliases are used up to its Topic Alias Maximum', async () => {
  const [, client] = await edgeWith();
  const link = await peer.greet({ properties: { topicAliasMaximum: 1 } });
  for (const topic of ['a/long/topic', 'a/long/topic', 'another']) await client.publish(topic, 'x', { qos: 1 });

  const seen = (await link.collect('publish', 3)).map(({ topic, properties }) => [topic, properties?.topicAlias]);
  expect(seen).toEqual([
    ['a/long/topic', 1],
    ['', 1],
    ['another', undefined],
  ]);
});

test.each([
  [1, 'puback'],
  [2, 'pubrec'],
] as const)('a message of QoS %i that it refuses for good is kept in the quarantine', async (qos, answer) => {
  const [edge, client] = await edgeWith();
  await client.publish('forbidden', 'x', { qos });
  await client.publish('allowed', 'y', { qos });
  const link = await peer.greet();
  const [first] = await link.collect('publish', 2);

  link.send({ cmd: answer, messageId: first!.messageId, reasonCode: 0x87 });

  await eventually(() => edge.app!.bridges.get('up')!.session!.window.count === 1);
  expect(await quarantined(edge)).toMatchObject([
    { topic: 'forbidden', reason: expect.stringContaining('not authorized') },
  ]);
});

test('what it has no room for is sent again after a pause, in its order', async () => {
  const [, client] = await edgeWith();
  for (const text of ['1', '2', '3']) await client.publish('a', text, { qos: 1 });
  const link = await peer.greet();
  const [first] = await link.collect('publish', 3);

  link.send({ cmd: 'puback', messageId: first!.messageId, reasonCode: 0x97 });

  await link.closed();
  const again = await peer.greet({ sessionPresent: true });
  expect((await again.collect('publish', 3)).map(textOf)).toEqual(['a 1 1', 'a 2 1', 'a 3 1']);
});

test('the keep-alive that it says holds', async () => {
  await edgeWith({ topics: out(1), keepAliveSeconds: 600 });
  const link = await peer.greet({ properties: { serverKeepAlive: 1 } });

  await link.next('pingreq');
});

test('a link on which nothing is heard is given up after 1.5 keep-alives', async () => {
  await edgeWith({ keepAliveSeconds: 1 });
  const link = await peer.greet();
  const since = Date.now();

  await link.next('pingreq');
  await peer.accept();

  expect(Date.now() - since).toBeGreaterThanOrEqual(1_300);
});

test('a peer that does not know 5.0 is spoken to in 3.1.1, first as a bridge and then as any client', async () => {
  await edgeWith();
  const refusal = { cmd: 'connack', reasonCode: 0x84, returnCode: 1, sessionPresent: false };
  const seen: unknown[] = [];
  for (const version of [5, 4] as const) {
    const link = await peer.accept(version);
    seen.push(await link.next('connect'));
    link.send(refusal);
    await link.closed();
  }
  const { connect } = await peer.greet({}, 4);
  seen.push(connect);

  expect(seen).toMatchObject([
    { protocolVersion: 5 },
    { protocolVersion: 4, bridgeMode: true },
    { protocolVersion: 4 },
  ]);
  expect(connect.bridgeMode).not.toBe(true);
});

test('a peer that knows neither 5.0 nor bridges is not sent what it would send back for ever', async () => {
  const both = [{ filter: '#', direction: 'both' as const, qos: 1 as const }];
  const [edge] = await edgeWith({ topics: both, version: '3.1.1' });
  const link = await peer.accept(4);
  await link.next('connect');
  link.send({ cmd: 'connack', returnCode: 1, sessionPresent: false });

  await eventually(() => edge.app!.bridges.get('up')!.problem?.includes('would go round for ever') === true);
});

test('what it was subscribed to before, and is not any more, is unsubscribed after a restart', async () => {
  const topicsOf = (...filters: string[]) => filters.map((filter) => ({ filter, direction: 'in' as const }));
  const [edge] = await edgeWith({ topics: topicsOf('a', 'b') });
  const link = await peer.greet();
  const { messageId } = await link.next('subscribe');
  link.send({ cmd: 'suback', messageId, granted: [1, 1], properties: {} });
  await edge.connected();
  await edge.stop();
  edge.config = { bridges: [bridgeTo(peer.port, { topics: topicsOf('b', 'c') })] };
  await edge.start();

  const again = await peer.greet({ sessionPresent: true });

  const request = await again.next('subscribe');
  expect(request).toMatchObject({ subscriptions: [{ topic: 'b' }, { topic: 'c' }] });
  again.send({ cmd: 'suback', messageId: request.messageId, granted: [1, 1], properties: {} });
  expect(await again.next()).toMatchObject({ cmd: 'unsubscribe', unsubscriptions: ['a'] });
});
