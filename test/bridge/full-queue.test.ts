/** What becomes of messages for a bridge whose queue is full, and of those that have waited for too long. */
import { afterEach, beforeEach, expect, test } from 'vitest';
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

const up = [{ filter: 'up/#', direction: 'out' as const, qos: 2 as const }];
/** Room for two messages of `large`. */
const queue = { maxBytes: 250 };
const large = (text: string) => text.padEnd(100, '.');
const textOf = ({ payload }: Received) => String(payload).replace(/\.+$/, '');

/** A bridge that is not started, whose queue has room for two large messages. */
async function edgeWith(bridge: Partial<BridgeInput> = {}): Promise<BridgedBroker> {
  const bridges = [bridgeTo(peer.port, { topics: up, queue, start: 'manual', ...bridge })];
  return brokers.start({ bridges });
}

const client = (edge: BridgedBroker, version: 4 | 5 = 5) => WireClient.connect(edge.port, { version });
const bridgeOf = (edge: BridgedBroker, name = 'up') => edge.app!.bridges.get(name)!;

async function fill(edge: BridgedBroker): Promise<void> {
  const publisher = await client(edge);
  for (const text of ['1', '2']) await publisher.publish('up/a', large(text), { qos: 1 });
  await publisher.disconnect();
}

/** What the peer gets, acknowledged one after the other. */
async function takeAll(count: number): Promise<string[]> {
  const link = await peer.greet();
  const texts: string[] = [];
  while (texts.length < count) {
    const message = await link.next();
    if (message.cmd !== 'publish') continue;
    texts.push(textOf(message));
    link.send({ cmd: message.qos === 1 ? 'puback' : 'pubrec', messageId: message.messageId });
  }
  return texts;
}

for (const qos of [1, 2] as const) {
  test(`a publisher of MQTT 5 is told that the queue of a bridge is full, and nobody gets its message (QoS ${qos})`, async () => {
    const edge = await edgeWith();
    await fill(edge);
    const [publisher, subscriber] = [await client(edge), await client(edge)];
    await subscriber.subscribe('up/#', { qos: 1 });

    const refusal = await publisher.publish('up/a', large('3'), { qos });

    expect(refusal).toMatchObject({ reasonCode: 0x97 });
    await subscriber.nothingElse();
    bridgeOf(edge).resume();
    expect(await takeAll(2)).toEqual(['1', '2']);
  });
}

test('what does not go over the bridge is taken while its queue is full, and QoS 0 as well', async () => {
  const edge = await edgeWith();
  await fill(edge);
  const publisher = await client(edge);

  expect(await publisher.publish('elsewhere', large('3'), { qos: 1 })).toMatchObject({ reasonCode: 0x10 });
  await publisher.publish('up/a', large('4'), { qos: 0 });

  await publisher.nothingElse();
});

for (const qos of [1, 2] as const) {
  test(`a publisher of 3.1.1 waits until the queue of a bridge has room, and nothing is lost (QoS ${qos})`, async () => {
    const edge = await edgeWith();
    await fill(edge);
    const publisher = await client(edge, 4);
    publisher.send({
      cmd: 'publish',
      topic: 'up/a',
      payload: large('3'),
      qos,
      messageId: 7,
      retain: false,
      dup: false,
    });
    publisher.send({ cmd: 'pingreq' });
    const other = await client(edge, 4);
    await other.publish('elsewhere', 'x', { qos });
    expect(publisher.waiting).toEqual([]);

    bridgeOf(edge).resume();

    expect(await takeAll(3)).toEqual(['1', '2', '3']);
    const answers = [await publisher.next(), await publisher.next()];
    expect(answers.map(({ cmd }) => cmd).sort()).toEqual(['pingresp', qos === 1 ? 'puback' : 'pubrec']);
  });
}

