/** What the broker tells of itself under $SYS. */
import { expect, test } from 'vitest';
import { testBroker } from '../../support/broker.ts';
import { unique } from '../../support/wire-client.ts';

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

test('they have the names that dashboards for Mosquitto ask for, and are there at once for whoever subscribes', async () => {
  const client = await broker.connect();
  await client.subscribe('$SYS/broker/#');
  const names = new Set<string>();
  client.send({ cmd: 'pingreq' });
  for (let packet = await client.next(); packet.cmd !== 'pingresp'; packet = await client.next()) {
    expect(packet).toMatchObject({ cmd: 'publish', retain: true });
    names.add(packet.topic!.replace('$SYS/broker/', ''));
  }
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
  expect(wanted.filter((name) => !names.has(name))).toEqual([]);
});

test('no client may publish there', async () => {
  const client = await broker.connect({ version: 5 });
  expect((await client.publish('$SYS/broker/version', 'mine', { qos: 1 }))?.reasonCode).toBe(0x87);
});
