/**
 * Opens a listener of any kind: what it accepts becomes `ByteStream`s.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Accept, Listener, TransportKind } from '../contracts/transport.ts';
import { Handshakes } from './handshakes.ts';
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
/** Enough for a fleet that comes back at once. */
const defaultBacklog = 4_096;
/** TLS handshakes and HTTP upgrades under way at one time, for each listener. */
const handshakesMax = 1_000;

/** Rejects with one line that says what to do if the address cannot be had. `accept` learns the listener's URL. */
export async function listen(
  options: ListenerOptions,
  accept: (url: string) => Accept,
  warn: (message: string) => void,
): Promise<Listener> {
  const { kind, host } = options;
  let url = '';
  let acceptStream: Accept = () => null;
  const report = seldom((message) => warn(`${url}: ${message}`));
  const handshakes =
    options.kind === 'tcp'
      ? null
      : new Handshakes(options.handshakeTimeoutSeconds * 1000, handshakesMax, () =>
          report(`${handshakesMax} clients are in their handshake already; new ones are turned away`),
        );
  const server = createServer(
    options,
    (stream) => acceptStream(stream),
    (socket) => handshakes?.finish(socket),
  );
  if (handshakes !== null) server.on('connection', (socket: Socket) => handshakes.begin(socket));
  server.listen({ host, port: options.port, backlog: options.backlog ?? defaultBacklog });
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw explained(cause as NodeJS.ErrnoException, options);
  }
  // That connection is lost; the listener goes on.
  server.on('error', (error: NodeJS.ErrnoException) => report(acceptError(error)));
  const { port } = server.address() as AddressInfo;
  url = `${schemes[kind]}://${bracketed(host)}:${port}${'path' in options ? options.path : ''}`;
  acceptStream = accept(url);
  return {
    kind,
    host,
    port,
    url,
    // The callback of `close` waits for open connections as well, which are the broker's; the port is free at once.
    close: async () => {
      server.close();
      handshakes?.abandon();
    },
  };
}

/** `established` is told each socket whose handshake succeeded. */
function createServer(options: ListenerOptions, accept: Accept, established: (socket: Socket) => void): Server {
  switch (options.kind) {
    case 'tcp':
      // Half-open, so that the end of a connection is ours to answer: see `SocketStream`.
      return createTcpServer({ allowHalfOpen: true }, (socket) => acceptTcp(socket, accept));
    case 'tls':
      return createTls(options, accept, established);
    default:
      return createWebSocketServer(options, accept, established);
  }
}

function createTls(options: TlsListenerOptions, accept: Accept, established: (socket: Socket) => void): Server {
  const server = createTlsServer({ ...secureContextOptions(options.tls), ALPNProtocols: ['mqtt'] }, (socket) => {
    established(socket);
    acceptTls(socket, accept);
  });
  // A handshake that failed is the peer's affair; its socket is closed already.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  return server;
}

/** What would fill the log under load, once a second at most. */
function seldom(warn: (message: string) => void): (message: string) => void {
  let quietUntil = 0;
  return (message) => {
    const now = performance.now();
    if (now < quietUntil) return;
    quietUntil = now + 1_000;
    warn(message);
  };
}

function acceptError({ code, message }: NodeJS.ErrnoException): string {
  if (code !== 'EMFILE' && code !== 'ENFILE') return message;
  return `a client was turned away, no file descriptor is left (${code}); raise the limit (ulimit -n), or lower limits.connections`;
}

const bracketed = (host: string) => (host.includes(':') ? `[${host}]` : host);

function explained(cause: NodeJS.ErrnoException, { kind, host, port }: ListenerOptions): Error {
  const another = kind === 'tcp' ? 'choose another with --port' : `give the ${kind} listener another "port"`;
  return new Error(`Cannot listen on ${bracketed(host)}:${port}: ${reason()}`, { cause });

  function reason(): string {
    switch (cause.code) {
      case 'EADDRINUSE':
        return `the port is taken by another process; ${another}, or stop that process`;
      case 'EACCES':
        return `not permitted; ports below 1024 need privileges, ${another}`;
      case 'EADDRNOTAVAIL':
        return 'this machine has no such address; use 127.0.0.1, 0.0.0.0 or one it has';
      case 'ENOTFOUND':
        return 'no address is known for this name; correct "host", or use 127.0.0.1 or 0.0.0.0';
      default:
        return cause.message;
    }
  }
}
