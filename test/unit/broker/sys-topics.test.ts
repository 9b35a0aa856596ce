/** What the broker tells of itself under $SYS. */
import { describe, expect, test } from 'vitest';
import { silentLog } from '../../../src/contracts/log.ts';
import { createBroker } from '../../../src/index.ts';
import { testBroker } from '../../support/broker.ts';
import { unique, WireClient } from '../../support/wire-client.ts';

const broker = testBroker({ sysIntervalSeconds: 1 });

/** The value of a topic under `$SYS/broker/`, as soon as it is the expected one. */
function becomes(name: string, expected: string): Promise<string> {
  return new Promise((resolve) => {
    broker.sluice.subscribe(`$SYS/broker/${name}`, ({ payload }) => {
      if (payload.toString() === expected) resolve(expected);
    });
  });
}

test('the values of a client are those that it can count itself', async () => {
  const topic = unique('topic');
  const client = await broker.connect({
    version: 5,
    clientId: unique('c'),
    properties: { sessionExpiryInterval: 100 },
  });
  await client.subscribe(topic, { qos: 1 });
  for (let i = 0; i < 3; i++) await client.publish(topic, '12345', { qos: 0, retain: i === 2 });
  await client.collect('publish', 3);
  // CONNECT, SUBSCRIBE, three PUBLISH.
  await becomes('messages/received', '5');
  await becomes('messages/sent', '5');
  await becomes('publish/messages/received', '3');
  await becomes('publish/messages/sent', '3');
  await becomes('clients/maximum', '1');
  await client.disconnect();
  const other = await broker.connect();
  await other.publish(topic, 'waits', { qos: 1 });
  await becomes('publish/messages/received', '4');
  await becomes('connections/open', '1');
});

test('subscribers within the process are no clients', async () => {
  const stop = broker.sluice.subscribe('a/#', () => {});
  await broker.connect({ clientId: unique('second') });
  await becomes('clients/connected', '2');
  await becomes('clients/total', '3');
  stop();
});

test('they have the names that dashboards for Mosquitto ask for, and are there at once for whoever subscribes', async () => {
  const client = await broker.connect();
  await client.subscribe('$SYS/broker/#');
  const wanted = [
    'version',
    'uptime',
    'clients/total',
    'clients/connected',
    'clients/disconnected',
    'clients/maximum',
    'clients/expired',
    'messages/received',
    'messages/sent',
    'messages/stored',
    'publish/messages/received',
    'publish/messages/sent',
    'publish/messages/dropped',
    'bytes/received',
    'bytes/sent',
    'retained messages/count',
    'subscriptions/count',
    'store/messages/count',
    'store/messages/bytes',
    'load/messages/received/1min',
    'load/connections/15min',
    'heap/current',
  ];
  const missing = new Set(wanted);
  while (missing.size > 0) {
    const packet = await client.next('publish');
    // Others are published just now.
    if (packet.retain === true) missing.delete(packet.topic!.replace('$SYS/broker/', ''));
  }
});

test('no client may publish there', async () => {
  const client = await broker.connect({ version: 5 });
  expect((await client.publish('$SYS/broker/version', 'mine', { qos: 1 }))?.reasonCode).toBe(0x87);
});

describe.each(['application/cbor', 'application/json', 'application/vnd.msgpack', 'text/plain'])(
  'a subscriber that wants $SYS as %s',
  (accept) => {
    test('gets every value so, at first and when it changes, and the log has no errors', async () => {
      const lines: string[] = [];
      const log = { ...silentLog, error: (_: object, line: string) => void lines.push(line) };
      const pipelines = [{ name: 'p', filter: 'none', stages: [{ decode: 'json' as const }] }];
      const sluice = await createBroker({
        config: { listeners: [{ kind: 'tcp', port: 0 }], store: { kind: 'memory' }, sysIntervalSeconds: 1, pipelines },
        log,
      });
      const { port } = sluice.listeners[0]!;
      const [plain, asking] = [
        await WireClient.connect(port, { version: 5 }),
        await WireClient.connect(port, { version: 5 }),
      ];
      await plain.subscribe('$SYS/#');
      await asking.subscribe('$SYS/#', {}, { userProperties: { accept } });
      const until = async (
        client: WireClient,
        isEnough: (topics: Set<string | undefined>, count: number) => boolean,
      ) => {
        const all = [await client.next('publish')];
        const isOver = () => isEnough(new Set(all.map(({ topic }) => topic)), all.length);
        while (!isOver()) all.push(await client.next('publish'));
        return all;
      };
      // Values that have changed come among the first ones.
      const expected = await until(plain, ({ size }, count) => size > 80 && count > size + 10);
      const wanted = new Set(expected.map(({ topic }) => topic));
      const seen = await until(
        asking,
        (topics, count) => [...wanted].every((topic) => topics.has(topic)) && count > topics.size + 10,
      );
      expect(seen.filter(({ properties }) => properties?.contentType !== accept).map(({ topic }) => topic)).toEqual([]);
      expect(lines).toEqual([]);
      await sluice.close();
    });
  },
);
