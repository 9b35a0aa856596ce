/** What a client finds when the broker was stopped and started again on its data. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createBroker, type SluiceBroker } from '../../../src/index.ts';
import { type ConnectOptions, WireClient } from '../../support/wire-client.ts';

let directory = '';
let broker: SluiceBroker | null = null;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-restart-'));
  await start();
});
afterEach(async () => {
  await broker?.close();
  await rm(directory, { recursive: true });
});

async function start(): Promise<void> {
  const store = { kind: 'level', directory } as const;
  const limits = { inflight: 2 };
  broker = await createBroker({
    config: { listeners: [{ kind: 'tcp', port: 0 }], log: { level: 'silent' }, store, limits },
  });
}

async function restart(): Promise<void> {
  await broker!.close();
  await start();
}

function connect(clientId: string, options: ConnectOptions = {}): Promise<WireClient> {
  const properties = { sessionExpiryInterval: 1_000 };
  return WireClient.connect(broker!.listeners[0]!.port, { version: 5, clientId, clean: false, properties, ...options });
}

async function publish(qos: 1 | 2, ...payloads: string[]): Promise<void> {
  const publisher = await connect('publisher');
  for (const payload of payloads) await publisher.publish('a', payload, { qos });
  await publisher.disconnect();
}

test('QoS 1: what may have been sent before comes with DUP, what cannot have been without', async () => {
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('a', { qos: 1 });
  await publish(1, 'sent 1', 'sent 2', 'queued');
  expect((await subscriber.collect('publish', 2)).map(({ dup }) => dup)).toEqual([false, false]);
  await restart();
  const again = await connect('subscriber');
  expect(again.connack?.sessionPresent).toBe(true);
  const seen: unknown[] = [];
  for (let i = 0; i < 3; i++) {
    const packet = await again.next('publish');
    seen.push([packet.payload?.toString(), packet.dup]);
    await again.acknowledge(packet);
  }
  expect(seen).toEqual([
    ['sent 1', true],
    ['sent 2', true],
    ['queued', false],
  ]);
});

test('QoS 2: each exchange goes on where it was', async () => {
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('a', { qos: 2 });
  await publish(2, 'received', 'sent', 'queued');
  const [received, sent] = await subscriber.collect('publish', 2);
  subscriber.send({ cmd: 'pubrec', messageId: received!.messageId });
  await subscriber.next('pubrel');
  await restart();
  const again = await connect('subscriber');
  expect(await again.next('pubrel')).toMatchObject({ messageId: received!.messageId });
  const resent = await again.next('publish');
  expect(resent).toMatchObject({ messageId: sent!.messageId, dup: true });
  again.send({ cmd: 'pubcomp', messageId: received!.messageId });
  const next = await again.next('publish');
  expect([next.payload?.toString(), next.dup]).toEqual(['queued', false]);
});

test('retained messages, subscriptions and their options are there', async () => {
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('a', { qos: 1, rap: true }, { subscriptionIdentifier: 5 });
  await subscriber.disconnect();
  await restart();
  const publisher = await connect('publisher');
  await publisher.publish('a', 'kept', { qos: 1, retain: true });
  await restart();
  const again = await connect('subscriber');
  expect(await again.next('publish')).toMatchObject({ retain: true, properties: { subscriptionIdentifier: 5 } });
  const newcomer = await connect('newcomer');
  await newcomer.subscribe('#', { qos: 1 });
  expect((await newcomer.next('publish')).payload?.toString()).toBe('kept');
});
