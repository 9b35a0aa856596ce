/** A Mosquitto that is full is stopped, its data moved over, and all its clients come back to Sluice. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createBroker, type SluiceBroker } from '../../src/index.ts';
import { sluice as command } from '../support/fake-io.ts';
import { hasMosquitto, startMosquitto } from '../support/mosquitto.ts';
import { type ConnectOptions, type Received, WireClient } from '../support/wire-client.ts';

const properties = {
  userProperties: { site: 'north' },
  contentType: 'text/plain',
  responseTopic: 'answers/1',
  correlationData: Buffer.from([0, 255]),
};
const five = { version: 5, clientId: 'five', clean: false, properties: { sessionExpiryInterval: 3_600 } } as const;
const old = (clientId: string): ConnectOptions => ({ clientId, clean: false });

/** Connects, subscribes, leaves. */
async function subscribeAndLeave(port: number, options: ConnectOptions, filter: string, more = {}): Promise<void> {
  const client = await WireClient.connect(port, options);
  await client.subscribe(filter, { qos: 2 }, more);
  await client.disconnect();
}

/** Gets messages, answers one of them half, and breaks off. */
async function leaveInFlight(port: number): Promise<void> {
  const slow = await WireClient.connect(port, old('slow'));
  await slow.subscribe('s/#', { qos: 2 });
  const publisher = await WireClient.connect(port);
  await publisher.publish('s/1', 'first', { qos: 2 });
  await publisher.publish('s/2', 'second', { qos: 2 });
  await publisher.publish('s/3', 'third', { qos: 1 });
  await publisher.publish('s/4', 'fourth', { qos: 1 });
  const [, second] = await slow.collect('publish', 3);
  slow.send({ cmd: 'pubrec', messageId: second!.messageId });
  await slow.next('pubrel');
  await slow.vanish();
  await publisher.disconnect();
}

async function fill(port: number): Promise<void> {
  await subscribeAndLeave(port, old('sleeper'), 'a/#');
  await subscribeAndLeave(port, five, 'a/1', { subscriptionIdentifier: 7 });
  await leaveInFlight(port);
  const publisher = await WireClient.connect(port, { version: 5, clientId: 'publisher' });
  for (const payload of ['1', '2', '3', '4']) {
    await publisher.publish('a/1', payload, { qos: 1, properties: { ...properties, messageExpiryInterval: 1_000 } });
  }
  await publisher.publish('a/2', Buffer.alloc(100_000, 'x'), { qos: 2 });
  await publisher.publish('kept/1', 'retained', { qos: 1, retain: true, properties });
  await publisher.publish('a/kept', 'both', { qos: 2, retain: true });
  await publisher.disconnect();
  // It has published a message of QoS 2 and not released it, so nobody has got it yet.
  const sender = await WireClient.connect(port, old('sender'));
  sender.send({ cmd: 'publish', topic: 'a/late', payload: 'late', qos: 2, messageId: 9 });
  await sender.next('pubrec');
  await sender.vanish();
}

const inShort = ({ topic, qos, payload }: Received) => [topic, qos, payload!.toString().slice(0, 6)];

