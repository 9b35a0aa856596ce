/** Why a message did not arrive: what the ring of drops has of it, with real packets. */
import { describe, expect, test } from 'vitest';
import { type DropView, dropView, unmatchedView } from '../../../src/contracts/drops.ts';
import type { DropFilter, Hooks } from '../../../src/index.ts';
import { type TestBroker, testBroker } from '../../support/broker.ts';
import { unique, type WireClient } from '../../support/wire-client.ts';

const lasting = { sessionExpiryInterval: 1_000 };

/** The entries, newest first, each as its schema says. */
async function dropsOf(broker: TestBroker, filter: DropFilter): Promise<DropView[]> {
  const { items } = await broker.sluice.drops.list({ ...filter, limit: 1_000 });
  return items.map((item) => dropView.parse(item));
}

/** A session with a subscription to `topic` whose client has left. */
async function leaveSubscribed(broker: TestBroker, topic: string, options: object = { qos: 2 }): Promise<string> {
  const clientId = unique('away');
  const client = await broker.connect({ version: 5, clientId, clean: false, properties: lasting });
  await client.subscribe(topic, options);
  await client.disconnect();
  return clientId;
}

describe('a message that was published', () => {
  const broker = testBroker({
    sysIntervalSeconds: 0,
    limits: { queueMessages: 2, retainedMessages: 1, outputBytes: 1_024 },
    pipelines: [
      { name: 'hot', filter: 'piped/filter/#', stages: [{ filter: { cel: 'value.t > 40' } }] },
      { name: 'strict', filter: 'piped/strict/#', stages: [{ decode: 'json', onError: 'reject' }] },
      { name: 'keeper', filter: 'piped/keeper/#', stages: [{ decode: 'json' }] },
      { name: 'minutes', filter: 'piped/minutes/#', stages: [{ batch: { messages: 10, seconds: 60 } }] },
    ],
  });
  const publisherId = unique('publisher');
  let publisher: WireClient;
  const isFrom = {
    kind: 'client',
    clientId: publisherId,
    username: 'ada',
    address: expect.stringMatching(/^127\.0\.0\.1:/),
  };
  const begin = async () => {
    publisher ??= await broker.connect({ version: 5, clientId: publisherId, username: 'ada' });
  };

  test('displaces the oldest one in a full queue, whose publisher is known', async () => {
    await begin();
    const topic = unique('full');
    const away = await leaveSubscribed(broker, topic);
    for (const payload of ['one', 'two', 'three']) await publisher.publish(topic, payload, { qos: 1 });
    expect(await dropsOf(broker, { topic })).toEqual([
      {
        kind: 'dropped',
        reason: 'queueFull',
        count: 1,
        time: expect.any(Number),
        lastTime: expect.any(Number),
        topic,
        qos: 1,
        bytes: 3,
        publisher: isFrom,
        recipient: away,
        detail: '1 message in the queue (limits.queueMessages: 2, queuePolicy: drop-oldest)',
      },
    ]);
  });

  test('is not kept for a client that is away if it is of QoS 0', async () => {
    const topic = unique('qos0');
    const away = await leaveSubscribed(broker, topic);
    for (let i = 0; i < 3; i++) await publisher.publish(topic, 'x');
    await publisher.nothingElse();
    expect(await dropsOf(broker, { clientId: away })).toMatchObject([
      { reason: 'clientAway', count: 3, qos: 0, publisher: isFrom, detail: expect.stringMatching(/^away since 20/) },
    ]);
  });

  test('does not come back to its publisher with No Local', async () => {
    const topic = unique('own');
    await publisher.subscribe(topic, { qos: 1, nl: true });
    await publisher.publish(topic, 'x', { qos: 1 });
    expect(await dropsOf(broker, { topic })).toMatchObject([{ reason: 'noLocal', recipient: publisherId }]);
  });

  test('is too large for a client', async () => {
    const topic = unique('large');
    const clientId = unique('small');
    const small = await broker.connect({ version: 5, clientId, properties: { maximumPacketSize: 100 } });
    await small.subscribe(topic, { qos: 1 });
    await publisher.publish(topic, 'x'.repeat(200), { qos: 1 });
    expect(await dropsOf(broker, { topic })).toMatchObject([
      { reason: 'packetTooLarge', recipient: clientId, bytes: 200, detail: expect.stringContaining('of 100') },
    ]);
    await small.disconnect();
  });

  test('is dropped for a client that does not read', async () => {
    const topic = unique('flood');
    const clientId = unique('slow');
    const slow = await broker.connect({ version: 5, clientId });
    await slow.subscribe(topic);
    slow.pause();
    const found = async () => {
      for (let i = 0; i < 50; i++) await publisher.publish(topic, Buffer.alloc(100_000));
      await publisher.nothingElse();
      return dropsOf(broker, { topic, reason: 'slowConsumer' });
    };
    await expect
      .poll(found)
      .toMatchObject([
        { recipient: clientId, publisher: isFrom, detail: expect.stringContaining('limits.outputBytes: 1024') },
      ]);
    slow.resume();
    await slow.vanish();
  });

  test('is not retained for want of room', async () => {
    const [first, second] = [unique('retained'), unique('retained')];
    await publisher.publish(first, 'x', { retain: true });
    await publisher.publish(second, 'x', { retain: true });
    await publisher.nothingElse();
    expect(await dropsOf(broker, { topic: second })).toMatchObject([
      { reason: 'retainedLimit', recipient: null, detail: expect.stringContaining('limits.retainedMessages: 1') },
    ]);
    expect(await publisher.publish(second, 'x', { qos: 1, retain: true })).toMatchObject({ reasonCode: 0x97 });
    expect(await dropsOf(broker, { topic: second })).toMatchObject([
      { kind: 'refused', reason: 'noRoom', publisher: isFrom },
      { kind: 'dropped', reason: 'retainedLimit', count: 1, qos: 1 },
      { kind: 'dropped', reason: 'retainedLimit', count: 1, qos: 0 },
    ]);
  });

  test('is dropped, refused, gathered or put into quarantine by a stage, which is named', async () => {
    await publisher.publish('piped/filter/a', '{"t":1}', { qos: 1 });
    await publisher.publish('piped/strict/a', '{', { qos: 1 });
    await publisher.publish('piped/keeper/a', '{', { qos: 1 });
    await publisher.publish('piped/minutes/a', '1', { qos: 1 });
    expect(await dropsOf(broker, { topic: 'piped/#' })).toMatchObject([
      { reason: 'pipelineHeld', publisher: isFrom, detail: 'pipeline "minutes", stage 1 batch' },
      {
        reason: 'quarantined',
        publisher: isFrom,
        detail: expect.stringMatching(/^pipeline "keeper", stage 1 decode: .*JSON/),
      },
      {
        kind: 'refused',
        reason: 'pipelineRejected',
        detail: expect.stringMatching(/^pipeline "strict", stage 1 decode: .*JSON/),
      },
      { kind: 'dropped', reason: 'pipelineDropped', detail: 'pipeline "hot", stage 1 filter' },
    ]);
  });

  test('found nobody who had subscribed: it is counted by topic', async () => {
    const topic = unique('nobody');
    for (let i = 0; i < 3; i++) await publisher.publish(topic, 'x', { qos: 1 });
    await broker.sluice.publish(topic, 'x');
    const { items } = await broker.sluice.drops.unmatched({ topic });
    expect(items.map((item) => unmatchedView.parse(item))).toMatchObject([
      { topic, count: 4, publisher: { kind: 'client', clientId: publisherId } },
    ]);
  });

  test("of a session that ends is dropped with it, the program's own as well", async () => {
    const topic = unique('ends');
    const clientId = await leaveSubscribed(broker, topic);
    await broker.sluice.publish(topic, 'x', { qos: 1 });
    const back = await broker.connect({ version: 5, clientId, clean: true });
    expect(await dropsOf(broker, { clientId })).toMatchObject([
      { reason: 'sessionEnded', topic, publisher: { kind: 'program', clientId: null }, recipient: clientId },
    ]);
    await back.disconnect();
  });

  test('is listed page by page, by reason, kind and time', async () => {
    const before = await dropsOf(broker, {});
    expect(before.length).toBeGreaterThan(8);
    const first = await broker.sluice.drops.list({ limit: 3 });
    const second = await broker.sluice.drops.list({ limit: 1_000, cursor: first.cursor });
    expect([...first.items, ...second.items]).toEqual(before);
    expect(await dropsOf(broker, { reason: 'noLocal' })).toHaveLength(1);
    expect((await dropsOf(broker, { kind: 'refused' })).every(({ kind }) => kind === 'refused')).toBe(true);
    expect(await dropsOf(broker, { since: Date.now() + 60_000 })).toEqual([]);
  });
});

