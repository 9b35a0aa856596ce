/** Each limit of the configuration: what happens at it, to whom, and that what is dropped for it is counted. */
import { describe, expect, test } from 'vitest';
import { type TestBroker, testBroker } from '../../support/broker.ts';
import { type Received, unique, type WireClient } from '../../support/wire-client.ts';

const text = (packet: Received) => packet.payload?.toString();
const sysIntervalSeconds = 1;
const lasting = { sessionExpiryInterval: 1_000 };

/** What the broker says it has dropped for this reason, as soon as that is `count` or more. */
function dropped(broker: TestBroker, reason: string, count: number): Promise<number> {
  return new Promise((resolve) => {
    const stop = broker.sluice.subscribe(`$SYS/broker/publish/messages/dropped/${reason}`, ({ payload }) => {
      if (Number(payload) < count) return;
      resolve(Number(payload));
      setImmediate(() => stop());
    });
  });
}

/** Until now others may have been published than there are: waits for what is counted from now on. */
function nextNumbers(broker: TestBroker): Promise<void> {
  return new Promise((resolve) => {
    let calls = 0;
    const stop = broker.sluice.subscribe('$SYS/broker/uptime', () => {
      if (++calls < 2) return;
      resolve();
      setImmediate(() => stop());
    });
  });
}

/** A session with a subscription to `topic` whose client has left. */
async function leaveSubscribed(broker: TestBroker, topic: string): Promise<string> {
  const clientId = unique('away');
  const client = await broker.connect({ version: 5, clientId, clean: false, properties: lasting });
  await client.subscribe(topic, { qos: 2 });
  await client.disconnect();
  return clientId;
}

/** What the session's client finds waiting. */
async function returned(broker: TestBroker, clientId: string, count: number): Promise<unknown[]> {
  const client = await broker.connect({ version: 5, clientId, clean: false, properties: lasting });
  const texts: unknown[] = [];
  for (let i = 0; i < count; i++) {
    const packet = await client.next('publish');
    texts.push(text(packet));
    await client.acknowledge(packet);
  }
  await client.nothingElse();
  return texts;
}

async function publishEach(client: WireClient, topic: string, ...payloads: string[]): Promise<unknown[]> {
  const codes: unknown[] = [];
  for (const payload of payloads) codes.push((await client.publish(topic, payload, { qos: 1 }))?.reasonCode ?? 0);
  return codes;
}

