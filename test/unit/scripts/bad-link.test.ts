/** The bad network of the crash test for bridges does what it is there to do. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { BadLink } from '../../../scripts/crash/bridge/bad-link.ts';
import { eventually } from '../net/eventually.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

interface End {
  readonly socket: Socket;
  text: string;
  isClosed: boolean;
}

function endOf(socket: Socket): End {
  const end: End = { socket, text: '', isClosed: false };
  socket.on('error', () => {});
  socket.on('data', (bytes) => (end.text += bytes.toString()));
  socket.on('close', () => {
    end.isClosed = true;
  });
  ends.push(() => socket.destroy());
  return end;
}

/** A bridge and its peer, connected over the link. */
async function linked(): Promise<{ link: BadLink; bridge: End; peer: End }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => server.close());
  const link = await BadLink.open();
  ends.push(() => link.close());
  link.target = (server.address() as AddressInfo).port;
  const bridge = endOf(connect(link.port, '127.0.0.1'));
  const [socket] = (await once(server, 'connection')) as [Socket];
  return { link, bridge, peer: endOf(socket) };
}

test('bytes go through in both directions', async () => {
  const { bridge, peer } = await linked();
  bridge.socket.write('out');
  peer.socket.write('in');
  await eventually(() => peer.text === 'out' && bridge.text === 'in');
});

test('a cut lets so many bytes through, and ends both sides', async () => {
  const { link, bridge, peer } = await linked();
  link.cut(3);
  bridge.socket.write('abcdef');
  await eventually(() => bridge.isClosed && peer.isClosed);
  expect(peer.text).toBe('abc');
});

test('silence in one direction leaves the other, and the connection looks open', async () => {
  const { link, bridge, peer } = await linked();
  link.silence('out');
  bridge.socket.write('is not heard');
  peer.socket.write('is heard');
  await eventually(() => bridge.text === 'is heard');
  bridge.socket.destroy();
  await eventually(() => bridge.isClosed);
  expect([peer.text, peer.isClosed]).toEqual(['', false]);
});

test('whoever comes while it is closed is sent away', async () => {
  const { link } = await linked();
  link.isClosed = true;
  const late = endOf(connect(link.port, '127.0.0.1'));
  await eventually(() => late.isClosed);
  link.heal();
});

test('over a slow link everything comes, in its order', async () => {
  const { link, bridge, peer } = await linked();
  link.delayMs = 1;
  const text = Array.from({ length: 500 }, (_, i) => `${i} `).join('');
  bridge.socket.write(text);
  await eventually(() => peer.text.length >= text.length);
  expect(peer.text).toBe(text);
});
