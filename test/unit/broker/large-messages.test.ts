/**
 * Messages of many reads. Their memory is used again for the next ones, from whomever they come and to whomever they
 * go, so a piece of one in another would show here: each byte of a payload tells whose it is.
 */
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ChunkPool } from '../../../src/base/chunk-pool.ts';
import { createBroker, type SluiceBroker } from '../../../src/index.ts';
import { Certificates } from '../../support/certificates.ts';

const certificates = new Certificates();
let sluice: SluiceBroker;
const clients: MqttClient[] = [];

beforeAll(async () => {
  const tls = certificates.server('large');
  const listeners = [
    { kind: 'tcp' as const, port: 0 },
    { kind: 'tls' as const, port: 0, tls },
    { kind: 'ws' as const, port: 0 },
  ];
  const limits = { packetBytes: 8_000_000 };
  sluice = await createBroker({ config: { listeners, log: { level: 'silent' }, store: { kind: 'memory' }, limits } });
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.endAsync(true)));
  await sluice.close();
  certificates.remove();
});

async function connect(transport: number, options: IClientOptions): Promise<MqttClient> {
  const { url } = sluice.listeners[transport % sluice.listeners.length]!;
  const client = await mqtt.connectAsync(url, { reconnectPeriod: 0, rejectUnauthorized: false, ...options });
  clients.push(client);
  return client;
}

/** Of each publisher the lengths; what is there of a payload is its number, in every byte. */
const publishers = [
  [70_000, 3_000_000, 130_000, 65_000, 400_000],
  [200_000, 200_000, 200_000, 66_000, 1_040_000],
  [262_144, 131_072, 524_288, 65_536, 9_000],
];
const payloadOf = (publisher: number, i: number) => Buffer.alloc(publishers[publisher]![i]!, publisher * 16 + i);
const expected = publishers.map((lengths, publisher) => lengths.map((_, i) => payloadOf(publisher, i)));

/** QoS 0 may be dropped for who does not read fast enough; the others are sent more than the kernel takes from us. */
const roundsOf = (qos: number) => (qos === 0 ? 1 : 5);

/** Collects what a client is sent until it has everything, by publisher. */
function collect(client: MqttClient, rounds: number): Promise<Buffer[][]> {
  const received: Buffer[][] = publishers.map(() => []);
  let missing = rounds * publishers.flat().length;
  return new Promise((resolve) => {
    client.on('message', (topic, payload) => {
      received[Number(topic.split('/')[1])]!.push(payload);
      if (--missing === 0) resolve(received);
    });
  });
}

test.each([0, 1, 2] as const)('of QoS %i arrive as they were sent, in order, over every transport', async (qos) => {
  const subscribers = await Promise.all(
    [0, 1, 2].map((kind) => connect(kind, { protocolVersion: kind === 1 ? 4 : 5 })),
  );
  const rounds = roundsOf(qos);
  const all = subscribers.map((subscriber) => collect(subscriber, rounds));
  for (const subscriber of subscribers) await subscriber.subscribeAsync(`large${qos}/+`, { qos });
  // A session that comes back later, and a client that does not read meanwhile.
  const absent = { clientId: `absent-${qos}`, clean: false, protocolVersion: 4 as const };
  const away = await connect(0, absent);
  await away.subscribeAsync(`large${qos}/+`, { qos: 1 });
  await away.endAsync();
  const slow = await connect(0, {});
  const slowly = collect(slow, rounds);
  await slow.subscribeAsync(`large${qos}/+`, { qos });
  if (qos > 0) slow.stream.pause();

  await Promise.all(
    publishers.map(async (lengths, publisher) => {
      const client = await connect(publisher, { protocolVersion: 5 });
      const payloads = Array.from({ length: rounds }, () => lengths.map((_, i) => payloadOf(publisher, i))).flat();
      await Promise.all(payloads.map((payload) => client.publishAsync(`large${qos}/${publisher}`, payload, { qos })));
    }),
  );
  slow.stream.resume();
  if (qos > 0) {
    const { url } = sluice.listeners[0]!;
    const back = mqtt.connect(url, { reconnectPeriod: 0, ...absent });
    clients.push(back);
    all.push(collect(back, rounds));
  }
  all.push(slowly);
  for (const received of await Promise.all(all)) {
    // Not toEqual, which prints megabytes.
    for (const [publisher, payloads] of received.entries()) {
      const isSame = payloads.map((payload, i) => payload.equals(expected[publisher]![i % 5]!));
      expect(isSame).toEqual(new Array(5 * rounds).fill(true));
    }
  }
});

test('the pool hands out again what it was given back, and keeps no more than it may', () => {
  const pool = new ChunkPool();
  const first = pool.take(200_000);
  expect(first.length).toBe(262_144);
  pool.giveBack(first);
  // Compared here: what two buffers have in common would take the test a long time to find out.
  expect(pool.take(131_073) === first).toBe(true);
  expect(pool.take(200_000) === first).toBe(false);
  const beyond = pool.take(1_048_577);
  pool.giveBack(beyond);
  expect(pool.take(1_048_577) === beyond).toBe(false);
  // 4 MB of each size.
  const chunks = Array.from({ length: 6 }, () => pool.take(1_048_576));
  for (const chunk of chunks) pool.giveBack(chunk);
  const again = new Set(Array.from({ length: 6 }, () => pool.take(1_048_576)));
  expect(chunks.filter((chunk) => again.has(chunk))).toHaveLength(4);
});