for (const kind of ['memory', 'level'] as const) {
  // A queue in memory and one in the database are bounded by different code.
  const queues = (title: string, limits: object, run: (broker: TestBroker) => void) =>
    describe(`${title}, ${kind}`, () => run(testBroker({ limits, sysIntervalSeconds }, undefined, kind)));

  queues('a queue of 3 messages that drops the oldest', { queueMessages: 3 }, (broker) => {
    test('keeps the newest three and counts the others', async () => {
      const topic = unique('topic');
      const away = await leaveSubscribed(broker, topic);
      const publisher = await broker.connect({ version: 5 });
      expect(await publishEach(publisher, topic, '1', '2', '3', '4', '5')).toEqual([0, 0, 0, 0, 0]);
      expect(await returned(broker, away, 3)).toEqual(['3', '4', '5']);
      expect(await dropped(broker, 'queueFull', 2)).toBe(2);
    });
  });

  queues('a queue of 3 messages that drops the newest', { queueMessages: 3, queuePolicy: 'drop-newest' }, (broker) => {
    test('keeps the first three and counts the others', async () => {
      const topic = unique('topic');
      const away = await leaveSubscribed(broker, topic);
      const publisher = await broker.connect({ version: 5 });
      await publishEach(publisher, topic, '1', '2', '3', '4', '5');
      expect(await returned(broker, away, 3)).toEqual(['1', '2', '3']);
      expect(await dropped(broker, 'queueFull', 2)).toBe(2);
    });

    test('gives an expired message up before a living one', async () => {
      const topic = unique('topic');
      const away = await leaveSubscribed(broker, topic);
      const publisher = await broker.connect({ version: 5 });
      const properties = { messageExpiryInterval: 1 };
      const before = await broker.connect({ version: 5 });
      await before.subscribe(topic);
      await publisher.publish(topic, 'short-lived', { qos: 1, properties });
      await publishEach(publisher, topic, '2', '3');
      // It has expired when a message retained with the same interval is gone.
      await publisher.publish(`${topic}/clock`, 'x', { qos: 1, retain: true, properties });
      await isGone(broker, `${topic}/clock`);
      await publishEach(publisher, topic, '4', '5');
      expect(await returned(broker, away, 3)).toEqual(['2', '3', '4']);
    });
  });

  queues('a queue of 3 messages that refuses', { queueMessages: 3, queuePolicy: 'reject' }, (broker) => {
    test('tells a v5 publisher 0x97, answers an older one, and counts both', async () => {
      const topic = unique('topic');
      const away = await leaveSubscribed(broker, topic);
      const publisher = await broker.connect({ version: 5 });
      expect(await publishEach(publisher, topic, '1', '2', '3', '4')).toEqual([0, 0, 0, 0x97]);
      expect((await publisher.publish(topic, 'by QoS 2', { qos: 2 }))?.reasonCode).toBe(0x97);
      const older = await broker.connect({ version: 4 });
      expect(await publishEach(older, topic, '5')).toEqual([0]);
      expect(await returned(broker, away, 3)).toEqual(['1', '2', '3']);
      expect(await dropped(broker, 'queueFull', 3)).toBe(3);
    });
  });

  queues('a queue of 1,000 bytes', { queueBytes: 1_000 }, (broker) => {
    test('holds as many messages as fit', async () => {
      const topic = unique('topic');
      const away = await leaveSubscribed(broker, topic);
      const publisher = await broker.connect({ version: 5 });
      const letters = ['a', 'b', 'c', 'd'];
      await publishEach(publisher, topic, ...letters.map((letter) => letter.repeat(300)));
      expect(await returned(broker, away, 3)).toEqual(letters.slice(1).map((letter) => letter.repeat(300)));
      expect(await dropped(broker, 'queueFull', 1)).toBe(1);
    });

    test('gives up a message that would not fit if it were alone, and goes on', async () => {
      const topic = unique('topic');
      const away = await leaveSubscribed(broker, topic);
      const publisher = await broker.connect({ version: 5 });
      expect(await publishEach(publisher, topic, 'a'.repeat(1_100), 'small')).toEqual([0, 0]);
      expect(await returned(broker, away, 1)).toEqual(['small']);
      expect(await dropped(broker, 'queueFull', 2)).toBe(2);
    });
  });
}

/** The broker no longer has a retained message at `topic`. */
async function isGone(broker: TestBroker, topic: string): Promise<void> {
  const client = await broker.connect({ version: 5 });
  for (;;) {
    await client.subscribe(topic);
    client.send({ cmd: 'pingreq' });
    if ((await client.next()).cmd === 'pingresp') return;
    await client.next('pingresp');
  }
}

describe('a client that does not read', () => {
  const broker = testBroker({ limits: { outputBytes: 65_536, queueMessages: 10_000 }, sysIntervalSeconds });
  const payload = Buffer.alloc(50_000);
  /** Far more than the buffers of two sockets and the broker's own hold. */
  const count = 800;

  test('loses QoS 0 messages, counted, while others get all of them', async () => {
    const topic = unique('topic');
    const slow = await broker.connect();
    await slow.subscribe(topic);
    const healthy = await broker.connect();
    await healthy.subscribe(topic);
    slow.pause();
    const publisher = await broker.connect();
    for (let i = 0; i < count; i++) {
      await publisher.publish(topic, payload);
      await healthy.next('publish');
    }
    await nextNumbers(broker);
    const lost = await dropped(broker, 'slowConsumer', 1);
    slow.resume();
    const got = await slow.collect('publish', count - lost);
    await slow.nothingElse();
    expect(got.length + lost).toBe(count);
  });

  test('gets every QoS 1 message in order once it reads again', async () => {
    const topic = unique('topic');
    const slow = await broker.connect();
    await slow.subscribe(topic, { qos: 1 });
    slow.pause();
    const publisher = await broker.connect();
    for (let i = 0; i < count; i++) {
      payload.writeUInt32BE(i);
      await publisher.publish(topic, payload, { qos: 1 });
    }
    slow.resume();
    for (let i = 0; i < count; i++) {
      const packet = await slow.next('publish');
      expect(packet.payload?.readUInt32BE()).toBe(i);
      await slow.acknowledge(packet);
    }
    await slow.nothingElse();
  });
});

