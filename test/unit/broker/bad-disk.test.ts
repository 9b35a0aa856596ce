/** What clients get, and what is kept waiting, while the disk refuses writes or does not answer them at all. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, test } from 'vitest';
import { defaultLimits, type Limits } from '../../../src/contracts/settings.ts';
import { BadDisk, type BrokerOnDisk, brokerOn } from '../../support/bad-disk.ts';
import { type Received, unique, WireClient } from '../../support/wire-client.ts';

/** Far beyond what a slow machine needs. */
const eventually = <T>(value: () => T) => expect.poll(value);

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const persistent = (version: 4 | 5, clientId = unique('kept')) =>
  version === 5
    ? ({ version, clientId, clean: false, properties: { sessionExpiryInterval: 1_000 } } as const)
    : ({ version, clientId, clean: false } as const);

const publish = (messageId: number, topic = 'kept', payload: string | Buffer = 'x') =>
  ({ cmd: 'publish', topic, payload, qos: 1, messageId, dup: false, retain: false }) as const;

const lines: { level: string; message: string }[] = [];
const say = (level: string) => (_: object, message: string) => void lines.push({ level, message });
const log = { debug() {}, info() {}, warn: say('warn'), error: say('error') };

/** A broker on a disk that is well, and a client that is away for whom messages to `kept` must be stored. */
async function onDisk(limits: Partial<Limits> = {}) {
  lines.length = 0;
  const disk = new BadDisk();
  const on = await brokerOn(disk, { settings: { limits: { ...defaultLimits, ...limits } }, log });
  closing.push(() => on.dispose());
  const away = persistent(5, 'away');
  const client = await on.connect(away);
  await client.subscribe('kept', { qos: 1 });
  await client.disconnect();
  return { disk, away, ...on };
}

/** From now on something waits that the disk does not take, and the broker knows. */
async function refuse({ disk, store, connect }: { disk: BadDisk } & BrokerOnDisk): Promise<WireClient> {
  const filler = await connect({ version: 5 });
  disk.mood = 'refusing';
  filler.send(publish(1));
  await eventually(() => store.isFailing).toBe(true);
  return filler;
}

/** The same, with a disk that does not answer: as many ticks as it takes to lose patience. */
async function hang({ disk, broker, connect }: { disk: BadDisk } & BrokerOnDisk): Promise<WireClient> {
  const filler = await connect({ version: 5 });
  const before = disk.writes;
  disk.mood = 'hanging';
  filler.send(publish(1));
  await eventually(() => disk.writes).toBe(before + 1);
  for (let tick = 0; tick < 60; tick++) broker.tick();
  return filler;
}

const textOf = ({ payload }: Received) => payload?.toString();

