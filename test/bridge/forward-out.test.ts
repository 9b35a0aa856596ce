/** `forward: subscribed` of what goes out: a bridge sends a Sluice only what somebody there has subscribed to. */
import { expect, test } from 'vitest';
import {
  type BridgedBroker,
  type BridgeInput,
  bridgedBrokers,
  bridgeTo,
  chainOf,
  filtersOf,
  untilFiltersAre,
} from '../support/bridged.ts';
import { unique, WireClient } from '../support/wire-client.ts';
import { eventually } from '../unit/net/eventually.ts';

const brokers = bridgedBrokers();
const sending: BridgeInput['topics'] = [
  { filter: 'data/#', direction: 'out', qos: 2, remotePrefix: 'north/', forward: 'subscribed' },
];

/** What waits for the peer, or goes there. */
const filtersToPeer = (broker: BridgedBroker, bridge = 'up') =>
  filtersOf(broker, (clientId) => clientId.startsWith('\0') && clientId.includes(bridge));

const untilFilters = (broker: BridgedBroker, wanted: readonly string[], bridge?: string) =>
  untilFiltersAre(wanted, () => filtersToPeer(broker, bridge));

const client = (broker: BridgedBroker, options: object = {}) =>
  WireClient.connect(broker.port, { version: 5, ...options });

const staying = (clientId: string) => ({ clientId, clean: false, properties: { sessionExpiryInterval: 1_000 } });

async function pair(bridge: Partial<BridgeInput> = {}) {
  const north = await brokers.start();
  const south = await brokers.start({ bridges: [bridgeTo(north.port, { topics: sending, ...bridge })] });
  await south.connected();
  return { north, south };
}

const view = (broker: BridgedBroker) => broker.app!.bridges.get('up')!.view();

test('only what somebody there has subscribed to goes, as long as somebody has', async () => {
  const { north, south } = await pair();
  await untilFilters(south, []);
  const [one, other] = [await client(north), await client(north)];
  await one.subscribe('north/data/a/+', { qos: 1 });
  await other.subscribe('+/data/a/+', { qos: 0 });
  await other.subscribe('elsewhere/#', { qos: 1 });
  await untilFilters(south, ['data/a/+']);

  const publisher = await client(south);
  await publisher.publish('data/b/x', 'unwanted', { qos: 1 });
  await publisher.publish('data/a/x', 'wanted', { qos: 1 });

  expect(await one.next('publish')).toMatchObject({ topic: 'north/data/a/x', payload: Buffer.from('wanted') });
  expect(view(south).messagesOut).toBe(1);
  await one.unsubscribe('north/data/a/+');
  await untilFilters(south, ['data/a/+']);
  await other.disconnect();
  await untilFilters(south, []);
});

test('what was published while the peer was away comes to who subscribed meanwhile, and no more goes', async () => {
  const { north, south } = await pair();
  await north.stop();
  await untilFilters(south, ['data/#']);
  const publisher = await client(south);
  for (const each of ['a', 'b', 'c']) await publisher.publish(`data/${each}`, each, { qos: 2 });

  south.app!.bridges.get('up')!.pause();
  await north.start();
  const subscriber = await client(north, staying(unique('stays')));
  await subscriber.subscribe('north/data/b', { qos: 2 });
  south.app!.bridges.get('up')!.resume();

  expect(await subscriber.next('publish')).toMatchObject({ topic: 'north/data/b', qos: 2 });
  await untilFilters(south, ['data/b']);
  await eventually(() => view(south).queued === 0);
  expect(view(south)).toMatchObject({ messagesOut: 1, skipped: 2 });
});

