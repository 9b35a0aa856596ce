/**
 * What of messages under way, and of a queue, a client finds after the broker was stopped or killed: identifiers, DUP
 * flags, limits and expiry.
 */
import { Level } from 'level';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ByteWriter } from '../../../src/store/level/bytes.ts';
import { numberOf, Prefix, readSession, writeSession } from '../../../src/store/level/records.ts';
import { KillableBroker, type KillableOptions } from '../../support/killable-broker.ts';
import type { ConnectOptions, Received, WireClient } from '../../support/wire-client.ts';

let broker: KillableBroker;
afterEach(() => broker.remove());

async function start(options: KillableOptions = {}): Promise<void> {
  broker = await KillableBroker.start(options);
}

function connect(clientId: string, options: ConnectOptions = {}): Promise<WireClient> {
  const properties = { sessionExpiryInterval: 1_000 };
  return broker.connect({ version: 5, clientId, clean: false, properties, ...options });
}

async function publish(qos: 1 | 2, ...payloads: string[]): Promise<void> {
  const publisher = await broker.connect({ version: 5 });
  for (const payload of payloads) await publisher.publish('a', payload, { qos });
  await publisher.disconnect();
}

async function subscribed(qos: 1 | 2, clientId = 'subscriber'): Promise<WireClient> {
  const client = await connect(clientId);
  await client.subscribe('a', { qos });
  return client;
}

/** A session that is away. */
async function away(qos: 1 | 2): Promise<void> {
  const client = await subscribed(qos);
  await client.disconnect();
}

/** The next ones; each is answered. */
async function taken<T>(client: WireClient, count: number, of: (packet: Received) => T): Promise<T[]> {
  const found: T[] = [];
  while (found.length < count) {
    const packet = await client.next('publish');
    found.push(of(packet));
    await client.acknowledge(packet);
  }
  return found;
}

/** Everything that is owed; each is answered. What is published now comes last. */
async function drained<T>(client: WireClient, of: (packet: Received) => T): Promise<T[]> {
  const last = `last ${++lastNumber}`;
  await publish(1, last);
  const found: T[] = [];
  for (;;) {
    const packet = await client.next('publish');
    await client.acknowledge(packet);
    if (text(packet) === last) break;
    found.push(of(packet));
  }
  // The broker has come to the last answer.
  await client.nothingElse();
  return found;
}

let lastNumber = 0;
const text = ({ payload }: Received) => payload!.toString();
const textAndId = (packet: Received) => `${text(packet)} ${packet.messageId}`;
const textAndDup = (packet: Received) => `${text(packet)}${packet.dup ? ' DUP' : ''}`;

