/**
 * Opens a listener of any kind: what it accepts becomes `ByteStream`s.
 */
import { once } from 'node:events';
import { IncomingMessage } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { assert } from '../base/assert.ts';
import { fileProblem } from '../base/file-problem.ts';
import { eventLoop } from '../base/scheduler.ts';
import type { Audit } from '../contracts/audit.ts';
import { addressText, bracketed, type ListenerAddress, listenerPattern, schemes } from '../contracts/listener-url.ts';
import { type Log, silentLog } from '../contracts/log.ts';
import type { Accept, Listener } from '../contracts/transport.ts';
import { clash, problemOf, taken } from './address-check.ts';
import { failureOf, refusalOf } from './client-certificate.ts';
import { Handshakes } from './handshakes.ts';
import { ListenerLog } from './listener-log.ts';
import type { InetOptions, ListenerOptions } from './options.ts';
import { type BeginEvent, beginBehind, ProxyGate } from './proxy-gate.ts';
import { overhead } from './scheduled-stream.ts';
import { acceptProxiedTcp, acceptTcp, acceptTls, acceptUnix } from './socket-stream.ts';
import { TlsContexts } from './tls-contexts.ts';
import { checkSocket, makeWay, setMode } from './unix-socket.ts';
import { createWebSocketServer, pathsOf } from './websocket.ts';

/** Enough for a fleet that comes back at once. */
const defaultBacklog = 4_096;
/** PROXY headers, TLS handshakes and HTTP upgrades under way at one time, for each listener. */
const handshakesMax = 1_000;
const defaultHandshakeSeconds = 10;

/**
 * Rejects with one line that says what to do if the address cannot be had, or a certificate not be used. `accept`
 * learns the listener's URL. `isShared`: other processes listen there as well, by `node:cluster`.
 */
export async function listen(
  options: ListenerOptions,
  accept: (url: string) => Accept,
  log: Log = silentLog,
  audit: Audit | null = null,
  isShared = false,
): Promise<Listener> {
  const { kind } = options;
  let acceptStream: Accept = () => null;
  const listenerLog = new ListenerLog(log, audit);
  const contexts = 'tls' in options ? await TlsContexts.load(options.tls, log) : null;
  const handshakes = hasHandshake(options)
    ? new Handshakes(options.handshakeTimeoutSeconds ?? defaultHandshakeSeconds, handshakesMax, listenerLog)
    : null;
  const acceptAndTell: Accept = (stream) => {
    log.debug({ from: stream.remoteAddress, listener: listenerLog.listener }, 'a connection came');
    return acceptStream(stream);
  };
  const server = createServer(options, { contexts, handshakes, listenerLog, accept: acceptAndTell });
  if (handshakes !== null) server.on('connection', (socket: Socket) => handshakes.begin(socket));
  containEvents(server, listenerLog);
  await startListening(server, options, isShared);
  // That connection is lost; the listener goes on.
  server.on('error', (error: NodeJS.ErrnoException) => listenerLog.fail(acceptError(error)));
  const { host, port, url } = boundTo(server, options);
  listenerLog.listener = url;
  acceptStream = accept(url);
  contexts?.serve(server as TlsServer, url);
  return {
    kind,
    host,
    port,
    url,
    get isListening() {
      return server.listening;
    },
    get expiring() {
      return contexts?.dated ?? [];
    },
    reloadCertificates: async () => contexts?.reload(),
    // The callback of `close` waits for open connections as well, which are the broker's; the port is free at once.
    close: async () => {
      contexts?.close();
      server.close();
      handshakes?.abandon();
    },
  };
}

async function startListening(server: Server, options: ListenerOptions, isShared: boolean): Promise<void> {
  const backlog = options.backlog ?? defaultBacklog;
  if (options.kind === 'unix') {
    if (!isShared) await makeWay(options);
    server.listen({ path: options.socket, backlog });
  } else server.listen({ host: options.host, port: options.port, backlog });
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw explained(cause as NodeJS.ErrnoException, options);
  }
  if (options.kind === 'unix') setMode(options);
}

function boundTo(server: Server, options: ListenerOptions): Pick<Listener, 'host' | 'port' | 'url'> {
  if (options.kind === 'unix') return { host: options.socket, port: 0, url: listenerPattern(options) };
  const { kind, host } = options;
  const { port } = server.address() as AddressInfo;
  const url = `${schemes[kind]}://${bracketed(host)}:${port}${'paths' in options ? pathsOf(options)[0] : ''}`;
  return { host, port, url };
}

/** Rejects as `listen` would if one of these addresses cannot be had. Nobody can connect to them meanwhile. */
export async function checkAddresses(all: readonly ListenerAddress[]): Promise<void> {
  for (const [index, address] of all.entries()) {
    if (address.kind === 'unix') {
      await checkSocket(address);
      continue;
    }
    const problem = all.slice(0, index).some((other) => clash(address, other)) ? taken() : await problemOf(address);
    if (problem !== null) throw explained(problem, address);
  }
}

