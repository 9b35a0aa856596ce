/** What two Sluices promise each other beyond MQTT: each message once, also over lost sessions, and none goes round. */
import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { unstoredAcksMax } from '../../src/broker/unstored-acks.ts';
import { program } from '../../src/contracts/roles.ts';
import { type BridgedBroker, bridgedBrokers, bridgeTo } from '../support/bridged.ts';
import { StandInPeer } from '../support/stand-in-peer.ts';
import { type Received, WireClient } from '../support/wire-client.ts';
import { eventually } from '../unit/net/eventually.ts';

const brokers = bridgedBrokers();
const everything = [{ filter: '#', direction: 'both' as const, qos: 2 as const }];
const textOf = ({ topic, payload }: Received) => `${topic} ${payload}`;

/** Collects all that is published, until nothing more comes. */
async function listener(broker: BridgedBroker): Promise<{ readonly seen: string[]; readonly paths: unknown[] }> {
  const client = await WireClient.connect(broker.port, { version: 5 });
  await client.subscribe('#', { qos: 0 });
  const seen: string[] = [];
  const paths: unknown[] = [];
  const read = async () => {
    for (;;) {
      const message = await client.next('publish').catch(() => null);
      if (message === null) return;
      seen.push(textOf(message));
      paths.push(message.properties?.userProperties);
    }
  };
  read();
  return { seen, paths };
}

async function quiet(...all: { readonly seen: string[] }[]): Promise<void> {
  let before = -1;
  for (;;) {
    const count = all.reduce((sum, { seen }) => sum + seen.length, 0);
    if (count === before) return;
    before = count;
    await setTimeout(150);
  }
}

async function publish(broker: BridgedBroker, topic: string, payload: string, qos: 0 | 1 | 2 = 1): Promise<void> {
  const client = await WireClient.connect(broker.port, { version: 5 });
  await client.publish(topic, payload, { qos });
  await client.disconnect();
}

test('in a ring of three each message comes to each broker once', async () => {
  const [a, b, c] = [await brokers.start(), await brokers.start(), await brokers.start()];
  for (const [from, to] of [
    [a, b],
    [b, c],
    [c, a],
  ] as const) {
    await from.stop();
    from.config = { bridges: [bridgeTo(to.port, { topics: everything, clientId: `from-${from.port}` })] };
    await from.start();
  }
  await Promise.all([a.connected(), b.connected(), c.connected()]);
  const all = [await listener(a), await listener(b), await listener(c)];

  for (const qos of [0, 1, 2] as const) await publish(a, `t/${qos}`, 'x', qos);
  await eventually(() => all.every(({ seen }) => seen.length >= 3));
  await quiet(...all);

  // Two ways lead from one broker to another, so it may come by both.
  for (const { seen } of all) {
    expect(new Set(seen)).toEqual(new Set(['t/0 x', 't/1 x', 't/2 x']));
    expect(seen.length).toBeLessThanOrEqual(6);
  }
});

test('two bridges between the same brokers send nothing round', async () => {
  const north = await brokers.start();
  const bridges = ['one', 'two'].map((name) => bridgeTo(north.port, { name, clientId: name, topics: everything }));
  const south = await brokers.start({ bridges });
  await Promise.all([south.connected('one'), south.connected('two')]);
  const all = [await listener(north), await listener(south)];

  await publish(north, 'a', 'x');
  await publish(south, 'b', 'y');
  await quiet(...all);

  expect(all.map(({ seen }) => new Set(seen))).toEqual([new Set(['a x', 'b y']), new Set(['a x', 'b y'])]);
});

test('two brokers that bridge to each other send nothing round', async () => {
  const [north, south] = [await brokers.start(), await brokers.start()];
  for (const [from, to] of [
    [north, south],
    [south, north],
  ] as const) {
    await from.stop();
    from.config = { bridges: [bridgeTo(to.port, { topics: everything, clientId: `from-${from.port}` })] };
    await from.start();
  }
  await Promise.all([north.connected(), south.connected()]);
  const all = [await listener(north), await listener(south)];

  await publish(north, 'a', 'x');
  await quiet(...all);

  expect(all.map(({ seen }) => new Set(seen))).toEqual([new Set(['a x']), new Set(['a x'])]);
});

test('a message says through which brokers it has come, and nothing else of the bridge', async () => {
  const north = await brokers.start();
  const south = await brokers.start({ bridges: [bridgeTo(north.port, { topics: everything })] });
  await south.connected();
  const heard = await listener(north);

  await publish(south, 'a', 'x');
  await eventually(() => heard.seen.length === 1);

  expect(heard.paths).toEqual([{ 'sluice-path': expect.stringMatching(/^[\w-]{12}$/) }]);
});

