/** A peer of a WebSocket of the API that is gone, or that asks for more answers than it reads. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { TextSocket } from '../../../src/net/text-socket.ts';

let server: ReturnType<typeof createServer>;
let peer: Socket;
let socket: TextSocket;

const handshake = [
  'GET / HTTP/1.1',
  ...['Host: a', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const upgraded = once(server, 'upgrade');
  peer = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {});
  peer.write(`${handshake.join('\r\n')}\r\n\r\n`);
  const [request, connection, head] = await upgraded;
  socket = await TextSocket.accept(request, connection, head);
  await once(peer, 'data');
});
afterEach(() => {
  vi.useRealTimers();
  peer.destroy();
  server.close();
});

const ping = Buffer.of(0x89, 0x00);
const maskedPong = Buffer.of(0x8a, 0x80, 0, 0, 0, 0);
const maskedPing = Buffer.of(0x89, 0x80, 0, 0, 0, 0);

test('a peer that answers no ping is gone by the next one', async () => {
  let isClosed = false;
  const closed = new Promise<void>((resolve) => socket.onClose(resolve)).then(() => (isClosed = true));
  vi.advanceTimersByTime(15_000);
  expect((await once(peer, 'data'))[0]).toEqual(ping);
  peer.write(maskedPong);
  await new Promise<void>((resolve) => {
    socket.onText = () => resolve();
    peer.write(Buffer.concat([Buffer.of(0x81, 0x81, 0, 0, 0, 0), Buffer.from('x')]));
  });
  vi.advanceTimersByTime(15_000);
  expect((await once(peer, 'data'))[0]).toEqual(ping);
  expect(isClosed).toBe(false);
  vi.advanceTimersByTime(15_000);
  await closed;
});

test('pings are answered', async () => {
  peer.write(maskedPing);
  expect((await once(peer, 'data'))[0]).toEqual(Buffer.of(0x8a, 0x00));
});

test('one that asks for a thousand answers and reads none gets few', async () => {
  peer.pause();
  const sending = socket.send('x'.repeat(20_000_000));
  for (let i = 0; i < 1_000; i++) peer.write(maskedPing);
  const heard = new Promise<void>((resolve) => {
    socket.onText = () => resolve();
  });
  peer.write(Buffer.concat([Buffer.of(0x81, 0x81, 0, 0, 0, 0), Buffer.from('x')]));
  await heard;
  const chunks: Buffer[] = [];
  peer.on('data', (chunk: Buffer) => chunks.push(chunk));
  peer.resume();
  expect(await sending).toBe(true);
  peer.write(maskedPing);
  await expect.poll(() => Buffer.concat(chunks.slice(-2)).subarray(-2)).toEqual(Buffer.of(0x8a, 0x00));
  const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
  expect(bytes).toBeLessThan(20_000_000 + 100);
});
