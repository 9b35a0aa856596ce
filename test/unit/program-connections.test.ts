/** Connections that a program brings to its broker, with MQTT.js at their other end. */
import { type EventEmitter, once } from 'node:events';
import { createServer as createHttpServer, get, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type Duplex, duplexPair, PassThrough } from 'node:stream';
import mqtt, { type MqttClient } from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type BrokerOptions, type ConfigInput, createBroker, type SluiceBroker } from '../../src/index.ts';

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function aBroker(options: Omit<BrokerOptions, 'config'> = {}): Promise<SluiceBroker> {
  const config: ConfigInput = {
    ...{ listeners: [], store: { kind: 'memory' }, log: { level: 'silent' }, shutdownSeconds: 1 },
  };
  const broker = await createBroker({ config, ...options });
  closers.push(() => broker.close());
  return broker;
}

/** MQTT.js has event emitters of its own types. */
const eventOf = (client: MqttClient, name: string) => once(client as unknown as EventEmitter, name);

/** A client of MQTT.js over this stream, once it is connected. */
async function connectedOver(stream: Duplex, options: mqtt.IClientOptions = {}): Promise<MqttClient> {
  const client = new mqtt.MqttClient(() => stream as never, { reconnectPeriod: 0, ...options });
  closers.push(() => client.endAsync(true));
  await eventOf(client, 'connect');
  return client;
}

async function connectedTo(url: string): Promise<MqttClient> {
  const client = mqtt.connect(url, { reconnectPeriod: 0 });
  closers.push(() => client.endAsync(true));
  await eventOf(client, 'connect');
  return client;
}

async function listening(server: HttpServer | ReturnType<typeof createServer>): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    if ('closeAllConnections' in server) server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** What the client gets for this topic filter, once it has subscribed. */
async function messagesOf(client: MqttClient, filter: string): Promise<{ topic: string; payload: string }[]> {
  const got: { topic: string; payload: string }[] = [];
  client.on('message', (topic, payload) => got.push({ topic, payload: payload.toString() }));
  await client.subscribeAsync(filter, { qos: 1 });
  return got;
}

test.each([4, 5] as const)('a client of MQTT %i publishes and subscribes over a pair of streams', async (version) => {
  const broker = await aBroker();
  expect(broker.listeners).toEqual([]);
  const [near, far] = duplexPair();
  broker.handle(far);
  const client = await connectedOver(near, { protocolVersion: version, clientId: 'near' });
  const got = await messagesOf(client, 'a/#');

  await client.publishAsync('a/1', 'first', { qos: 2 });
  await broker.publish('a/2', 'x'.repeat(300_000), { qos: 1 });

  await expect
    .poll(() => got)
    .toEqual([
      { topic: 'a/1', payload: 'first' },
      { topic: 'a/2', payload: 'x'.repeat(300_000) },
    ]);
  const [connection] = (await broker.view.connections({})).items;
  expect(connection).toMatchObject({ clientId: 'near', transport: 'stream', address: 'stream:0' });
});

test('what is written to a stream that keeps what it was given is not overwritten by what follows', async () => {
  const broker = await aBroker();
  const [near, far] = duplexPair();
  broker.handle(far);
  const client = await connectedOver(near);
  const got = await messagesOf(client, 'n');

  for (let i = 0; i < 200; i++) await broker.publish('n', `${i} ${'.'.repeat(i * 10)}`);

  await expect.poll(() => got.length).toBe(200);
  expect(got.map(({ payload }) => Number.parseInt(payload, 10))).toEqual(Array.from({ length: 200 }, (_, i) => i));
});

test('a program hands over the sockets of its own server, which have their address', async () => {
  const broker = await aBroker();
  const server = createServer((socket) => broker.handle(socket));
  const port = await listening(server);

  const client = await connectedTo(`mqtt://127.0.0.1:${port}`);
  await client.publishAsync('a', 'b', { qos: 1 });

  const [connection] = (await broker.view.connections({})).items;
  expect(connection).toMatchObject({ transport: 'tcp', address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) });
});

test('a socket of which the program has read is handed over with what it puts back', async () => {
  const broker = await aBroker();
  const server = createServer((socket: Socket) => {
    socket.once('data', (bytes) => {
      socket.pause();
      socket.unshift(bytes);
      broker.handle(socket);
    });
  });
  const client = await connectedTo(`mqtt://127.0.0.1:${await listening(server)}`);
  await client.publishAsync('a', 'b', { qos: 1 });
});

test('both ends of a stream see the other one close', async () => {
  const gone: string[] = [];
  const broker = await aBroker({ on: { disconnected: ({ clientId }) => gone.push(clientId) } });
  const [near, far] = duplexPair();
  broker.handle(far);
  const client = await connectedOver(near, { clientId: 'first' });
  await client.endAsync();
  await expect.poll(() => gone).toEqual(['first']);

  const [second, other] = duplexPair();
  broker.handle(other);
  const staying = await connectedOver(second, { clientId: 'second', protocolVersion: 5 });
  const disconnected = eventOf(staying, 'disconnect');
  await broker.close();
  expect((await disconnected)[0]).toMatchObject({ reasonCode: 0x8b });
  await expect.poll(() => other.destroyed).toBe(true);
});