test('a publisher that waits for room and comes back by another connection has sent its message once', async () => {
  const edge = await edgeWith();
  await fill(edge);
  const connect = () => WireClient.connect(edge.port, { version: 4, clientId: 'publisher', clean: false });
  const message = { cmd: 'publish', topic: 'up/a', payload: large('3'), qos: 2, messageId: 7, retain: false };
  const publisher = await connect();
  publisher.send({ ...message, dup: false });
  publisher.send({ cmd: 'pingreq' });
  await (await client(edge)).nothingElse();

  const again = await connect();
  await publisher.closed();
  again.send({ ...message, dup: true });
  bridgeOf(edge).resume();

  expect(await takeAll(3)).toEqual(['1', '2', '3']);
  await again.next('pubrec');
  await eventually(() => bridgeOf(edge).view().messagesOut === 3);
});

test('with drop-oldest the oldest makes room, which the ring of drops tells', async () => {
  const edge = await edgeWith({ queue: { ...queue, whenFull: 'drop-oldest' } });
  await fill(edge);
  const publisher = await client(edge, 4);
  await publisher.publish('up/a', large('3'), { qos: 1 });

  const { items } = await edge.command('drops list', { reason: 'queueFull' });
  expect(items).toMatchObject([
    {
      topic: null,
      detail: expect.stringContaining('bridge up is full (queue.maxBytes: 250, queue.whenFull: drop-oldest)'),
    },
  ]);
  bridgeOf(edge).resume();
  expect(await takeAll(2)).toEqual(['2', '3']);
});

test.each([
  ['without priorities', [{ filter: 'up/#', qos: 1 as const }]],
  [
    'with priorities',
    [
      { filter: 'up/1/#', qos: 1 as const, priority: 5 },
      { filter: 'up/#', qos: 1 as const },
    ],
  ],
])('what is retained goes over a new bridge even if it is far more than its queue may have, %s', async (_, topics) => {
  const edge = await brokers.start();
  const other = await brokers.start();
  const publisher = await client(edge);
  const names = Array.from({ length: 300 }, (_each, i) => `up/${i % 3}/${i}`);
  for (const topic of names) await publisher.publish(topic, large('state'), { qos: 1, retain: true });

  await edge.command('bridges create', { settings: bridgeTo(other.port, { topics, queue }) as never });

  const subscriber = await client(other);
  await subscriber.subscribe('up/#', { qos: 0 });
  const arrived = new Set<string>();
  while (arrived.size < names.length) arrived.add((await subscriber.next('publish')).topic!);
  expect([...arrived].sort()).toEqual([...names].sort());
  expect((await edge.command('drops list', {})).items).toEqual([]);
});

test('explain tells of a bridge whose queue is full', async () => {
  const edge = await edgeWith();
  await fill(edge);

  const { findings } = await edge.command('explain', { topic: 'up/a', qos: 1, payloadBytes: 100 });

  expect(findings).toContainEqual(
    expect.objectContaining({ step: 'room', text: expect.stringContaining('queue of the bridge up is full') }),
  );
});

test('a refusal for want of room is in the ring of drops, with the bridge', async () => {
  const edge = await edgeWith();
  await fill(edge);
  const publisher = await client(edge);
  await publisher.publish('up/a', large('3'), { qos: 1 });

  const { items } = await edge.command('drops list', { topic: 'up/a' });
  expect(items).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ reason: 'noRoom' }),
      expect.objectContaining({ reason: 'queueFull', detail: expect.stringContaining('bridge up') }),
    ]),
  );
});

test('a queue that was full before a restart is full after it', async () => {
  const edge = await edgeWith();
  await fill(edge);
  await edge.stop();
  await edge.start();

  const refusal = await (await client(edge)).publish('up/a', large('3'), { qos: 1 });

  expect(refusal).toMatchObject({ reasonCode: 0x97 });
});

