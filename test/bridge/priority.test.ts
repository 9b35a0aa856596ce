/** What goes first over a bridge that has more to send than it may. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type BridgedBroker, type BridgeInput, bridgedBrokers, bridgeTo } from '../support/bridged.ts';
import { StandInPeer, take } from '../support/stand-in-peer.ts';
import { WireClient } from '../support/wire-client.ts';
import { eventually } from '../unit/net/eventually.ts';

const brokers = bridgedBrokers();
let peer: StandInPeer;

beforeEach(async () => {
  peer = await StandInPeer.start();
});
afterEach(() => peer.stop());

const topics: BridgeInput['topics'] = [
  { filter: 'alarm/#', qos: 2, priority: 9, remotePrefix: 'site/' },
  { filter: 'state/#', qos: 2, priority: 5 },
  { filter: '#', qos: 2 },
];

const edgeWith = (bridge: Partial<BridgeInput> = {}) =>
  brokers.start({ bridges: [bridgeTo(peer.port, { topics, start: 'manual', ...bridge })] });

async function publish(edge: BridgedBroker, topic: string, texts: readonly string[], qos: 0 | 1 | 2 = 1) {
  const client = await WireClient.connect(edge.port, { version: 5 });
  for (const text of texts) await client.publish(topic, text, { qos });
  await client.disconnect();
}

for (const qos of [1, 2] as const) {
  test(`of a backlog, messages of entries with a higher priority go first, each topic in its order (QoS ${qos})`, async () => {
    const edge = await edgeWith({ maxInflight: 2 });
    await publish(edge, 'other', ['1', '2', '3'], qos);
    await publish(edge, 'state/a', ['1', '2'], qos);
    await publish(edge, 'alarm/a', ['1', '2', '3'], qos);

    await edge.command('bridges resume', { name: 'up' });

    expect(await take(await peer.greet(), 8)).toEqual([
      ...['site/alarm/a 1', 'site/alarm/a 2', 'site/alarm/a 3', 'state/a 1', 'state/a 2'],
      ...['other 1', 'other 2', 'other 3'],
    ]);
    await eventually(() => edge.app!.bridges.get('up')!.view().queued === 0);
  });
}

test('behind a slow rate, an alarm overtakes what waits', async () => {
  const edge = await edgeWith({ rate: { messagesPerSecond: 20 } });
  const numbers = Array.from({ length: 60 }, (_, i) => `${i + 1}`);
  await publish(edge, 'other', numbers);
  await edge.command('bridges resume', { name: 'up' });
  const link = await peer.greet();
  const before = await take(link, 25);

  await publish(edge, 'alarm/a', ['fire']);

  const after = await take(link, 36);
  expect(after.indexOf('site/alarm/a fire')).toBeLessThan(10);
  expect([...before, ...after].filter((each) => each.startsWith('other'))).toEqual(
    numbers.map((each) => `other ${each}`),
  );
});

test('priorities hold over a restart, and what was being handed on is neither lost nor sent twice', async () => {
  const edge = await edgeWith();
  await publish(edge, 'other', ['1', '2']);
  await publish(edge, 'alarm/a', ['1', '2']);
  await edge.stop();
  await edge.start();
  await edge.command('bridges resume', { name: 'up' });

  expect(await take(await peer.greet(), 4)).toEqual(['site/alarm/a 1', 'site/alarm/a 2', 'other 1', 'other 2']);
});

test('a full queue of one priority refuses nothing of another', async () => {
  const edge = await edgeWith({ queue: { maxBytes: 250 } });
  const client = await WireClient.connect(edge.port, { version: 5 });
  const large = '.'.repeat(60);
  let refused = 0;
  // Some of them are taken out of the queue, to be handed on.
  for (let i = 0; i < 110; i++) {
    const answer = await client.publish('other', large, { qos: 1 });
    if ((answer as { reasonCode: number }).reasonCode === 0x97) refused++;
  }

  expect(refused).toBeGreaterThan(0);
  expect(await client.publish('alarm/a', large, { qos: 1 })).toMatchObject({ reasonCode: 0 });
});

test('QoS 0 goes while the bridge is connected', async () => {
  const edge = await edgeWith({ start: 'automatic' });
  const link = await peer.greet();
  await eventually(() => edge.app!.bridges.get('up')!.isSubscribed);

  await publish(edge, 'alarm/a', ['now'], 0);

  expect(await take(link, 1)).toEqual(['site/alarm/a now']);
});

test('topics that get other priorities keep their order: what waited before goes first', async () => {
  const plain = [{ filter: '#', qos: 1 as const }];
  const edge = await edgeWith({ topics: plain });
  const settings = (of: BridgeInput['topics']) => bridgeTo(peer.port, { topics: of, start: 'manual' });
  await publish(edge, 'alarm/a', ['1']);
  for (const [index, of] of [topics, [{ ...topics[0]!, priority: 1 }, topics[2]!], plain].entries()) {
    await edge.stop();
    edge.config = { ...edge.config, bridges: [settings(of)] };
    await edge.start();
    await publish(edge, 'alarm/a', [`${index + 2}`]);
  }
  await edge.command('bridges resume', { name: 'up' });

  const taken = await take(await peer.greet(), 4);
  expect(taken.map((each) => each.split(' ')[1])).toEqual(['1', '2', '3', '4']);
  await eventually(() => edge.app!.bridges.get('up')!.view().queued === 0);
});

test('nothing comes back that has come over the bridge', async () => {
  const both = [{ filter: 'a/#', direction: 'both' as const, priority: 1 }, { filter: 'b/#' }];
  const edge = await edgeWith({ topics: both, start: 'automatic', version: '3.1.1' });
  const link = await peer.greet({}, 4);
  const { messageId } = await link.next('subscribe');
  link.send({ cmd: 'suback', messageId, granted: [1] });
  link.send({ cmd: 'publish', topic: 'a/x', payload: 'theirs', qos: 1, messageId: 7, retain: false, dup: false });
  await link.next('puback');

  await publish(edge, 'a/x', ['ours']);

  expect(await take(link, 1)).toEqual(['a/x ours']);
});

test('a bridge that is removed takes its queues with it', async () => {
  const edge = await brokers.start();
  const settings = bridgeTo(peer.port, { topics, start: 'manual' }) as never;
  await edge.command('bridges create', { settings });
  await publish(edge, 'alarm/a', ['1']);
  await publish(edge, 'other', ['1', '2']);

  expect(await edge.command('bridges remove', { name: 'up' })).toEqual({ dropped: 3 });
  expect(edge.app!.broker.statistics()).toBeDefined();
});
