/** MQTT over WebSocket: chapter 6, and 4.2. */
import { once } from 'node:events';
import { generate } from 'mqtt-packet';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createBroker, type SluiceBroker } from '../../src/index.ts';

let broker: SluiceBroker;
let url = '';
beforeAll(async () => {
  broker = await createBroker({
    config: { listeners: [{ kind: 'ws', port: 0 }], log: { level: 'silent' }, store: { kind: 'memory' } },
  });
  url = broker.listeners[0]!.url;
});
afterAll(() => broker.close());

const connectPacket = generate({
  cmd: 'connect',
  protocolId: 'MQTT',
  protocolVersion: 4,
  clientId: 'ws',
  clean: true,
  keepalive: 0,
});
const pingreq = generate({ cmd: 'pingreq' });

async function opened(protocols: string[] = ['mqtt']): Promise<WebSocket> {
  const socket = new WebSocket(url, protocols);
  await once(socket, 'open');
  return socket;
}

/** All binary data that comes, until there are so many bytes. */
async function receive(socket: WebSocket, length: number): Promise<string> {
  let bytes = Buffer.alloc(0);
  // Several may come in one go.
  const keep = (data: Buffer, isBinary: boolean) => {
    expect(isBinary).toBe(true);
    bytes = Buffer.concat([bytes, data]);
  };
  socket.on('message', keep);
  await expect.poll(() => bytes.length >= length).toBe(true);
  socket.off('message', keep);
  return bytes.toString('hex');
}

test('a text frame closes the connection, and ours are binary [MQTT5 6.0.0-1] [MQTT3 6.0.0-1]', async () => {
  const socket = await opened();
  socket.send(connectPacket);
  expect(await receive(socket, 4)).toBe('20020000');
  socket.send('text');
  const [code] = await once(socket, 'close');
  expect(code).toBe(1003);
});

test('packets may be cut anywhere and share a frame [MQTT5 6.0.0-2] [MQTT3 6.0.0-2] [MQTT5 4.2-1] [MQTT3 7.1.1-1]', async () => {
  const socket = await opened();
  const all = Buffer.concat([connectPacket, pingreq, pingreq]);
  for (const byte of all.subarray(0, 7)) socket.send(Buffer.from([byte]));
  socket.send(all.subarray(7));
  expect(await receive(socket, 8)).toBe('20020000d000d000');
  socket.terminate();
});

test('each packet of ours is a frame of its own, for clients that cannot do with several in one [MQTT5 6.0.0-2] [MQTT3 6.0.0-2]', async () => {
  const socket = await opened();
  const frames: string[] = [];
  socket.on('message', (message: Buffer) => void frames.push(message.toString('hex')));
  socket.send(Buffer.concat([connectPacket, pingreq, pingreq, Buffer.from('82060001000161008206000200016200', 'hex')]));
  await expect.poll(() => frames.join('')).toBe('20020000d000d00090030001009003000200');
  expect(frames).toEqual(['20020000', 'd000', 'd000', '9003000100', '9003000200']);
  socket.terminate();
});

test('a client that does not offer "mqtt" is turned away [MQTT5 6.0.0-3] [MQTT3 6.0.0-3]', async () => {
  for (const protocols of [[], ['chat']]) {
    const socket = new WebSocket(url, protocols);
    const [, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(400);
    response.destroy();
  }
});

test('the sub-protocol that is returned is "mqtt" [MQTT5 6.0.0-4] [MQTT3 6.0.0-4]', async () => {
  const socket = await opened(['mqttv3.1', 'chat', 'mqtt']);
  expect(socket.protocol).toBe('mqtt');
  socket.terminate();
});