test('a peer whose message would fill the queue of another bridge waits for its acknowledgement', async () => {
  const other = await StandInPeer.start();
  const bridges = [
    bridgeTo(peer.port, { topics: up, queue, start: 'manual' }),
    bridgeTo(other.port, { name: 'down', clientId: 'down', topics: [{ filter: 'up/#', direction: 'in', qos: 2 }] }),
  ];
  const edge = await brokers.start({ bridges });
  const link = await other.greet();
  await link.next('subscribe');
  await fill(edge);
  const publish = (messageId: number, qos: 1 | 2) =>
    link.send({
      cmd: 'publish',
      topic: 'up/a',
      payload: large(`${messageId}`),
      qos,
      messageId,
      retain: false,
      dup: false,
    });
  publish(3, 1);
  publish(4, 2);
  link.send({ cmd: 'publish', topic: 'up/b', payload: 'x', qos: 0, retain: false, dup: false });
  await eventually(() => bridgeOf(edge, 'down').view().messagesIn === 3);
  expect(link.waiting).toEqual([]);

  bridgeOf(edge).resume();

  expect(await takeAll(4)).toEqual(['1', '2', '3', '4']);
  expect(await link.next('puback')).toMatchObject({ messageId: 3 });
  expect(await link.next('pubrec')).toMatchObject({ messageId: 4 });
  await other.stop();
});

test('two bridges whose queues are both full do not wait for each other', async () => {
  const other = await StandInPeer.start();
  const bridges = [
    bridgeTo(peer.port, {
      queue,
      topics: [
        { filter: 'up/#', direction: 'out', qos: 1 },
        { filter: 'down/#', direction: 'in', qos: 1 },
      ],
    }),
    bridgeTo(other.port, {
      ...{ name: 'down', clientId: 'down', queue },
      topics: [
        { filter: 'down/#', direction: 'out', qos: 1 },
        { filter: 'up/#', direction: 'in', qos: 1 },
      ],
    }),
  ];
  const edge = await brokers.start({ bridges });
  const sides = [
    { topic: 'down/a', link: await peer.greet({ properties: { receiveMaximum: 1 } }) },
    { topic: 'up/a', link: await other.greet({ properties: { receiveMaximum: 1 } }) },
  ];
  for (const { link } of sides) await link.next('subscribe');

  // One is in flight and two wait, on each side; the rest is not acknowledged.
  for (const { topic, link } of sides) {
    for (let messageId = 1; messageId <= 5; messageId++) {
      link.send({
        cmd: 'publish',
        topic,
        payload: large(`${messageId}`),
        qos: 1,
        messageId,
        retain: false,
        dup: false,
      });
    }
  }
  const bothHold = () => ['up', 'down'].every((name) => bridgeOf(edge, name).view().messagesIn === 5);
  await eventually(bothHold);
  for (const { link } of sides) {
    const seen: string[] = [];
    while (seen.length < 5) {
      const packet = await link.next();
      if (packet.cmd !== 'publish') continue;
      seen.push(textOf(packet));
      await link.acknowledge(packet);
    }
    expect(seen).toEqual(['1', '2', '3', '4', '5']);
  }
  await other.stop();
});

test('a message that has waited for longer than the bridge keeps messages is dropped, and counted', async () => {
  const edge = await edgeWith({ queue: { maxAgeSeconds: 2 } });
  await fill(edge);

  await eventually(() => bridgeOf(edge).session!.queue.length === 0);
  await (await client(edge)).publish('up/a', 'later', { qos: 1 });

  const { items } = await edge.command('drops list', { reason: 'tooOld' });
  expect(items.reduce((sum, { count }) => sum + count, 0)).toBe(2);
  bridgeOf(edge).resume();
  expect(await takeAll(1)).toEqual(['later']);
});

test('a message that has waited for too long is dropped also when this broker was restarted meanwhile', async () => {
  const edge = await edgeWith({ queue: { maxAgeSeconds: 2 } });
  await fill(edge);
  await edge.stop();
  await edge.start();
  expect(bridgeOf(edge).session!.queue.length).toBe(2);

  await eventually(() => bridgeOf(edge).session!.queue.length === 0);
});