/** Whatever a server does with a connection begins with one of its events. */
function containEvents(server: Server, listenerLog: ListenerLog): void {
  const emit = server.emit.bind(server) as (event: string, ...details: unknown[]) => boolean;
  server.emit = (event: string, ...details: unknown[]): boolean => {
    const socket = socketAmong(details);
    return socket === null
      ? emit(event, ...details)
      : (listenerLog.contain(socket, () => emit(event, ...details)) ?? true);
  };
}

function socketAmong(details: readonly unknown[]): Socket | null {
  for (const each of details) {
    if (each instanceof Socket) return each;
    if (each instanceof IncomingMessage) return each.socket;
  }
  return null;
}

/** Whether anything comes before the bytes that are MQTT's. */
const hasHandshake = (options: ListenerOptions): options is InetOptions =>
  options.kind !== 'unix' && (options.kind !== 'tcp' || options.proxyProtocol === true);

interface Parts {
  /** Of listeners with TLS. */
  readonly contexts: TlsContexts | null;
  /** Of listeners with any handshake. */
  readonly handshakes: Handshakes | null;
  readonly listenerLog: ListenerLog;
  readonly accept: Accept;
}

function createServer(options: ListenerOptions, parts: Parts): Server {
  const { contexts, handshakes, listenerLog, accept } = parts;
  // Half-open, so that the end of a connection is ours to answer: see `SocketStream`.
  const allowHalfOpen = true;
  if (options.kind === 'unix') return createTcpServer({ allowHalfOpen }, (socket) => acceptUnix(socket, accept));
  if (handshakes === null) return createTcpServer({ allowHalfOpen }, (socket) => acceptTcp(socket, accept));
  const { proxyProtocol = false, trustedProxies = [] } = options;
  const established = (socket: Socket) => handshakes.finish(socket);
  const gate = proxyProtocol ? new ProxyGate(trustedProxies, handshakes, listenerLog) : null;
  if (options.kind === 'tcp') {
    assert(gate !== null, 'a TCP connection has no other handshake than a PROXY header');
    return createTcpServer({ allowHalfOpen }, (socket) => {
      const read = gate.admit(socket);
      if (read !== null) acceptProxiedTcp(socket, read, established, accept, listenerLog);
    });
  }
  const secure = contexts?.serverOptions() ?? null;
  const server =
    options.kind === 'tls'
      ? createTlsServer({ ...secure, ALPNProtocols: ['mqtt'] }, (socket) =>
          acceptTls(socket, established(socket), accept),
        )
      : createWebSocketServer(options, secure, { accept, handshakes, listenerLog });
  const upgradedAt = secure === null ? 'connection' : 'secureConnection';
  if (options.kind !== 'tls') beginWhenTime(server, upgradedAt, overhead.upgrade, listenerLog);
  if (secure !== null) {
    checkHandshakes(server as TlsServer, handshakes, listenerLog);
    beginWhenTime(server, 'connection', overhead.tlsHandshake, listenerLog);
  }
  gate?.guard(server);
  return server;
}

/**
 * What `server` does first takes long, so it begins when there is time, and not before the client has sent anything.
 */
function beginWhenTime(server: Server, event: BeginEvent, microseconds: number, listenerLog: ListenerLog): void {
  const { unauthenticated } = eventLoop;
  beginBehind(server, event, listenerLog, {
    admit: () => () => 0,
    when(begin) {
      unauthenticated.run(() => {
        unauthenticated.charge(microseconds);
        begin();
        return false;
      });
    },
  });
}

/**
 * Turns away whose certificate is not good enough, and tells of those that a certificate or a protocol's name kept out.
 */
function checkHandshakes(server: TlsServer, handshakes: Handshakes, listenerLog: ListenerLog): void {
  const begin = server.listeners('secureConnection') as ((this: Server, socket: TLSSocket) => void)[];
  server.removeAllListeners('secureConnection');
  server.on('secureConnection', (socket) => {
    const refusal = refusalOf(socket);
    if (refusal === null) {
      for (const each of begin) each.call(server, socket);
    } else {
      listenerLog.refuse(handshakes.whereFrom(socket), refusal);
      socket.destroy();
    }
  });
  server.on('tlsClientError', (error, socket) => {
    const failure = failureOf(error, socket);
    // A TLS socket that is closed has forgotten its addresses; the one below it has not.
    const { _parent: plain = socket } = socket as TLSSocket & { _parent?: Socket };
    if (failure !== null) listenerLog.refuse(handshakes.whereFrom(plain), failure);
    socket.destroy();
  });
}

function acceptError({ code, message }: NodeJS.ErrnoException): string {
  if (code !== 'EMFILE' && code !== 'ENFILE') return message;
  return `a client was turned away, no file descriptor is left (${code}); raise the limit (ulimit -n), or lower limits.connections`;
}

function explained(cause: NodeJS.ErrnoException, address: ListenerAddress): Error {
  const { kind } = address;
  if (kind === 'unix') return new Error(`Cannot listen on ${address.socket}: ${fileProblem(cause)}`, { cause });
  const another = kind === 'tcp' ? 'choose another with --port' : `give the ${kind} listener another "port"`;
  return new Error(`Cannot listen on ${addressText(address)}: ${reason()}`, { cause });

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