test('a durable subscriber there loses nothing over a restart on either side', async () => {
  const { north, south } = await pair();
  const as = staying(unique('stays'));
  const subscriber = await client(north, as);
  await subscriber.subscribe('north/data/a', { qos: 1 });
  await subscriber.disconnect();
  await untilFilters(south, ['data/a']);

  await north.stop();
  await (await client(south)).publish('data/a', 'one', { qos: 1 });
  await south.stop();
  await south.start();
  await (await client(south)).publish('data/a', 'two', { qos: 1 });
  await north.start();

  const again = await client(north, as);
  expect(await again.next('publish')).toMatchObject({ payload: Buffer.from('one') });
  expect(await again.next('publish')).toMatchObject({ payload: Buffer.from('two') });
});

test('retained messages go with the first subscription there, and not again with the next connection', async () => {
  const { north, south } = await pair();
  const publisher = await client(south);
  await publisher.publish('data/a', 'state', { qos: 1, retain: true });
  await publisher.publish('data/b', 'other', { qos: 1, retain: true });
  const subscriber = await client(north);

  await subscriber.subscribe('north/data/a', { qos: 1 });

  expect(await subscriber.next('publish')).toMatchObject({ topic: 'north/data/a', payload: Buffer.from('state') });
  await eventually(() => view(south).inFlight === 0);
  await south.app!.bridges.get('up')!.cut();
  await eventually(() => view(south).connects === 2);
  await south.connected();
  await publisher.publish('data/a', 'newer', { qos: 1 });
  expect(await subscriber.next('publish')).toMatchObject({ payload: Buffer.from('newer') });
  expect(view(south).messagesOut).toBe(2);
});