test('what is no stream of bytes is refused, with the reason', async () => {
  const broker = await aBroker();
  const ended = new PassThrough();
  ended.destroy();
  expect(() => broker.handle({} as never)).toThrow('handle: expected a Duplex stream, such as a socket');
  expect(() => broker.handle(ended)).toThrow('handle: the stream has ended; hand it over when it comes');
  expect(() => broker.handle(new PassThrough({ objectMode: true }))).toThrow('in object mode');
  expect(() => broker.handle(new PassThrough().setEncoding('utf8') as never)).toThrow('setEncoding');
  expect(() => broker.handle(new PassThrough(), { address: 'a' } as never)).toThrow('address');
});

test('without authentication, only this machine may connect by what a program brings', async () => {
  const broker = await aBroker();
  const [, far] = duplexPair();
  broker.handle(far, { remoteAddress: '192.0.2.7:1000' });
  await expect.poll(() => far.destroyed).toBe(true);

  const asked = await aBroker({ hooks: { authenticate: () => ({ outcome: 'accept' }) } });
  const [near, other] = duplexPair();
  asked.handle(other, { remoteAddress: '192.0.2.7:1000' });
  await connectedOver(near);
  expect((await asked.view.connections({})).items[0]).toMatchObject({ address: '192.0.2.7:1000' });
});

test('clients without an address share no limit of addresses', async () => {
  const config: ConfigInput = {
    ...{ listeners: [], store: { kind: 'memory' }, log: { level: 'silent' }, shutdownSeconds: 1 },
    limits: { connectionsPerAddress: 1 },
  };
  const broker = await createBroker({ config });
  closers.push(() => broker.close());
  for (const clientId of ['a', 'b', 'c']) {
    const [near, far] = duplexPair();
    broker.handle(far);
    await connectedOver(near, { clientId });
  }
});

test('configured authentication is asked about streams as well', async () => {
  const rights: string[] = [];
  const broker = await aBroker({
    hooks: {
      authenticate: ({ client, password }) => {
        rights.push(`${client.listener} ${client.username}`);
        return password?.toString() === 'right' ? { outcome: 'accept' } : { outcome: 'refuse', reasonCode: 0x86 };
      },
    },
  });
  const [near, far] = duplexPair();
  broker.handle(far);
  const client = new mqtt.MqttClient(() => near as never, { reconnectPeriod: 0, username: 'ann', password: 'wrong' });
  closers.push(() => client.endAsync(true));
  const [error] = (await eventOf(client, 'error')) as [mqtt.ErrorWithReasonCode];
  expect(error.code).toBe(4);
  expect(rights).toEqual(['stream://program ann']);
});

test('MQTT is at a path of an HTTP server that goes on serving all else', async () => {
  const broker = await aBroker();
  const server = createHttpServer((_request, response) => response.end('a page'));
  const attachment = broker.attach(server, { path: '/live/mqtt' });
  expect(attachment.url).toBe('ws://attached/live/mqtt');
  const port = await listening(server);

  const client = await connectedTo(`ws://127.0.0.1:${port}/live/mqtt`);
  const got = await messagesOf(client, 'a');
  await client.publishAsync('a', 'over HTTP', { qos: 1 });

  await expect.poll(() => got).toEqual([{ topic: 'a', payload: 'over HTTP' }]);
  const [response] = (await once(get(`http://127.0.0.1:${port}/`), 'response')) as [IncomingMessage];
  expect((await response.toArray()).join('')).toBe('a page');
  const lost = new WebSocket(`ws://127.0.0.1:${port}/elsewhere`, 'mqtt');
  expect(((await once(lost, 'error')) as [Error])[0].message).toContain('404');
});

test('a WebSocket of another path is left to the listener of the program that knows it', async () => {
  const broker = await aBroker();
  const server = createHttpServer();
  broker.attach(server);
  server.on('upgrade', (request, socket) => {
    if (request.url === '/own') socket.end('HTTP/1.1 418 Mine\r\nConnection: close\r\n\r\n');
  });
  const port = await listening(server);
  const own = new WebSocket(`ws://127.0.0.1:${port}/own`);
  expect(((await once(own, 'error')) as [Error])[0].message).toContain('418');
  await connectedTo(`ws://127.0.0.1:${port}/mqtt`);
});

test('what is attached no more takes no connection, and keeps those there are', async () => {
  const broker = await aBroker();
  const server = createHttpServer();
  const attachment = broker.attach(server);
  const port = await listening(server);
  const client = await connectedTo(`ws://127.0.0.1:${port}/mqtt`);

  attachment.close();

  expect(server.listenerCount('upgrade')).toBe(0);
  await client.publishAsync('a', 'still here', { qos: 1 });
  expect(() => broker.attach(server, { path: 'mqtt' })).toThrow('attach: the path "mqtt" does not begin with /');
  expect(() => broker.attach(server, { pingIntervalSeconds: 0 })).toThrow('not within 1 and 3600');
  expect(() => broker.attach(server, { trustedProxies: ['x'] })).toThrow('x is no address or network');
});