describe.runIf(hasMosquitto)('of a Mosquitto that was moved over', () => {
  let directory: string;
  let broker: SluiceBroker;
  let told = '';
  const port = () => broker.listeners[0]!.port;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'sluice-moved-'));
    const lines = ['allow_anonymous true', 'persistence true', `persistence_location ${directory}/`];
    const mosquitto = await startMosquitto(directory, [...lines, 'max_inflight_messages 3']);
    await fill(mosquitto.port).finally(() => mosquitto.stop());
    const [file, data] = [join(directory, 'mosquitto.db'), join(directory, 'data')];
    const { code, err, out } = await command('import', 'mosquitto', '--data', file, '--to', data);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    told = out;
    broker = await createBroker({
      config: {
        listeners: [{ kind: 'tcp', port: 0 }],
        log: { level: 'silent' },
        store: { kind: 'level', directory: data },
      },
    });
  });
  afterAll(async () => {
    await broker.close();
    rmSync(directory, { recursive: true });
  });

  test('it is told what came over', () => {
    expect(told).toMatch(
      /4 sessions with 3 subscriptions\n.* 15 messages that wait .*, 3 of them sent .*\n.* 2 retained/,
    );
    expect(told).not.toContain('left out');
    expect(told).not.toContain('if it still runs');
  });

  test('a client gets all that waited for it, in order, and what nobody had got yet', async () => {
    const sleeper = await WireClient.connect(port(), old('sleeper'));
    expect(sleeper.connack!.sessionPresent).toBe(true);
    const found: Received[] = [];
    while (found.length < 7) {
      const packet = await sleeper.next();
      if (packet.cmd !== 'publish') continue;
      found.push(packet);
      sleeper.send({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId: packet.messageId });
    }
    expect(found.map(inShort)).toEqual([
      ...['1', '2', '3', '4'].map((payload) => ['a/1', 1, payload]),
      ['a/2', 2, 'xxxxxx'],
      ['a/kept', 2, 'both'],
      ['a/late', 2, 'late'],
    ]);
    expect(found[4]!.payload).toEqual(Buffer.alloc(100_000, 'x'));
    await sleeper.end();
  });

  test('a client of MQTT 5 gets properties, its subscription identifier, and what is left of the expiry', async () => {
    const client = await WireClient.connect(port(), five);
    expect(client.connack!.sessionPresent).toBe(true);
    const found = await client.collect('publish', 4);
    expect(found.map(inShort)).toEqual(['1', '2', '3', '4'].map((payload) => ['a/1', 1, payload]));
    for (const { properties: got } of found) {
      expect(got).toMatchObject({ ...properties, subscriptionIdentifier: 7 });
      expect(got!.messageExpiryInterval).toBeGreaterThan(800);
      expect(got!.messageExpiryInterval).toBeLessThanOrEqual(1_000);
    }
    await client.end();
  });

  test('exchanges that were under way go on where they were', async () => {
    const slow = await WireClient.connect(port(), old('slow'));
    const resent = [await slow.next(), await slow.next(), await slow.next()];
    expect(resent.map(({ cmd, messageId, dup, payload }) => [cmd, messageId, dup, payload?.toString()])).toEqual([
      ['publish', 1, true, 'first'],
      ['pubrel', 2, false, undefined],
      ['publish', 3, true, 'third'],
    ]);
    const fourth = await slow.next('publish');
    expect([fourth.payload!.toString(), fourth.dup]).toEqual(['fourth', false]);
    slow.send({ cmd: 'pubcomp', messageId: 2 });
    await slow.acknowledge(resent[0]!);
    await slow.acknowledge(resent[2]!);
    await slow.acknowledge(fourth);
    await slow.nothingElse();
    await slow.disconnect();
  });

  test('a message that its client releases now is not published twice', async () => {
    const sender = await WireClient.connect(port(), old('sender'));
    sender.send({ cmd: 'publish', topic: 'a/late', payload: 'late', qos: 2, messageId: 9, dup: true });
    await sender.next('pubrec');
    sender.send({ cmd: 'pubrel', messageId: 9 });
    await sender.next('pubcomp');
    await sender.disconnect();
    const sleeper = await WireClient.connect(port(), old('sleeper'));
    const again = (await sleeper.collect('pubrel', 3)).length;
    expect(again).toBe(3);
    await sleeper.nothingElse();
    await sleeper.end();
  });

  test('retained messages are there, with their properties', async () => {
    const client = await WireClient.connect(port(), { version: 5 });
    await client.subscribe('#', { qos: 2 });
    const found = await client.collect('publish', 2);
    expect(found.map(({ topic, retain }) => [topic, retain]).sort()).toEqual([
      ['a/kept', true],
      ['kept/1', true],
    ]);
    expect(found.find(({ topic }) => topic === 'kept/1')!.properties).toMatchObject(properties);
    await client.end();
  });

  test('subscriptions go on', async () => {
    const sleeper = await WireClient.connect(port(), old('sleeper'));
    const publisher = await WireClient.connect(port());
    await publisher.publish('a/new', 'news', { qos: 1 });
    const [message] = await sleeper.collect('publish', 1);
    expect(inShort(message!)).toEqual(['a/new', 1, 'news']);
    await sleeper.end();
    await publisher.disconnect();
  });
});
