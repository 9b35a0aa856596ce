/** The shape of Aedes: what a program that was written for it relies on, with MQTT.js as its clients. */
import { type EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import {
  Aedes,
  type AedesOptions,
  type AedesPublishPacket,
  type Client,
  createBroker,
} from '../../../src/aedes/index.ts';

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function listening(options: AedesOptions = {}): Promise<{ aedes: Aedes; url: string }> {
  const aedes = await createBroker(options);
  const server = createServer(aedes.handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.close();
    return new Promise<void>((resolve) => aedes.close(resolve));
  });
  return { aedes, url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** MQTT.js and Aedes have event emitters of their own types. */
const eventOf = (emitter: unknown, name: string): Promise<unknown[]> => once(emitter as EventEmitter, name);

function client(url: string, options: IClientOptions = {}): MqttClient {
  const opened = mqtt.connect(url, { reconnectPeriod: 0, ...options });
  opened.on('error', () => {});
  closers.push(() => opened.endAsync(true));
  return opened;
}

async function connected(url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const opened = client(url, options);
  await eventOf(opened, 'connect');
  return opened;
}

const textOf = ({ payload }: { payload: Buffer | string }) => payload.toString();

test.each([4, 5] as const)(
  'clients of MQTT %i reach each other and the program, and it reaches them',
  async (version) => {
    const { aedes, url } = await listening();
    const atProgram: AedesPublishPacket[] = [];
    aedes.subscribe('a/#', (packet, done) => {
      atProgram.push(packet);
      done();
    });
    const one = await connected(url, { protocolVersion: version, clientId: 'one' });
    const two = await connected(url, { protocolVersion: version, clientId: 'two' });
    const got: string[] = [];
    two.on('message', (topic, payload) => got.push(`${topic} ${payload}`));
    await two.subscribeAsync('a/+', { qos: 2 });

    for (const qos of [0, 1, 2] as const) await one.publishAsync(`a/${qos}`, `of QoS ${qos}`, { qos });
    await new Promise((resolve) => aedes.publish({ topic: 'a/3', payload: 'of the program', qos: 1 }, resolve));

    await expect
      .poll(() => got.toSorted())
      .toEqual(['a/0 of QoS 0', 'a/1 of QoS 1', 'a/2 of QoS 2', 'a/3 of the program']);
    expect(atProgram.map((packet) => [packet.clientId, textOf(packet), packet.qos])).toEqual([
      ['one', 'of QoS 0', 0],
      ['one', 'of QoS 1', 1],
      ['one', 'of QoS 2', 2],
      [undefined, 'of the program', 1],
    ]);
    expect(atProgram[0]).toMatchObject({ cmd: 'publish', brokerId: aedes.id, retain: false });
    expect([aedes.connectedClients, Object.keys(aedes.clients)]).toEqual([2, ['one', 'two']]);
  },
);

test('properties of MQTT 5 go through, to clients and to the program', async () => {
  const { aedes, url } = await listening();
  const atProgram: AedesPublishPacket[] = [];
  aedes.subscribe('p', (packet) => atProgram.push(packet));
  const one = await connected(url, { protocolVersion: 5 });
  await one.subscribeAsync('p');
  const message = eventOf(one, 'message');
  const properties = { contentType: 'text/plain', userProperties: { site: 'north' } };

  await one.publishAsync('p', 'x', { properties });

  expect((await message)[2]).toMatchObject({ properties });
  await expect.poll(() => atProgram[0]?.properties).toMatchObject({ contentType: 'text/plain' });
});

test('preConnect and authenticate decide who comes in, with the return codes of Aedes', async () => {
  const errors: string[] = [];
  const { aedes, url } = await listening({
    preConnect: (_client, packet, done) =>
      packet.clientId === 'banned' ? done(new Error('not today')) : done(null, true),
    authenticate: (_client, username, password, done) => {
      if (username === 'ann' && password?.toString() === 'right') return done(null, true);
      done(Object.assign(new Error('unknown'), { returnCode: 4 }), null);
    },
  });
  aedes.on('connectionError', (each, error) => errors.push(`connectionError ${each.id} ${error.message}`));
  aedes.on('clientError', (each, error) => errors.push(`clientError ${each.id} ${error.message}`));

  await connected(url, { clientId: 'a', username: 'ann', password: 'right' });
  const refused = client(url, { clientId: 'b', username: 'ann', password: 'wrong' });
  const [error] = (await eventOf(refused, 'error')) as [{ code: number }];
  await eventOf(client(url, { clientId: 'banned' }), 'close');
  const [newer] = (await eventOf(client(url, { clientId: 'c', protocolVersion: 5 }), 'error')) as [{ code: number }];

  expect([error.code, newer.code]).toEqual([4, 0x86]);
  await expect
    .poll(() => errors)
    .toEqual(['clientError b unknown', 'connectionError null not today', 'clientError c unknown']);
  expect(aedes.connectedClients).toBe(1);
});

test('a handler that throws keeps the client out', async () => {
  const { aedes, url } = await listening({
    authenticate: () => {
      throw new Error('a bug of the program');
    },
  });
  const failed = eventOf(aedes, 'clientError');
  await eventOf(client(url), 'error');
  expect((await failed)[1]).toMatchObject({ message: 'a bug of the program' });
});

test('authorizePublish changes a message, and one that it refuses costs the connection', async () => {
  const { aedes, url } = await listening({
    authorizePublish: (_client, packet, done) => {
      if (packet.topic === 'forbidden') return done(new Error('not yours'));
      packet.payload = Buffer.from(`${packet.payload.toString()}!`);
      done(null);
    },
  });
  const one = await connected(url, { clientId: 'one' });
  await one.subscribeAsync('a');
  const message = eventOf(one, 'message');
  await one.publishAsync('a', 'hear', { qos: 1 });
  expect(String((await message)[1])).toBe('hear!');

  const failed = eventOf(aedes, 'clientError');
  one.publish('forbidden', 'x');
  await eventOf(one, 'close');
  expect((await failed)[1]).toMatchObject({ message: 'not yours' });
});

test('authorizeSubscribe grants, changes and negates, filter by filter', async () => {
  const { aedes, url } = await listening({
    authorizeSubscribe: (_client, subscription, done) => {
      if (subscription.topic === 'other') return done(null, { ...subscription, topic: 'own' });
      done(null, subscription.topic === 'secret' ? null : subscription);
    },
  });
  const told = eventOf(aedes, 'subscribe');
  const one = await connected(url, { protocolVersion: 5 });
  const granted = await one.subscribeAsync({ a: { qos: 1 }, secret: { qos: 1 }, other: { qos: 0 } }).catch(() => null);

  expect(granted === null || granted.map(({ qos }) => qos)).toBeTruthy();
  expect((await told)[0]).toMatchObject([
    { topic: 'a', qos: 1 },
    { topic: 'secret', qos: 128 },
    { topic: 'other', qos: 0 },
  ]);
  const { items } = await aedes.sluice.view.subscriptions({});
  expect(items.map(({ topicFilter }) => topicFilter).toSorted()).toEqual(['a', 'own']);
});

test.each([0, 1, 2] as const)(
  'authorizeForward keeps QoS %i from one client and changes it for another',
  async (qos) => {
    const { aedes, url } = await listening({
      authorizeForward: (each, packet) => {
        if (each.id === 'blind') return null;
        return { ...packet, payload: Buffer.from(`for ${each.id}`) };
      },
    });
    const got: string[] = [];
    for (const clientId of ['blind', 'seeing']) {
      const each = await connected(url, { clientId });
      each.on('message', (_topic, payload) => got.push(`${clientId}: ${payload}`));
      await each.subscribeAsync('a', { qos: 2 });
    }
    for (let i = 0; i < 3; i++) aedes.publish({ topic: 'a', payload: 'x', qos });

    await expect.poll(() => got).toEqual(Array(3).fill('seeing: for seeing'));
    // What was kept back is not in flight, and does not come later.
    await expect.poll(async () => (await aedes.sluice.clients.show({ clientId: 'blind' })).inFlight).toBe(0);
  },
);

test('events tell of a client from its connection to its end, in the order of Aedes', async () => {
  const { aedes, url } = await listening();
  const told: string[] = [];
  for (const name of ['client', 'clientReady', 'clientDisconnect'] as const) {
    aedes.on(name, (each) => told.push(`${name} ${each.id}`));
  }
  aedes.on('connackSent', ({ returnCode }) => told.push(`connackSent ${returnCode}`));
  aedes.on('subscribe', (subscriptions) => told.push(`subscribe ${subscriptions.map(({ topic }) => topic)}`));
  aedes.on('unsubscribe', (topics) => told.push(`unsubscribe ${topics}`));
  aedes.on('publish', ({ topic }, each) => each !== null && told.push(`publish ${topic} of ${each.id}`));
  aedes.on('ack', (packet) => told.push(`ack ${(packet as AedesPublishPacket)?.topic}`));
  const ready = eventOf(aedes, 'clientReady');
  const one = await connected(url, { clientId: 'one', clean: false });
  await ready;
  await one.subscribeAsync('a', { qos: 1 });
  await one.publishAsync('a', 'x', { qos: 1 });
  await expect.poll(() => told.at(-1)).toBe('ack a');
  await one.unsubscribeAsync('a');
  await one.endAsync();
  await expect
    .poll(() => told)
    .toEqual([
      ...['client one', 'connackSent 0', 'clientReady one', 'subscribe a', 'publish a of one', 'ack a'],
      ...['unsubscribe a', 'clientDisconnect one'],
    ]);
});

test('$SYS topics of Aedes reach subscribers in the program', async () => {
  const { aedes, url } = await listening({ id: 'node-1', heartbeatInterval: 20 });
  const got = new Map<string, string>();
  aedes.subscribe('$SYS/#', (packet) => void got.set(packet.topic, textOf(packet)));
  const one = await connected(url, { clientId: 'one' });
  await one.endAsync();
  await expect.poll(() => got.get('$SYS/node-1/disconnect/clients')).toBe('one');
  expect(got.get('$SYS/node-1/new/clients')).toBe('one');
  await expect.poll(() => got.get('$SYS/node-1/heartbeat')).toBe('node-1');
});

test('a client of the program subscribes, is written to alone, and is closed', async () => {
  const { aedes, url } = await listening();
  const joined = eventOf(aedes, 'client');
  const one = await connected(url, { clientId: 'one' });
  const [each] = (await joined) as [Client];
  const got: string[] = [];
  one.on('message', (topic, payload) => got.push(`${topic} ${payload}`));

  await new Promise((resolve) => each.subscribe({ topic: 'given', qos: 1 }, resolve));
  await new Promise((resolve) => each.publish({ topic: 'alone', payload: 'for one', qos: 2 }, resolve));
  aedes.publish({ topic: 'given', payload: 'by subscription', qos: 1 });
  await expect.poll(() => got.toSorted()).toEqual(['alone for one', 'given by subscription']);
  await new Promise((resolve) => each.unsubscribe({ topic: 'given', qos: 0 }, resolve));
  expect(Object.keys(each.subscriptions)).toEqual([]);

  each.close();
  await eventOf(one, 'close');
  expect([each.closed, each.connected, aedes.connectedClients]).toEqual([true, false, 0]);
});

test('a will is asked about, and published with its client', async () => {
  const asked: string[] = [];
  const { aedes, url } = await listening({
    authorizePublish: (each, packet, done) => {
      asked.push(`${each?.id} ${packet.topic}`);
      done(packet.topic === 'will/refused' ? new Error('no') : null);
    },
  });
  const got: string[] = [];
  aedes.subscribe('will/#', ({ topic }) => void got.push(topic));
  for (const name of ['refused', 'allowed']) {
    const each = await connected(url, {
      clientId: name,
      will: { topic: `will/${name}`, payload: Buffer.from('gone') },
    });
    each.stream.destroy();
    await expect.poll(() => asked).toContain(`${name} will/${name}`);
  }
  await expect.poll(() => got).toEqual(['will/allowed']);
});

test('sessions, their queues and retained messages outlive the broker with a store on disk', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-aedes-'));
  closers.push(() => rm(directory, { recursive: true }));
  const config = { store: { kind: 'level', directory } } as const;
  const first = await listening({ config });
  const before = await connected(first.url, { clientId: 'stays', clean: false });
  await before.subscribeAsync('a', { qos: 1 });
  await before.endAsync();
  await new Promise((resolve) => first.aedes.publish({ topic: 'a', payload: 'kept', qos: 1 }, resolve));
  await new Promise<void>((resolve) => first.aedes.close(resolve));

  const asked: string[] = [];
  const second = await listening({
    config,
    authorizeSubscribe: (_client, subscription, done) => {
      asked.push(subscription.topic);
      done(null, subscription);
    },
  });
  const after = client(second.url, { clientId: 'stays', clean: false });
  const message = eventOf(after, 'message');
  expect(((await eventOf(after, 'connect')) as [{ sessionPresent: boolean }])[0].sessionPresent).toBe(true);
  expect(String((await message)[1])).toBe('kept');
  expect(asked).toEqual(['a']);
});

test('a client that comes again takes the place of its first connection', async () => {
  const { aedes, url } = await listening();
  const gone: Client[] = [];
  aedes.on('clientDisconnect', (each) => gone.push(each));
  const first = await connected(url, { clientId: 'same' });
  const second = await connected(url, { clientId: 'same' });
  await expect.poll(() => first.connected).toBe(false);
  expect(second.connected).toBe(true);
  expect([gone.length, aedes.connectedClients]).toEqual([1, 1]);
});

test('a client that breaks the protocol is told of, and nobody else is disturbed', async () => {
  const { aedes, url } = await listening({ connectTimeout: 100, queueLimit: 2 });
  const errors: string[] = [];
  aedes.on('connectionError', (_client, error) => errors.push(error.message));
  const one = await connected(url);
  const silent = createConnection(Number(new URL(url).port), '127.0.0.1');
  closers.push(() => silent.destroy());
  await once(silent, 'close');
  const wrong = createConnection(Number(new URL(url).port), '127.0.0.1');
  wrong.on('error', () => {});
  wrong.write(Buffer.from([0xc0, 0x00]));
  await once(wrong, 'close');
  expect(errors).toEqual(['connect did not arrive in time', 'Invalid protocol']);
  await one.publishAsync('a', 'still here', { qos: 1 });
});

test('options that Sluice has something else for say what', () => {
  expect(() => new Aedes({ persistence: {} } as AedesOptions)).toThrow(
    'Aedes: Sluice has no option persistence: give `config: { store: { kind: "level", directory } }`',
  );
  expect(() => new Aedes({ mq: {} } as AedesOptions)).toThrow('Aedes: Sluice has no option mq');
  expect(() => new Aedes({ concurency: 1 } as AedesOptions)).toThrow('Aedes: there is no option concurency');
  expect(() => new Aedes().sluice).toThrow('The broker has not begun: await listen(), or use createBroker()');
});
