/** `forward: subscribed`: a bridge asks its peer only for what somebody here has subscribed to. */
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
import { StandInPeer } from '../support/stand-in-peer.ts';
import { unique, WireClient } from '../support/wire-client.ts';
import { eventually } from '../unit/net/eventually.ts';

const brokers = bridgedBrokers();
const wanting: BridgeInput['topics'] = [
  { filter: 'data/#', direction: 'in', qos: 2, localPrefix: 'north/', forward: 'subscribed' },
];

/** What the bridge has subscribed to at its peer. */
const filtersAt = (broker: BridgedBroker) => filtersOf(broker, (clientId) => clientId === 'the-bridge');

const untilFilters = (broker: BridgedBroker, wanted: readonly string[]) =>
  untilFiltersAre(wanted, () => filtersAt(broker));

const client = (broker: BridgedBroker, options: object = {}) =>
  WireClient.connect(broker.port, { version: 5, ...options });

async function pair(bridge: Partial<BridgeInput> = {}) {
  const north = await brokers.start();
  const south = await brokers.start({ bridges: [bridgeTo(north.port, { topics: wanting, ...bridge })] });
  await south.connected();
  return { north, south };
}

test('only what somebody has subscribed to is asked for, as long as somebody has', async () => {
  const { north, south } = await pair();
  expect(await filtersAt(north)).toEqual([]);
  const [one, other] = [await client(south), await client(south)];

  await one.subscribe('north/data/a/+', { qos: 1 });
  await other.subscribe('north/data/a/+', { qos: 0 });
  await other.subscribe('elsewhere/#', { qos: 1 });
  await untilFilters(north, ['data/a/+']);
  const publisher = await client(north);
  await publisher.publish('data/b/x', 'unwanted', { qos: 1 });
  await publisher.publish('data/a/x', 'wanted', { qos: 1 });

  expect(await one.next('publish')).toMatchObject({ topic: 'north/data/a/x', payload: Buffer.from('wanted') });
  expect(south.app!.bridges.get('up')!.view().messagesIn).toBe(1);
  await one.unsubscribe('north/data/a/+');
  await untilFilters(north, ['data/a/+']);
  await other.disconnect();
  await untilFilters(north, []);
});

test.each([
  ['#', 'data/#'],
  ['+/data/+/x', 'data/+/x'],
  ['$share/some/north/data/a', 'data/a'],
  ['north/data/#', 'data/#'],
])('a subscription to %s asks for %s', async (here, there) => {
  const { north, south } = await pair();
  await (await client(south)).subscribe(here, { qos: 1 });
  await untilFilters(north, [there]);
});

test('a filter that another one covers is not asked for, until that one goes', async () => {
  const { north, south } = await pair();
  const [one, other] = [await client(south), await client(south)];
  await one.subscribe('north/data/a', { qos: 1 });
  await untilFilters(north, ['data/a']);

  await other.subscribe('north/data/+', { qos: 1 });
  await untilFilters(north, ['data/+']);

  await other.disconnect();
  await untilFilters(north, ['data/a']);
});

test('more filters than 200 ask for all of the entry, until most of them have gone', async () => {
  const { north, south } = await pair();
  const subscriber = await client(south);
  for (let i = 0; i < 205; i++) await subscriber.subscribe(`north/data/${i}`, { qos: 0 });
  await untilFilters(north, ['data/#']);

  for (let i = 2; i < 205; i++) await subscriber.unsubscribe(`north/data/${i}`);

  await untilFilters(north, ['data/0', 'data/1']);
});

test('wildcards ask for no topics of the peer that begin with $', async () => {
  const topics = [{ filter: '$SYS/#', direction: 'in' as const, forward: 'subscribed' as const }];
  const { north, south } = await pair({ topics });
  const subscriber = await client(south);
  await subscriber.subscribe('#', { qos: 1 });
  await subscriber.subscribe('$SYS/broker/version', { qos: 1 });
  await untilFilters(north, ['$SYS/broker/version']);
});