for (const direction of ['out', 'in'] as const) {
  test(`what is sent again comes once, also if the peer has lost the session (${direction})`, async () => {
    const cloud = await brokers.start();
    const topics = [{ filter: '#', direction, qos: 1 as const }];
    const edge = await brokers.start({ bridges: [bridgeTo(cloud.port, { topics })] });
    await edge.connected();
    const [from, to] = direction === 'out' ? [edge, cloud] : [cloud, edge];
    const heard = await listener(to);
    const client = await WireClient.connect(from.port, { version: 5 });

    for (let i = 0; i < 40; i++) {
      await client.publish('a', `${i}`, { qos: 1 });
      // Whatever is under way is cut off.
      if (i % 5 === 0) await edge.app!.bridges.get('up')!.cut();
    }
    await eventually(() => heard.seen.length >= 40);
    await quiet(heard);

    expect(heard.seen).toEqual(Array.from({ length: 40 }, (_, i) => `a ${i}`));
  });
}

test('a peer that has lost the session of a bridge takes none of its messages twice', async () => {
  const peer = await brokers.start();
  const edge = await brokers.start({
    bridges: [bridgeTo(peer.port, { topics: [{ filter: '#', direction: 'out', qos: 1 }] })],
  });
  await edge.connected();
  const heard = await listener(peer);
  const client = await WireClient.connect(edge.port, { version: 5 });

  for (let i = 0; i < 20; i++) {
    const sent = client.publish('a', `${i}`, { qos: 1 });
    if (i % 4 === 0) {
      await edge.app!.bridges.get('up')!.cut();
      await (await peer.app!.commands())
        .receive('sessions delete', { clientId: 'the-bridge' }, program)
        .catch(() => {});
    }
    await sent;
  }
  await eventually(() => heard.seen.length >= 20);
  await quiet(heard);

  expect(heard.seen).toEqual(Array.from({ length: 20 }, (_, i) => `a ${i}`));
});

const greeting = { 'sluice-bridge': 'abcdefghijkl 7.x 10' };
/** What a crash may have sent again: as many as the greeting says, and whose acknowledgements are not on disk. */
const repeatable = 10 + unstoredAcksMax;
const upTo = (most: number) => Array.from({ length: most }, (_, i) => i + 1);
const numbered = (seq: number) => ({ userProperties: { 'sluice-seq': `${seq}` } });

test('a number that a bridge has sent before is acknowledged and goes no further, also in another session', async () => {
  const broker = await brokers.start();
  const heard = await listener(broker);
  const connect = () => {
    const properties = { sessionExpiryInterval: 100, userProperties: greeting };
    return WireClient.connect(broker.port, { version: 5, clientId: 'edge', clean: false, properties });
  };
  const bridge = await connect();
  for (const seq of [5, 4, 6]) await bridge.publish('a', `${seq}`, { qos: 1, properties: numbered(seq) });
  await bridge.vanish();
  await (await broker.app!.commands()).receive('sessions delete', { clientId: 'edge' }, program);
  await broker.stop();
  await broker.start();
  const heardAgain = await listener(broker);

  const again = await connect();
  for (const seq of [4, 5, 6, 7]) await again.publish('a', `${seq}`, { qos: 1, properties: numbered(seq) });
  await eventually(() => heardAgain.seen.length > 0);
  await quiet(heard, heardAgain);

  expect([heard.seen, heardAgain.seen]).toEqual([['a 5', 'a 4', 'a 6'], ['a 7']]);
  expect(again.connack?.properties?.userProperties).toMatchObject({ 'sluice-seen': 'abcdefghijkl 7.x 6' });
});

test('a number that the peer has sent before is acknowledged and goes no further, also in another session', async () => {
  const peer = await StandInPeer.start();
  const topics = [{ filter: '#', direction: 'in' as const, qos: 1 as const }];
  const edge = await brokers.start({ bridges: [bridgeTo(peer.port, { topics })] });
  const heard = await listener(edge);
  const message = (seq: number) => ({
    ...{ cmd: 'publish', topic: 'a', payload: `${seq}`, qos: 1, messageId: seq, dup: false, retain: false },
    properties: numbered(seq),
  });
  for (const sequence of [
    [2, 1],
    [1, 2, 3],
  ]) {
    const link = await peer.greet({ properties: { userProperties: greeting } });
    await link.next('subscribe');
    for (const seq of sequence) {
      link.send(message(seq));
      expect(await link.next()).toMatchObject({ cmd: 'puback', messageId: seq });
    }
    await link.vanish();
  }
  await eventually(() => heard.seen.length >= 3);
  await quiet(heard);

  expect(heard.seen).toEqual(['a 2', 'a 1', 'a 3']);
  await peer.stop();
});