describe('packet identifiers', () => {
  test('QoS 1 in flight keeps its identifiers over an orderly stop, and new messages get others [MQTT5 4.4.0-1]', async () => {
    await start({ limits: { inflight: 3 } });
    const subscriber = await subscribed(1);
    await publish(1, 'one', 'two', 'three', 'queued');
    expect((await subscriber.collect('publish', 3)).map(textAndId)).toEqual(['one 1', 'two 2', 'three 3']);
    subscriber.send({ cmd: 'puback', messageId: 2 });
    expect(textAndId(await subscriber.next('publish'))).toBe('queued 4');
    await publish(1, 'queued 2');
    await broker.restart('stop');
    const again = await connect('subscriber');
    expect(await drained(again, textAndId)).toEqual(['one 1', 'three 3', 'queued 4', 'queued 2 5']);
  });

  test('after an orderly stop a late PUBACK confirms the message that it is for, and no other', async () => {
    await start({ limits: { inflight: 2 } });
    const subscriber = await subscribed(1);
    await publish(1, 'answered', 'seen', 'seen too', 'never seen');
    await subscriber.collect('publish', 2);
    subscriber.send({ cmd: 'puback', messageId: 1 });
    expect(textAndId(await subscriber.next('publish'))).toBe('seen too 3');
    await broker.restart('stop');
    const again = await connect('subscriber');
    for (const messageId of [2, 3]) again.send({ cmd: 'puback', messageId });
    expect(await drained(again, textAndId)).toEqual(['seen 2', 'seen too 3', 'never seen 4']);
  });

  test('they are facts until they are answered: also after a crash that follows', async () => {
    await start();
    const subscriber = await subscribed(1);
    await publish(1, 'one', 'two');
    await subscriber.collect('publish', 2);
    await broker.restart('stop');
    await broker.restart('kill');
    await publish(1, 'three');
    const again = await connect('subscriber');
    expect((await again.collect('publish', 2)).map(textAndId)).toEqual(['one 1', 'two 2']);
    again.send({ cmd: 'puback', messageId: 1 });
    expect((await again.next('publish')).messageId).not.toBe(2);
  });

  test('one that was answered is over, and its identifier is free: nothing is left of it at the next start', async () => {
    await start();
    const subscriber = await subscribed(1);
    await publish(1, 'one');
    await subscriber.next('publish');
    await broker.restart('stop');
    expect(await drained(await connect('subscriber'), textAndId)).toEqual(['one 1']);
    await broker.restart('stop');
    await broker.stop();
    await broker.startAgain();
    expect(await drained(await connect('subscriber'), textAndId)).toEqual([]);
  });

  test('after a kill no identifier that the client may still hold stands for another message', async () => {
    await start({ limits: { inflight: 3 } });
    const subscriber = await subscribed(1);
    await publish(1, 'seen 1', 'seen 2', 'seen 3', 'never seen 1', 'never seen 2', 'never seen 3');
    const held = (await subscriber.collect('publish', 3)).map(({ messageId }) => messageId);
    await broker.restart('kill');
    const again = await connect('subscriber');
    for (const messageId of held) again.send({ cmd: 'puback', messageId });
    const packets = await drained(again, (packet) => packet);
    expect(packets.map(text)).toEqual(['seen 1', 'seen 2', 'seen 3', 'never seen 1', 'never seen 2', 'never seen 3']);
    for (const { messageId } of packets) expect(held).not.toContain(messageId);
  });

  test('nor after more messages than the store is told of at once, and more than one kill', {
    timeout: 300_000,
  }, async () => {
    await start();
    const ids = new Set<number>();
    const subscriber = await subscribed(1);
    const publisher = await broker.connect({ version: 5 });
    for (let count = 0; count < 9_000; count += 500) {
      for (let i = 0; i < 500; i++) {
        const messageId = publisher.newId();
        publisher.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 1, retain: false, dup: false, messageId });
      }
      for (const { messageId } of await subscriber.collect('publish', 500)) {
        ids.add(messageId!);
        subscriber.send({ cmd: 'puback', messageId });
      }
      await publisher.collect('puback', 500);
    }
    expect(ids.size).toBe(9_000);
    for (let round = 1; round <= 3; round++) {
      await broker.restart('kill');
      const again = await connect('subscriber');
      await publish(1, `after kill ${round}`);
      let packet = await again.next('publish');
      while (text(packet) !== `after kill ${round}`) packet = await again.next('publish');
      expect(ids).not.toContain(packet.messageId);
      ids.add(packet.messageId!);
    }
  });
});

describe('DUP', () => {
  test.each(['stop', 'kill'] as const)(
    'what was queued while its client was away was never sent: no DUP after a %s [MQTT-3.3.1-3]',
    async (how) => {
      await start();
      await away(1);
      await publish(1, 'one', 'two', 'three');
      await broker.restart(how);
      expect(await drained(await connect('subscriber'), textAndDup)).toEqual(['one', 'two', 'three']);
    },
  );

  test('after an orderly stop only on what was in flight [MQTT-3.3.1-1] [MQTT-3.3.1-3]', async () => {
    await start({ limits: { inflight: 2 } });
    const subscriber = await subscribed(1);
    await publish(1, 'one', 'two', 'three', 'four');
    await subscriber.collect('publish', 2);
    subscriber.send({ cmd: 'puback', messageId: 1 });
    await subscriber.next('publish');
    await broker.restart('stop');
    expect(await drained(await connect('subscriber'), textAndDup)).toEqual(['two DUP', 'three DUP', 'four']);
  });

  test('after a kill, of a session that was away, on what had been sent before it left [MQTT-3.3.1-1] [MQTT-3.3.1-3]', async () => {
    await start({ limits: { inflight: 2 } });
    const subscriber = await subscribed(1);
    await publish(1, 'one', 'two', 'three');
    await subscriber.collect('publish', 2);
    await subscriber.disconnect();
    await publish(1, 'four');
    await broker.restart('kill');
    await broker.restart('kill');
    await broker.restart('stop');
    expect(await drained(await connect('subscriber'), textAndDup)).toEqual(['one DUP', 'two DUP', 'three', 'four']);
  });

  test('after a kill, of a session that was connected, on all that it may have been sent [MQTT-3.3.1-1]', async () => {
    await start();
    const subscriber = await subscribed(1);
    await publish(1, 'one', 'two');
    await subscriber.collect('publish', 2);
    await broker.restart('kill');
    await publish(1, 'three');
    expect(await drained(await connect('subscriber'), textAndDup)).toEqual(['one DUP', 'two DUP', 'three']);
  });
});