describe('limits.inflightBytes', () => {
  // A topic of two bytes, and payloads of 40.
  const broker = testBroker({ limits: { inflightBytes: 50 } });
  const big = (name: string) => name.padEnd(40, '.');

  for (const [title, expiry] of Object.entries({
    'a session that ends with its connection': 0,
    'one that stays': 60,
  })) {
    test(`another message is sent while less is in flight, to ${title}`, async () => {
      const properties = { sessionExpiryInterval: expiry };
      const subscriber = await broker.connect({ version: 5, clientId: unique('bytes'), properties });
      const publisher = await broker.connect({ version: 5 });
      await subscriber.subscribe('in', { qos: 1 });
      await publishEach(publisher, 'in', ...['one', 'two', 'three', 'four'].map(big));

      const first = await subscriber.next('publish');
      const second = await subscriber.next('publish');
      await subscriber.nothingElse();
      expect([first, second].map(text)).toEqual([big('one'), big('two')]);
      // 42 bytes are less than 50 again.
      await subscriber.acknowledge(first);
      const third = await subscriber.next('publish');
      expect(text(third)).toBe(big('three'));
      await subscriber.nothingElse();
      await subscriber.acknowledge(second);
      expect(text(await subscriber.next('publish'))).toBe(big('four'));
    });
  }

  test('one that is larger than all of it is sent alone', async () => {
    const subscriber = await broker.connect({ version: 5 });
    const publisher = await broker.connect({ version: 5 });
    await subscriber.subscribe('large', { qos: 2 });
    await publishEach(publisher, 'large', 'x'.repeat(1_000), 'next');

    const large = await subscriber.next('publish');
    await subscriber.nothingElse();
    await subscriber.acknowledge(large);
    expect(text(await subscriber.next('publish'))).toBe('next');
  });

  test('what was in flight is sent again on the next connection, whatever it takes', async () => {
    const options = { version: 5, clientId: unique('again'), clean: false, properties: lasting } as const;
    const subscriber = await broker.connect(options);
    const publisher = await broker.connect({ version: 5 });
    await subscriber.subscribe('again', { qos: 1 });
    await publishEach(publisher, 'again', ...['one', 'two', 'three'].map(big));
    await subscriber.next('publish');
    await subscriber.next('publish');
    await subscriber.disconnect();

    expect(await returned(broker, options.clientId, 3)).toEqual(['one', 'two', 'three'].map(big));
  });
});

describe('bytes of topic filters', () => {
  for (const kind of ['memory', 'level'] as const) {
    const broker = testBroker({ limits: { subscriptionBytesPerSession: 100 } }, undefined, kind);

    test(`the filter that is too much is refused until others have gone (${kind})`, async () => {
      const clientId = unique('client');
      const client = await broker.connect({ version: 5, clientId, properties: lasting });
      const filter = (letter: string) => letter.repeat(40);
      const ask = async (topic: string) => (await client.subscribe(topic)).granted![0];
      expect([await ask(filter('a')), await ask(filter('b')), await ask(filter('c'))]).toEqual([0, 0, 0x97]);
      expect(await ask(filter('b'))).toBe(0);
      await client.unsubscribe(filter('a'));
      expect([await ask(filter('c')), await ask(filter('d'))]).toEqual([0, 0x97]);
      // Characters of two bytes each.
      expect(await ask('ä'.repeat(11))).toBe(0x97);
      expect(await ask('ä'.repeat(10))).toBe(0);
    });
  }
});