describe('with queuePolicy: reject', () => {
  const broker = testBroker({ sysIntervalSeconds: 0, limits: { queueMessages: 1, queuePolicy: 'reject' } });

  test('a refused message names the session whose queue is full', async () => {
    const topic = unique('reject');
    const away = await leaveSubscribed(broker, topic);
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish(topic, 'one', { qos: 1 });
    expect(await publisher.publish(topic, 'two', { qos: 1 })).toMatchObject({ reasonCode: 0x97 });
    expect(await dropsOf(broker, { topic })).toMatchObject([
      { kind: 'refused', reason: 'noRoom', recipient: null },
      { kind: 'dropped', reason: 'queueFull', recipient: away, detail: expect.stringContaining('queuePolicy: reject') },
    ]);
    await publisher.disconnect();
  });
});

describe('a client that asks for what it may not have', () => {
  const hooks: Hooks = {
    authenticate: ({ password }) =>
      password?.toString() === 'wrong'
        ? { outcome: 'refuse', reasonCode: 0x86, reason: 'Unknown user or wrong password' }
        : { outcome: 'accept' },
    authorizePublish: (_, { name }) => (name.startsWith('hooked/') ? 0x87 : 0),
  };
  const broker = testBroker(
    {
      sysIntervalSeconds: 0,
      limits: { packetBytes: 10_000 },
      authorization: {
        default: 'allow',
        rules: [{ deny: 'all', topics: ['secret/#'] }],
      },
    },
    hooks,
  );

  test('finds the rule that refuses its PUBLISH and SUBSCRIBE, or the hook', async () => {
    const clientId = unique('curious');
    const client = await broker.connect({ version: 5, clientId, username: 'eve' });
    await client.publish('secret/a', 'x', { qos: 1 });
    await client.publish('hooked/a', 'x', { qos: 1 });
    await client.publish('$SYS/a', 'x', { qos: 1 });
    await client.subscribe('secret/#', { qos: 1 });
    await client.subscribe('a/#/b', { qos: 1 });
    const publisher = { kind: 'client', clientId, username: 'eve' };
    expect(await dropsOf(broker, { clientId })).toMatchObject([
      { reason: 'subscribeRefused', topic: 'a/#/b', detail: expect.stringContaining('no valid topic filter') },
      {
        reason: 'subscribeRefused',
        topic: 'secret/#',
        qos: 1,
        detail: expect.stringContaining('deny all secret/#'),
      },
      { reason: 'publishNotAllowed', topic: '$SYS/a', detail: expect.stringContaining('$SYS') },
      { reason: 'publishNotAllowed', topic: 'hooked/a', detail: expect.stringContaining('hook') },
      {
        reason: 'publishNotAllowed',
        topic: 'secret/a',
        publisher,
        detail: expect.stringContaining('deny all secret/#'),
      },
    ]);
    await client.disconnect();
  });

  test('is not let in, and its user name is told once it is known to be none of its secrets', async () => {
    const [failed, malformed] = [unique('failed'), unique('will')];
    const wrong = await broker.open(5);
    wrong.sendConnect({ clientId: failed, username: 'mallory', password: 'wrong' });
    await wrong.next('connack');
    const will = await broker.open(5);
    will.sendConnect({ clientId: malformed, username: 'token', will: { topic: 'secret/will', payload: 'x' } });
    await will.next('connack');
    expect(await dropsOf(broker, { clientId: failed })).toMatchObject([
      {
        kind: 'refused',
        reason: 'authenticationFailed',
        topic: null,
        publisher: { clientId: failed, username: 'mallory', address: expect.any(String) },
        detail: expect.stringContaining('wrong password'),
      },
    ]);
    expect(await dropsOf(broker, { clientId: malformed })).toMatchObject([
      { reason: 'connectRefused', detail: expect.stringContaining('secret/will') },
      { reason: 'willNotAllowed', topic: 'secret/will', detail: expect.stringContaining('deny all secret/#') },
    ]);
  });

  test('breaks a limit and is disconnected', async () => {
    const clientId = unique('talker');
    const client = await broker.connect({ version: 5, clientId });
    client.send({ cmd: 'publish', topic: 'a', payload: 'x'.repeat(20_000), qos: 0, retain: false, dup: false });
    await client.closed();
    expect(await dropsOf(broker, { clientId })).toMatchObject([
      { kind: 'refused', reason: 'protocolError', detail: expect.stringContaining('limits.packetBytes') },
    ]);
  });
});