test('all goes to a peer whose rules let the bridge ask nothing', async () => {
  const rules = [{ deny: 'subscribe' as const, topics: ['$SYS/broker/demand/#'] }, { allow: 'all' as const }];
  const north = await brokers.start({ authorization: { rules } });
  const south = await brokers.start({ bridges: [bridgeTo(north.port, { topics: sending })] });
  await south.connected();
  expect(south.app!.bridges.get('up')!.refusedFilters.join()).toMatch(/^\$SYS\/broker\/demand\/north\/data\/#: /);

  await (await client(south)).publish('data/a', 'x', { qos: 1 });

  await eventually(() => view(south).messagesOut === 1);
});

test('with priorities, each lane has what is wanted of it', async () => {
  const topics: BridgeInput['topics'] = [
    { filter: 'alarm/#', direction: 'out', priority: 9, forward: 'subscribed' },
    { filter: 'data/#', direction: 'out', forward: 'subscribed' },
  ];
  const { north, south } = await pair({ topics });
  await untilFilters(south, []);
  const subscriber = await client(north);
  await subscriber.subscribe('+/a', { qos: 1 });
  await untilFilters(south, ['alarm/a', 'data/a']);

  const publisher = await client(south);
  for (const topic of ['alarm/b', 'data/b', 'alarm/a', 'data/a']) await publisher.publish(topic, 'x', { qos: 1 });

  const got = [await subscriber.next('publish'), await subscriber.next('publish')];
  expect(got.map(({ topic }) => topic).sort()).toEqual(['alarm/a', 'data/a']);
  expect(view(south).messagesOut).toBe(2);
});

test('more filters than 200 ask for all', async () => {
  const { north, south } = await pair();
  const subscriber = await client(north);
  for (let i = 0; i < 205; i++) await subscriber.subscribe(`north/data/${i}`, { qos: 0 });
  await untilFilters(south, ['data/#']);

  await subscriber.disconnect();

  await untilFilters(south, []);
});

test('along a chain of bridges, each tells the one before it', async () => {
  const topics: BridgeInput['topics'] = [{ filter: 'data/#', direction: 'out', forward: 'subscribed' }];
  const { far, near } = await chainOf(brokers, topics);
  const subscriber = await client(far);
  await subscriber.subscribe('data/a', { qos: 1 });
  await untilFilters(near, ['data/a']);

  await (await client(near)).publish('data/a', 'near', { qos: 1 });

  expect(await subscriber.next('publish')).toMatchObject({ payload: Buffer.from('near') });
  await subscriber.disconnect();
  await untilFilters(near, []);
});

test.each([2, 3])('in a ring of %i brokers, a filter goes with its last subscriber, out', async (count) => {
  const ring = await ringOf(count, [{ filter: 'data/#', direction: 'out', forward: 'subscribed' }]);
  const subscriber = await client(ring[0]!);
  await subscriber.subscribe('data/a', { qos: 1 });
  // All but the bridge of the broker that has the subscriber, which would bring messages from there.
  for (const each of ring.slice(1)) await untilFilters(each, ['data/a']);
  await untilFilters(ring[0]!, []);

  await (await client(ring[1]!)).publish('data/a', 'x', { qos: 1 });
  expect(await subscriber.next('publish')).toMatchObject({ topic: 'data/a' });
  await subscriber.unsubscribe('data/a');

  for (const each of ring) await untilFilters(each, []);
});

test.each([2, 3])('in a ring of %i brokers, a filter goes with its last subscriber, in', async (count) => {
  const ring = await ringOf(count, [{ filter: 'data/#', direction: 'in', forward: 'subscribed' }]);
  const subscriber = await client(ring[0]!);
  await subscriber.subscribe('data/a', { qos: 1 });
  await untilTotal(ring, count);

  await (await client(ring[count - 1]!)).publish('data/a', 'x', { qos: 1 });
  expect(await subscriber.next('publish')).toMatchObject({ topic: 'data/a' });
  await subscriber.unsubscribe('data/a');

  await untilTotal(ring, 0);
});

test.each([2, 3])('in a ring of %i brokers both ways, with restarts, none keeps what nobody wants', async (count) => {
  const ring = await ringOf(count, [{ filter: 'data/#', direction: 'both', forward: 'subscribed' }]);
  const subscribers = await Promise.all(ring.map((each, at) => client(each, staying(unique(`stays${at}`)))));
  for (const each of subscribers) await each.subscribe('data/a', { qos: 1 });
  await eventually(() => ring.every((each) => each.app!.bridges.get('up')!.isSubscribed));
  await ring[1]!.stop();
  await ring[1]!.start();
  await Promise.all(ring.map((each) => each.connected()));

  for (const each of ring) {
    const { items } = await each.command('clients list', {});
    for (const { clientId } of items) {
      if (clientId.startsWith('stays')) await each.command('sessions delete', { clientId });
    }
  }

  await untilTotal(ring, 0);
});

/** Each has a bridge to the next one. */
async function ringOf(count: number, topics: BridgeInput['topics']): Promise<BridgedBroker[]> {
  const ring: BridgedBroker[] = [];
  for (let i = 0; i < count; i++) ring.push(await brokers.start());
  for (const [i, each] of ring.entries()) {
    await each.stop();
    each.config = { bridges: [bridgeTo(ring[(i + 1) % count]!.port, { topics, clientId: `bridge${i}` })] };
  }
  for (const each of ring) await each.start();
  await Promise.all(ring.map((each) => each.connected()));
  return ring;
}

/** Subscriptions to the topics that go round, of clients and bridges. */
async function untilTotal(ring: readonly BridgedBroker[], wanted: number): Promise<void> {
  let total = -1;
  const ask = async () => {
    const lists = await Promise.all(ring.map((each) => each.command('subscriptions list', {})));
    total = lists.flatMap(({ items }) => items).filter(({ topicFilter }) => topicFilter.startsWith('data/')).length;
  };
  await ask();
  await eventually(() => {
    ask().catch(() => {});
    return total === wanted;
  });
}

test('a client that is no bridge is told nothing', async () => {
  const north = await brokers.start();
  const subscriber = await client(north);
  await subscriber.subscribe('$SYS/broker/demand/#', { qos: 0 });
  await (await client(north)).subscribe('secret/plans', { qos: 0 });
  await subscriber.nothingElse();
});
