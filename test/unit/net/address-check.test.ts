/** Before a broker opens its data, it looks whether it can have its addresses. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { checkAddresses } from '../../../src/net/listen.ts';

const tcp = (port: number, host = '127.0.0.1') => ({ kind: 'tcp', host, port }) as const;

/** Another thread's: connects again and again, since what this one does in a turn of its event loop it cannot see. */
const knocking = `
const { connect } = require('node:net');
const { parentPort, workerData: port } = require('node:worker_threads');
let opened = 0;
parentPort.on('message', () => parentPort.postMessage(opened));
function knock() {
  const socket = connect(port, '127.0.0.1', () => {
    // A client may be given the very port that it connects to, and then reaches itself.
    if (socket.localPort !== port) opened++;
    socket.destroy();
  });
  socket.on('error', () => {}).on('close', () => setImmediate(knock));
}
knock();
parentPort.postMessage('begun');
`;

/**
 * Free ones that no system gives to whoever asks for any: what connects to them again and again must not meet the
 * listener of another test.
 */
async function quietPorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let port = 12_000 + Math.floor(Math.random() * 15_000); ports.length < count; port++) {
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    ports.push(port);
    server.close();
    await once(server, 'close');
  }
  return ports;
}

async function listening(): Promise<{ server: Server; port: number }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

test('while addresses are looked at, none of them takes a connection', async () => {
  const ports = await quietPorts(100);
  const knocker = new Worker(knocking, { eval: true, workerData: ports[0] });
  await once(knocker, 'message');

  for (let look = 0; look < 10; look++) await checkAddresses(ports.map((port) => tcp(port)));
  knocker.postMessage('tell');

  expect(await once(knocker, 'message')).toEqual([0]);
  await knocker.terminate();
});

test('an address that is free can be listened on at once after the look', async () => {
  const [port] = (await quietPorts(1)) as [number];

  for (const host of ['127.0.0.1', '0.0.0.0', '::', 'localhost']) {
    await checkAddresses([tcp(port, host)]);
    const server = createServer().listen(port, host);
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
  }
});

test('a port that somebody listens on is taken, by whatever address it is asked for', async () => {
  const { server, port } = await listening();

  for (const host of ['127.0.0.1', '0.0.0.0', '::'])
    await expect(checkAddresses([tcp(port, host)])).rejects.toThrow(/the port is taken by another process/);
  server.close();
});

test('two listeners of one address are one too many, an address of no machine and an unknown name as well', async () => {
  const [port] = (await quietPorts(1)) as [number];

  await expect(checkAddresses([tcp(port), tcp(port)])).rejects.toThrow(/the port is taken/);
  await expect(checkAddresses([tcp(port, '0.0.0.0'), tcp(port)])).rejects.toThrow(/the port is taken/);
  await expect(checkAddresses([tcp(port, '192.0.2.1')])).rejects.toThrow(/this machine has no such address/);
  await expect(checkAddresses([tcp(0, '192.0.2.1')])).rejects.toThrow(/this machine has no such address/);
  await expect(checkAddresses([tcp(port, 'no-such-name.invalid')])).rejects.toThrow(
    /no address is known for this name/,
  );
  await checkAddresses([tcp(0), tcp(0)]);
});
