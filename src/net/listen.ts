/**
 * Opens a listener of any kind: what it accepts becomes `ByteStream`s.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Accept, Listener, TransportKind } from '../contracts/transport.ts';
import type { ListenerOptions, TlsListenerOptions } from './options.ts';
import { acceptTcp, acceptTls } from './socket-stream.ts';
import { secureContextOptions } from './tls-context.ts';
import { createWebSocketServer } from './websocket.ts';

const schemes: Readonly<Record<TransportKind, string>> = {
  tcp: 'mqtt',
  tls: 'mqtts',
  ws: 'ws',
  wss: 'wss',
  local: 'local',
};
const backlog = 4_096;

/** Rejects with one line that says what to do if the address cannot be had. `accept` learns the listener's URL. */
export async function listen(
  options: ListenerOptions,
  accept: (url: string) => Accept,
  warn: (message: string) => void,
): Promise<Listener> {
  let url = '';
  const server = createServer(options, (stream) => accept(url)(stream));
  server.listen({ host: options.host, port: options.port, backlog });
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw explained(cause as NodeJS.ErrnoException, options);
  }
  // For example no file descriptor left for an accepted connection: that connection is lost, the listener goes on.
  server.on('error', (error) => warn(`${url}: ${error.message}`));
  const { port } = server.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  url = `${schemes[options.kind]}://${host}:${port}${'path' in options ? options.path : ''}`;
  return {
    kind: options.kind,
    host: options.host,
    port,
    url,
    // The callback of `close` waits for open connections as well, which are the broker's; the port is free at once.
    close: async () => {
      server.close();
    },
  };
}

function createServer(options: ListenerOptions, accept: Accept): Server {
  switch (options.kind) {
    case 'tcp':
      return createTcpServer({ pauseOnConnect: true }, (socket) => acceptTcp(socket, accept));
    case 'tls':
      return createTls(options, accept);
    default:
      return createWebSocketServer(options, accept);
  }
}

function createTls(options: TlsListenerOptions, accept: Accept): Server {
  const server = createTlsServer(
    {
      ...secureContextOptions(options.tls),
      handshakeTimeout: options.handshakeTimeoutSeconds * 1000,
      ALPNProtocols: ['mqtt'],
    },
    (socket) => acceptTls(socket, accept),
  );
  // A handshake that failed is the peer's affair; its socket is closed already.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  return server;
}

function explained(cause: NodeJS.ErrnoException, { host, port }: ListenerOptions): Error {
  const where = `Cannot listen on ${host}:${port}`;
  switch (cause.code) {
    case 'EADDRINUSE':
      return new Error(`${where}: the port is taken; stop the other program, or choose another port (0: any)`, {
        cause,
      });
    case 'EACCES':
      return new Error(`${where}: not permitted; ports below 1024 need privileges, choose another port`, { cause });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new Error(`${where}: this machine has no such address; use 127.0.0.1, 0.0.0.0 or one it has`, { cause });
    default:
      return new Error(`${where}: ${cause.message}`, { cause });
  }
}
