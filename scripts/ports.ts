/** Ports of this machine, for servers that cannot tell which one they were given. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const pollMs = 5;

/** One that nobody listens on now. */
export async function freePort(): Promise<number> {
  return (await freePorts(1))[0]!;
}

/** The same, so many different ones: asked for one after the other, they may be the same. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  for (const server of servers) server.close();
  await Promise.all(servers.map((server) => once(server, 'close')));
  return ports;
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