describe.each([
  ['refuses', refuse],
  ['hangs', hang],
] as const)('while the disk %s', (_, spoil) => {
  test.each([4, 5] as const)('clients for whom nothing is stored are served (version %i)', async (version) => {
    const world = await onDisk();
    const retainer = await world.connect({ version: 5 });
    await retainer.publish('shown', 'retained', { qos: 1, retain: true });
    await spoil(world);

    const client = await world.connect({ version });
    await client.subscribe('shown', { qos: 1 });
    expect(textOf(await client.next('publish'))).toBe('retained');
    await client.subscribe('own', { qos: 1 });
    client.send(publish(7, 'own', 'to itself'));
    const got = [await client.next(), await client.next()];
    expect(got.map(({ cmd }) => cmd).sort()).toEqual(['puback', 'publish']);
    await client.publish('own', 'QoS 0');
    expect(textOf(await client.next('publish'))).toBe('QoS 0');
  });

  test('QoS 0 goes on, to however many', async () => {
    const world = await onDisk();
    const subscriber = await world.connect({ version: 5 });
    const subscriptions = Array.from({ length: 1_000 }, (_, i) => ({ topic: `$share/${i}/t`, qos: 0 }));
    subscriber.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    await subscriber.next('suback');
    await spoil(world);

    const publisher = await world.connect({ version: 4 });
    const { counters } = world.broker;
    const before = counters.publishSent;
    for (let i = 0; i < 25; i++) publisher.send({ ...publish(0, 't'), qos: 0 });
    await eventually(() => counters.publishSent - before).toBe(25_000);
  });

  test('a 5.0 publisher to whom no answer is owed is told 0x97, and an older one waits', async () => {
    const world = await onDisk();
    await spoil(world);
    const [v5, v4] = [await world.connect({ version: 5 }), await world.connect({ version: 4 })];
    v5.send(publish(7));
    v4.send(publish(8, 'kept', 'waits'));
    expect(await v5.next('puback')).toMatchObject({ messageId: 7, reasonCode: 0x97 });
    expect(v4.waiting).toEqual([]);
    world.disk.mood = 'well';
    expect((await v4.next('puback')).messageId).toBe(8);
    const back = await world.connect(world.away);
    expect((await back.collect('publish', 2)).map(textOf)).toEqual(['x', 'waits']);
  });

  test('answers keep their order: nothing overtakes the one that waits for the disk [MQTT5 4.6.0-2]', async () => {
    const world = await onDisk();
    const filler = await spoil(world);
    filler.send(publish(2));
    filler.send(publish(3, 'nobody'));
    filler.send({ cmd: 'pubrec', messageId: 9, reasonCode: 0 });
    await world.connect({ version: 4 });
    expect(filler.waiting).toEqual([]);
    world.disk.mood = 'well';
    const ids = (await filler.collect('puback', 3)).map(({ messageId, reasonCode }) => [messageId, reasonCode]);
    expect(ids).toEqual([
      [1, 0],
      [2, 0],
      [3, 0x10],
    ]);
  });

  test.each([
    [4, { returnCode: 3 }],
    [5, { reasonCode: 0x88 }],
  ] as const)('a client whose session must be stored is told after a while (version %i)', async (version, refusal) => {
    const world = await onDisk({ connectTimeoutSeconds: 1 });
    await spoil(world);
    const client = await WireClient.open(world.port, version);
    client.sendConnect(persistent(version));
    expect(await client.next('connack')).toMatchObject(refusal);
    await client.closed();
  });

  test('… and is served when the disk is well before that', async () => {
    const world = await onDisk();
    await spoil(world);
    const client = await WireClient.open(world.port, 4);
    client.sendConnect(persistent(4, 'early'));
    await world.connect({ version: 4 });
    expect(client.waiting).toEqual([]);
    world.disk.mood = 'well';
    expect((await client.next('connack')).returnCode).toBe(0);
  });

  test('a stored session subscribes once the disk is well', async () => {
    const world = await onDisk();
    const client = await world.connect(persistent(5));
    await spoil(world);
    client.send({ cmd: 'subscribe', messageId: 5, subscriptions: [{ topic: 'later', qos: 1 }] });
    await world.connect({ version: 4 });
    expect(client.waiting).toEqual([]);
    world.disk.mood = 'well';
    expect(await client.next('suback')).toMatchObject({ messageId: 5, granted: [1] });
  });

  test('what a client waited with is forgotten with its connection', async () => {
    const world = await onDisk();
    await spoil(world);
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    const bytes = () => {
      collect();
      return process.memoryUsage().arrayBuffers;
    };
    const waiting = publish(1, 'kept', Buffer.alloc(1_000_000));
    const before = bytes();
    for (let i = 0; i < 40; i++) {
      // Each takes over the connection of the one before.
      const client = await world.connect({ version: 4, clientId: 'one after the other' });
      const { publishReceived } = world.broker.counters;
      client.send(waiting);
      await eventually(() => world.broker.counters.publishReceived).toBe(publishReceived + 1);
    }
    await eventually(() => bytes() - before).toBeLessThan(10_000_000);
  });

  test('a client whose CONNECT was taken before the disk failed is told after a while, too', async () => {
    const world = await onDisk({ connectTimeoutSeconds: 1 });
    world.disk.mood = 'hanging';
    const client = await WireClient.open(world.port, 5);
    client.sendConnect(persistent(5, 'just before'));
    await eventually(() => world.store.isDurable).toBe(false);
    if (spoil === refuse) world.disk.mood = 'refusing';
    expect(await client.next('connack')).toMatchObject({ reasonCode: 0x88 });
    await client.closed();
    world.disk.mood = 'well';
    await eventually(() => world.store.isDurable && !world.store.isFailing).toBe(true);
    // Its session was on its way to the disk by then.
    expect((await world.connect(persistent(5, 'just before'))).connack).toMatchObject({ sessionPresent: true });
  });

  test('the program is told as well that a message is refused, and others go out', async () => {
    const world = await onDisk();
    await spoil(world);
    const publish = (topic: string) => world.broker.publish(topic, { payload: Buffer.from('x'), qos: 1 });
    expect(await publish('kept')).toEqual({ reasonCode: 0x97, matched: false });
    expect(await publish('nobody')).toEqual({ reasonCode: 0x10, matched: false });
  });

  test('it is said in the log, and so is its end', async () => {
    const world = await onDisk();
    await spoil(world);
    expect(lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    expect(lines.find(({ level }) => level === 'error')?.message).toMatch(/nothing more is acknowledged/);
    world.disk.mood = 'well';
    await eventually(() => lines.map(({ message }) => message).join('\n')).toMatch(/acknowledging goes on/);
  });
});

test.each([4, 5] as const)(
  'a publisher that ignores its answers is not read on while a disk hangs (version %i)',
  async (version) => {
    const unwrittenBytes = 1_000_000;
    const world = await onDisk({ unwrittenBytes });
    const { counters } = world.broker;
    world.disk.mood = 'hanging';
    const publishers = await Promise.all(Array.from({ length: 4 }, () => world.connect({ version })));
    const payload = Buffer.alloc(100_000, 1);
    const before = counters.publishReceived;
    // Each within its Receive Maximum, and all together 12 MB.
    for (const publisher of publishers) {
      for (let id = 1; id <= 30; id++) publisher.send(publish(id, 'kept', payload));
    }
    await eventually(() => world.store.isBehind).toBe(true);
    await world.connect({ version: 4 });
    const taken = counters.publishReceived - before;
    // One more of each is decoded, and waits.
    expect(taken).toBeLessThanOrEqual(unwrittenBytes / payload.length + publishers.length);
    world.disk.mood = 'well';
    for (const publisher of publishers) {
      const ids = (await publisher.collect('puback', 30)).map(({ messageId, reasonCode = 0 }) => [
        messageId,
        reasonCode,
      ]);
      expect(ids).toEqual(Array.from({ length: 30 }, (_, i) => [i + 1, 0]));
    }
  },
);

test('a client to which as many answers are owed as it may have messages under way is not read on', async () => {
  const world = await onDisk({ receiveMaximum: 20 });
  const { counters } = world.broker;
  const publisher = await world.connect({ version: 4 });
  world.disk.mood = 'hanging';
  const before = counters.publishReceived;
  publisher.send(publish(1));
  await eventually(() => counters.publishReceived - before).toBe(1);
  // Those to nobody need no disk, but their answers come behind the first one's.
  const payload = Buffer.alloc(20_000);
  for (let id = 2; id <= 200; id++) publisher.send(publish(id, 'nobody', payload));
  await eventually(() => counters.publishReceived - before).toBeGreaterThanOrEqual(20);
  await world.connect({ version: 4 });
  expect(counters.publishReceived - before).toBeLessThan(40);
  world.disk.mood = 'well';
  const ids = (await publisher.collect('puback', 200)).map(({ messageId }) => messageId);
  expect(ids).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
});

test('retained messages of QoS 0 wait for the disk once too much of them does', async () => {
  const world = await onDisk({ unwrittenBytes: 200_000 });
  const { counters } = world.broker;
  world.disk.mood = 'hanging';
  const publisher = await world.connect({ version: 4 });
  const before = counters.publishReceived;
  const payload = Buffer.alloc(50_000);
  for (let i = 0; i < 20; i++) publisher.send({ ...publish(0, `r/${i}`, payload), qos: 0, retain: true });
  await eventually(() => world.store.isBehind).toBe(true);
  await world.connect({ version: 4 });
  expect(counters.publishReceived - before).toBeLessThanOrEqual(6);
  world.disk.mood = 'well';
  await eventually(() => counters.publishReceived - before).toBe(20);
});