test('after a crash, messages of a bridge are known again that were in flight or acknowledged lately', async () => {
  const broker = await brokers.start();
  const heard = await listener(broker);
  const connect = () => {
    const properties = { sessionExpiryInterval: 100, userProperties: greeting };
    return WireClient.connect(broker.port, { version: 5, clientId: 'edge', clean: false, properties });
  };
  const bridge = await connect();
  for (const seq of upTo(repeatable)) await bridge.publish('a', `${seq}`, { qos: 1, properties: numbered(seq) });
  await bridge.vanish();

  const again = await connect();
  for (const seq of upTo(repeatable + 1)) await again.publish('a', `${seq}`, { qos: 1, properties: numbered(seq) });
  await eventually(() => heard.seen.length > repeatable);
  await quiet(heard);

  expect(heard.seen).toEqual(upTo(repeatable + 1).map((seq) => `a ${seq}`));
});

test('after a crash of the peer, its messages are known again that were in flight or acknowledged lately', async () => {
  const peer = await StandInPeer.start();
  const topics = [{ filter: '#', direction: 'in' as const, qos: 1 as const }];
  const edge = await brokers.start({ bridges: [bridgeTo(peer.port, { topics })] });
  const heard = await listener(edge);
  for (const most of [repeatable, repeatable + 1]) {
    const link = await peer.greet({ properties: { userProperties: greeting } });
    await link.next('subscribe');
    for (const seq of upTo(most)) {
      const message = {
        cmd: 'publish',
        topic: 'a',
        payload: `${seq}`,
        qos: 1,
        messageId: seq,
        dup: false,
        retain: false,
      };
      link.send({ ...message, properties: numbered(seq) });
      expect(await link.next()).toMatchObject({ cmd: 'puback', messageId: seq });
    }
    await link.vanish();
  }
  await eventually(() => heard.seen.length > repeatable);
  await quiet(heard);

  expect(heard.seen).toEqual(upTo(repeatable + 1).map((seq) => `a ${seq}`));
  await peer.stop();
});

test('a packet identifier of a session that the peer has lost stands for nothing, though its CONNACK was lost as well', async () => {
  const peer = await StandInPeer.start();
  const topics = [{ filter: '#', direction: 'in' as const, qos: 2 as const }];
  const edge = await brokers.start({ bridges: [bridgeTo(peer.port, { topics })] });
  const heard = await listener(edge);
  // The second session has begun with a CONNACK that did not arrive.
  for (const [seq, series] of ['7.x', '8.x'].entries()) {
    const properties = { userProperties: { 'sluice-bridge': `abcdefghijkl ${series} 10` } };
    const link = await peer.greet({ sessionPresent: seq > 0, properties });
    await link.next('subscribe');
    const message = { cmd: 'publish', topic: 'a', payload: series, qos: 2, messageId: 1, dup: false, retain: false };
    link.send({ ...message, properties: numbered(seq + 1) });
    expect(await link.next()).toMatchObject({ cmd: 'pubrec', messageId: 1 });
    await link.vanish();
  }
  await quiet(heard);

  expect(heard.seen).toEqual(['a 7.x', 'a 8.x']);
  await peer.stop();
});

test('a packet identifier of a session that a bridge has lost stands for nothing', async () => {
  const broker = await brokers.start();
  const heard = await listener(broker);
  for (const [seq, series] of ['7.x', '8.x'].entries()) {
    const userProperties = { 'sluice-bridge': `abcdefghijkl ${series} 10` };
    const properties = { sessionExpiryInterval: 100, userProperties };
    const bridge = await WireClient.connect(broker.port, { version: 5, clientId: 'edge', clean: false, properties });
    const message = { cmd: 'publish', topic: 'a', payload: series, qos: 2, messageId: 1, dup: false, retain: false };
    bridge.send({ ...message, properties: numbered(seq + 1) });
    await bridge.next('pubrec');
    await bridge.vanish();
  }
  await quiet(heard);

  expect(heard.seen).toEqual(['a 7.x', 'a 8.x']);
});