describe('limits of what a client may hold', () => {
  const limits = { connections: 6, subscriptionsPerSession: 2, retainedMessages: 2, sessions: 3, topicLevels: 8 };
  const broker = testBroker({ limits, sysIntervalSeconds, sessionExpiryMaximumSeconds: 1_000 });

  broker.both('subscriptions: the one too many is refused, replacing one is not', async (version) => {
    const client = await broker.connect({ version });
    await client.subscribe('a');
    await client.subscribe('b');
    expect((await client.subscribe('c')).granted).toEqual([version === 5 ? 0x97 : 0x80]);
    expect((await client.subscribe('b', { qos: 1 })).granted).toEqual([1]);
    await client.unsubscribe('a');
    expect((await client.subscribe('c')).granted).toEqual([0]);
    await client.disconnect();
  });

  test('topic levels: a filter with too many is refused, a topic name ends a v5 connection with 0x90', async () => {
    const client = await broker.connect({ version: 5 });
    expect((await client.subscribe('1/2/3/4/5/6/7/8')).granted).toEqual([0]);
    expect((await client.subscribe('1/2/3/4/5/6/7/8/9')).granted).toEqual([0x8f]);
    await client.publish('1/2/3/4/5/6/7/8/9', 'x');
    expect((await client.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x90]);
  });

  test('sessions: a new client is refused, a known one comes back', async () => {
    const known = [unique('known'), unique('known'), unique('known')];
    const clients = [];
    for (const clientId of known) {
      clients.push(await broker.connect({ version: 5, clientId, clean: false, properties: lasting }));
    }
    const fourth = await broker.open(5);
    fourth.sendConnect({});
    expect((await fourth.next('connack')).reasonCode).toBe(0x97);
    await fourth.closed();
    for (const client of clients) await client.disconnect();
    const again = await broker.connect({ version: 5, clientId: known[0]!, clean: false });
    expect(again.connack?.sessionPresent).toBe(true);
    await again.disconnect();
    for (const clientId of known.slice(1)) await (await broker.connect({ version: 5, clientId })).disconnect();
  });

  test('retained messages: one topic too many is refused with 0x97 and counted; $SYS takes none of the room', async () => {
    const client = await broker.connect({ version: 5 });
    const topics = [unique('topic'), unique('topic'), unique('topic')];
    const retain = (topic: string, payload: string) => client.publish(topic, payload, { qos: 1, retain: true });
    const codes = [];
    for (const topic of topics) codes.push((await retain(topic, '1'))?.reasonCode ?? 0);
    expect(codes.map((code) => code >= 0x80)).toEqual([false, false, true]);
    expect(codes[2]).toBe(0x97);
    expect(await dropped(broker, 'retainedLimit', 1)).toBe(1);
    expect((await retain(topics[0]!, '2'))?.reasonCode ?? 0).toBeLessThan(0x80);
    await retain(topics[0]!, '');
    expect((await retain(topics[2]!, '3'))?.reasonCode ?? 0).toBeLessThan(0x80);
    await client.disconnect();
  });

  test('connections: the one too many is closed and counted', async () => {
    const clients = [];
    for (let i = 0; i < limits.connections; i++) clients.push(await broker.open(4));
    const refused = new Promise<number>((resolve) => {
      broker.sluice.subscribe('$SYS/broker/connections/refused', ({ payload }) => {
        if (Number(payload) > 0) resolve(Number(payload));
      });
    });
    const late = await broker.open(4);
    await late.closed();
    expect(await refused).toBe(1);
    for (const client of clients) await client.vanish();
  });
});

describe('limits.connections', () => {
  const connections = 10;
  const broker = testBroker({ limits: { connections } });

  test.each([
    ['said DISCONNECT', (client: WireClient) => client.send({ cmd: 'disconnect' })],
    ['closed their side', (client: WireClient) => client.end()],
    ['vanished', (client: WireClient) => client.vanish()],
  ])('those that have just %s leave their places at once', async (_, go) => {
    const clients: WireClient[] = [];
    const come = () => Promise.all(Array.from({ length: connections }, () => broker.connect()));
    clients.push(...(await come()));
    for (let round = 0; round < 3; round++) {
      const before = clients.splice(0);
      await Promise.all(before.map((client) => go(client)));
      clients.push(...(await come()));
      await Promise.all(before.map((client) => client.closed()));
    }
    await Promise.all(clients.map((client) => client.disconnect()));
  });
});
