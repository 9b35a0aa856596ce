/** Ports of this machine, for servers that cannot tell which one they were given. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const pollMs = 5;

/** One that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Resolves to true once somebody takes connections on `port`, or to false when `signal` tells that nobody will. */
export async function untilOpen(port: number, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    const socket = connect(port, '127.0.0.1');
    const isOpen = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'close').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (isOpen) return true;
    await delay(pollMs);
  }
  return false;
}