test('sessions that format 2 has written go on: all that waits may have been sent, and identifiers go on behind those that are known', async () => {
  await start();
  const subscriber = await subscribed(2);
  await publish(2, 'exactly once');
  await subscriber.next('publish');
  await subscriber.disconnect();
  await publish(1, 'one', 'two');
  await broker.stop();
  await asFormat2(broker.directory);
  await broker.startAgain();
  const again = await connect('subscriber');
  const found = (await again.collect('publish', 3)).map((packet) => `${textAndDup(packet)} ${packet.messageId}`);
  expect(found).toEqual(['exactly once DUP 1', 'one DUP 2', 'two DUP 3']);
});

/** The records are as format 2 had them. */
async function asFormat2(directory: string): Promise<void> {
  const db = new Level<Buffer, Buffer>(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  const writer = new ByteWriter();
  await db.put(Buffer.of(Prefix.format), Buffer.from(writer.begin().varint(2).finish()));
  for await (const [at, value] of db.iterator({ gte: Buffer.of(Prefix.session), lt: Buffer.of(Prefix.session + 1) })) {
    const session = { ...readSession(value, numberOf(at)), progress: null };
    await db.put(at, Buffer.from(writeSession(writer, session)));
  }
  await db.close();
}

describe('the limit of a queue', () => {
  const limits = { inflight: 2, queueMessages: 3 };

  test('after an orderly stop what is in flight does not count: one message makes room for one', async () => {
    await start({ limits });
    const subscriber = await subscribed(1);
    await publish(1, 'sent 1', 'sent 2', 'queued 1', 'queued 2', 'queued 3');
    await subscriber.collect('publish', 2);
    await broker.restart('stop');
    await publish(1, 'new');
    expect(broker.broker.counters.dropped.queueFull).toBe(1);
    const again = await connect('subscriber');
    expect(await taken(again, 5, text)).toEqual(['sent 1', 'sent 2', 'queued 2', 'queued 3', 'new']);
    expect(await drained(again, text)).toEqual([]);
  });

  test('after a kill what may have been in flight gives way one for one, too', async () => {
    await start({ limits });
    const subscriber = await subscribed(1);
    await publish(1, 'sent 1', 'sent 2', 'queued 1', 'queued 2', 'queued 3');
    await subscriber.collect('publish', 2);
    await broker.restart('kill');
    await publish(1, 'new 1', 'new 2');
    expect(broker.broker.counters.dropped.queueFull).toBe(2);
    const subscriberAgain = await connect('subscriber');
    await subscriberAgain.collect('publish', 2);
    // What is in flight again does not count again: the queue has its three, and no more.
    await publish(1, 'new 3');
    expect(broker.broker.counters.dropped.queueFull).toBe(3);
  });
});

describe('session expiry', () => {
  test('counts from the moment at which the connection was lost, also if the broker is killed right after [MQTT5 3.1.2-23]', async () => {
    let now = 1_800_000_000_000;
    // Nothing but the turn itself may be what writes it down.
    await start({ clock: { now: () => now }, hasTicks: false });
    const subscriber = await connect('subscriber', { properties: { sessionExpiryInterval: 2 } });
    const isGone = new Promise<void>((resolve) => void broker.broker.events.on('disconnected', () => resolve()));
    await subscriber.vanish();
    await isGone;
    await vi.waitFor(() => expect(broker.store.isDurable).toBe(true), 10_000);
    await broker.kill();
    now += 3_000;
    await broker.startAgain();
    const again = await connect('subscriber');
    expect(again.connack?.sessionPresent).toBe(false);
  });
});