test('retained messages of the peer come with the first subscription', async () => {
  const { north, south } = await pair();
  await (await client(north)).publish('data/a', 'state', { qos: 1, retain: true });

  const subscriber = await client(south);
  await subscriber.subscribe('north/data/#', { qos: 1 });

  expect(await subscriber.next('publish')).toMatchObject({ topic: 'north/data/a', payload: Buffer.from('state') });
});

test('after a restart here, what stays is asked for, what has gone is not, and what waited comes', async () => {
  const { north, south } = await pair();
  const clientId = unique('stays');
  const staying = { clientId, clean: false, properties: { sessionExpiryInterval: 1_000 } };
  const subscriber = await client(south, staying);
  await subscriber.subscribe('north/data/stays', { qos: 1 });
  await (await client(south)).subscribe('north/data/goes', { qos: 1 });
  await untilFilters(north, ['data/goes', 'data/stays']);

  await south.stop();
  await (await client(north)).publish('data/stays', 'meanwhile', { qos: 1 });
  await south.start();
  await untilFilters(north, ['data/stays']);

  const again = await client(south, staying);
  expect(await again.next('publish')).toMatchObject({ payload: Buffer.from('meanwhile') });
});

test('a peer that has lost the session is asked for all of it again', async () => {
  const { north, south } = await pair();
  await (await client(south)).subscribe('north/data/a', { qos: 1 });
  await untilFilters(north, ['data/a']);

  await north.command('sessions delete', { clientId: 'the-bridge' });

  await eventually(() => south.app!.bridges.get('up')!.view().connects === 2);
  await untilFilters(north, ['data/a']);
});

test('along a chain of bridges, each asks the next one', async () => {
  const topics: BridgeInput['topics'] = [{ filter: 'data/#', direction: 'in', qos: 1, forward: 'subscribed' }];
  const { far, near } = await chainOf(brokers, topics);
  const subscriber = await client(near);
  await subscriber.subscribe('data/a', { qos: 1 });
  await untilFilters(far, ['data/a']);

  await (await client(far)).publish('data/a', 'far', { qos: 1 });

  expect(await subscriber.next('publish')).toMatchObject({ payload: Buffer.from('far') });
  await subscriber.disconnect();
  await untilFilters(far, []);
});

test('what the bridge itself subscribes to is no reason to ask for it', async () => {
  const both = [...wanting!, { filter: '#', direction: 'out' as const, localPrefix: 'north/' }];
  const { north } = await pair({ topics: both });
  expect(await filtersAt(north)).toEqual([]);
});

test('a filter is left once what takes its place is subscribed to, so that nothing is missed in between', async () => {
  const peer = await StandInPeer.start();
  const south = await brokers.start({ bridges: [bridgeTo(peer.port, { topics: wanting })] });
  const link = await peer.greet();
  const [one, all] = [await client(south), await client(south)];
  await one.subscribe('north/data/a', { qos: 1 });
  const first = await link.next('subscribe');
  link.send({ cmd: 'suback', messageId: first.messageId, granted: [1] });

  await all.subscribe('north/data/#', { qos: 1 });

  const second = await link.next();
  expect(second).toMatchObject({ cmd: 'subscribe', subscriptions: [{ topic: 'data/#' }] });
  link.send({ cmd: 'suback', messageId: (second as typeof first).messageId, granted: [1] });
  expect(await link.next()).toMatchObject({ cmd: 'unsubscribe', unsubscriptions: ['data/a'] });
  await peer.stop();
});

test('a peer of 3.1.1 is asked in the same way', async () => {
  const peer = await StandInPeer.start();
  const south = await brokers.start({ bridges: [bridgeTo(peer.port, { topics: wanting, version: '3.1.1' })] });
  const link = await peer.greet({}, 4);
  const subscriber = await WireClient.connect(south.port, { version: 4 });
  await subscriber.subscribe('north/data/a', { qos: 1 });
  const request = await link.next('subscribe');
  expect(request).toMatchObject({ subscriptions: [{ topic: 'data/a' }] });
  link.send({ cmd: 'suback', messageId: request.messageId, granted: [2] });

  await subscriber.disconnect();

  expect(await link.next('unsubscribe')).toMatchObject({ unsubscriptions: ['data/a'] });
  await peer.stop();
});
