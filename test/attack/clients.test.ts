/** Clients that are let in, and then take as much as they can: subscriptions, topics, retained messages. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build } from '../support/build.ts';
import { WireClient } from '../support/wire-client.ts';
import { AttackedBroker, attack, inPieces, printFigures, size } from './support.ts';

const broker = new AttackedBroker();
/** Here topics may be as long as the standard lets them be. */
const wide = new AttackedBroker();
const testTimeout = 180_000;

beforeAll(async () => {
  await build();
  const common = `
listeners: [{ kind: tcp, port: 0 }]
store: { kind: level, directory: data }
log: { format: json }
`;
  await broker.start(`${common}limits: { retainedMessages: ${size(2_000, 50_000)} }\n`);
  await wide.start(`${common}limits: { topicBytes: 65535, topicLevels: 1000 }\n`);
});
afterAll(async () => {
  await broker.stop();
  await wide.stop();
  printFigures();
});

/** Subscribes to all of them, a few hundred in a packet; returns how many were granted. */
async function subscribeAll(client: WireClient, filters: readonly string[]): Promise<number> {
  let granted = 0;
  for (let at = 0; at < filters.length; at += 250) {
    const subscriptions = filters.slice(at, at + 250).map((topic) => ({ topic, qos: 0 }));
    client.send({ cmd: 'subscribe', messageId: client.newId(), subscriptions });
    for (let suback = await client.next(); ; suback = await client.next()) {
      if (suback.cmd !== 'suback') continue;
      granted += suback.granted!.filter((code) => code < 0x80).length;
      break;
    }
  }
  return granted;
}

test('a client that subscribes to more than it may, deep and long', { timeout: testTimeout }, async () => {
  const client = await WireClient.connect(broker.ports[0]!, { version: 5 });
  const count = size(6_000, 12_000);
  const tail = '/a'.repeat(127);
  const filters = Array.from({ length: count }, (_, i) => `${i}${tail}`);
  let bytes = 0;
  // limits.subscriptionBytesPerSession
  const fitting = filters.filter((filter) => (bytes += filter.length) <= 1_048_576).length;
  await attack({
    name: `${count} subscriptions of 128 levels`,
    broker,
    port: broker.ports[0]!,
    growthMax: 150,
    run: async () => {
      expect(await subscribeAll(client, filters)).toBe(fitting);
      return () => void client.vanish();
    },
  });
});

test('a client whose filters all match one topic, and that publishes to it', { timeout: testTimeout }, async () => {
  const client = await WireClient.connect(broker.ports[0]!, { version: 5 });
  const levels = size(10, 13);
  const filters = Array.from({ length: 2 ** levels }, (_, i) =>
    Array.from({ length: levels }, (_, bit) => ((i >> bit) & 1 ? '+' : 'a')).join('/'),
  );
  await attack({
    name: `${filters.length} overlapping wildcards, 1,000 messages`,
    broker,
    port: broker.ports[0]!,
    growthMax: 300,
    run: async () => {
      expect(await subscribeAll(client, filters)).toBe(filters.length);
      const topic = new Array(levels).fill('a').join('/');
      await inPieces(1_000, 10, () => void client.publish(topic, 'x'));
      expect(await client.collect('publish', 1_000)).toHaveLength(1_000);
      return () => void client.vanish();
    },
  });
});

test('a client in many shared subscriptions at once, each of which gets a copy', { timeout: testTimeout }, async () => {
  const client = await WireClient.connect(broker.ports[0]!, { version: 5 });
  const count = size(1_000, 10_000);
  const filters = Array.from({ length: count }, (_, i) => `$share/group${i}/bomb`);
  await attack({
    name: `${count} shared subscriptions, 100 messages each`,
    broker,
    port: broker.ports[0]!,
    growthMax: 300,
    run: async () => {
      expect(await subscribeAll(client, filters)).toBe(count);
      client.pause();
      for (let i = 0; i < 100; i++) await client.publish('bomb', 'x'.repeat(100));
      return () => void client.vanish();
    },
  });
});

test('a flood of retained messages', { timeout: testTimeout }, async () => {
  const client = await WireClient.connect(broker.ports[0]!, { version: 5 });
  const count = size(4_000, 100_000);
  await attack({
    name: `${count} retained messages of 500 B, half of them one too many`,
    broker,
    port: broker.ports[0]!,
    growthMax: 400,
    run: async () => {
      const payload = 'x'.repeat(500);
      await inPieces(count, 100, (i) => void client.publish(`retained/${i}`, payload, { retain: true }));
      const last = await client.publish('retained/last', payload, { qos: 1, retain: true });
      expect(last?.reasonCode).toBe(0x97);
      // And who asks for all of them gets them as it can take them.
      await client.subscribe('retained/#');
      await client.collect('publish', size(2_000, 50_000));
      return () => void client.vanish();
    },
  });
});

test.each([
  ['65,535 bytes', 'x'.repeat(65_535)],
  ['65,536 levels', '/'.repeat(65_535)],
])('topics and filters of %s are refused', { timeout: testTimeout }, async (_what, topic) => {
  const client = await WireClient.connect(broker.ports[0]!, { version: 5 });
  expect((await client.subscribe(topic)).granted).toEqual([0x8f]);
  await client.publish(topic, 'x');
  expect((await client.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x90]);
  const older = await WireClient.connect(broker.ports[0]!, { version: 4 });
  expect((await older.subscribe(topic)).granted).toEqual([0x80]);
  await older.publish(topic, 'x');
  expect(await older.closed()).toEqual([]);
  const dying = await WireClient.open(broker.ports[0]!, 5);
  dying.sendConnect({ will: { topic, payload: 'x' } });
  expect((await dying.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x90]);
});

test('topics of 65,535 bytes and 1,000 levels, each another one, where they are allowed', {
  timeout: testTimeout,
}, async () => {
  const client = await WireClient.connect(wide.ports[0]!, { version: 5 });
  const count = size(200, 5_000);
  await attack({
    name: `${count} topics of 65,535 B and 1,000 levels`,
    broker: wide,
    port: wide.ports[0]!,
    growthMax: 400,
    run: async () => {
      await client.subscribe('+/+/+/+/#');
      // So many as `limits.outputBytes` lets wait for a client that is slow to read; beyond it, QoS 0 is dropped.
      for (let sent = 0; sent < count; sent += 50) {
        for (let i = sent; i < sent + 50; i++) {
          void client.publish(String(i).padEnd(999, '/').padEnd(65_535, 'x'), 'x');
        }
        const got = await client.collect('publish', 50);
        expect(got.at(-1)!.topic).toHaveLength(65_535);
      }
      return () => void client.vanish();
    },
  });
});
