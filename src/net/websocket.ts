/**
 * MQTT over WebSocket, the server's side of it: HTTP upgrade, sub-protocol, origins, pings. [MQTT5 6]
 */
import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { type TlsOptions as ServerOptions, TLSSocket } from 'node:tls';
import { WebSocketServer } from 'ws';
import { AddressSet } from '../base/addresses.ts';
import type { Accept } from '../contracts/transport.ts';
import { clientCertificateOf } from './client-certificate.ts';
import { clientOf } from './forwarded-for.ts';
import type { Handshakes } from './handshakes.ts';
import type { ListenerLog } from './listener-log.ts';
import type { WebSocketOptions } from './options.ts';
import { type OriginRules, originRefusal } from './origins.ts';
import { WebSocketStream } from './websocket-stream.ts';

const subProtocols = ['mqtt', 'mqttv3.1'];

export interface WebSocketParts {
  readonly accept: Accept;
  /** Limits how long an upgrade takes, and knows where the connection comes from. */
  readonly handshakes: Pick<Handshakes, 'finish' | 'whereFrom'>;
  readonly listenerLog: ListenerLog;
}

type UpgradeOptions = OriginRules & Pick<WebSocketOptions, 'path' | 'paths' | 'trustedProxies' | 'pingIntervalSeconds'>;

/** Turns requests of HTTP for a WebSocket into streams, and pings those. */
export class WebSocketUpgrades {
  readonly #options: UpgradeOptions;
  readonly #parts: WebSocketParts;
  readonly #trusted: AddressSet;
  readonly #paths: ReadonlySet<string>;
  readonly #streams = new Set<WebSocketStream>();
  readonly #server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    autoPong: false,
    handleProtocols: (offered) => subProtocols.find((name) => offered.has(name)) ?? false,
  });
  #pings: NodeJS.Timeout | null = null;
  #isEnding = false;

  constructor(options: UpgradeOptions, parts: WebSocketParts) {
    this.#options = options;
    this.#parts = parts;
    this.#trusted = new AddressSet(options.trustedProxies ?? []);
    this.#paths = new Set(pathsOf(options).map(comparable));
  }

  /** Whether the request is for one of the paths. */
  isFor(request: IncomingMessage): boolean {
    return this.#paths.has((request.url ?? '').split('?')[0]!.replace(/\/$/, ''));
  }

  readonly upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const { accept, handshakes, listenerLog } = this.#parts;
    const clientAt = (peer: string) =>
      clientOf(peer, request.headers['x-forwarded-for'] as string | undefined, this.#trusted);
    const refusal = this.#refusalOf(request);
    if (refusal !== null) {
      const from = clientAt(handshakes.whereFrom(request.socket));
      const reason = refusal.replace('\n', ': ');
      // Of these an operator can let some in; the others are the client's mistakes.
      if (refusal.startsWith('403')) listenerLog.refuse(from, reason);
      else listenerLog.audit(from, reason);
      return refuse(socket, refusal);
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      const { socket } = request;
      const from = clientAt(handshakes.finish(socket));
      const isSecure = socket instanceof TLSSocket;
      const certificate = isSecure ? clientCertificateOf(socket) : null;
      const stream = new WebSocketStream(isSecure ? 'wss' : 'ws', webSocket, socket, from, certificate);
      const receiver = accept(stream);
      if (receiver === null) return stream.destroy();
      stream.begin(receiver);
      this.#streams.add(stream);
      webSocket.once('close', () => {
        this.#streams.delete(stream);
        if (this.#isEnding) this.end();
      });
    });
  };

  #refusalOf(request: IncomingMessage): string | null {
    if (!this.isFor(request)) {
      return `404 Not Found\nThere is nothing here; MQTT over WebSocket is at ${pathsOf(this.#options).join(', ')}`;
    }
    const unwanted = originRefusal(request.headers, this.#options, request.socket.localAddress);
    if (unwanted !== null) return `403 Forbidden\n${unwanted}`;
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    // [MQTT5 6.0.0-3]
    if (!offered.some((name) => subProtocols.includes(name))) {
      return '400 Bad Request\nOffer the WebSocket sub-protocol "mqtt" (or "mqttv3.1")';
    }
    return null;
  }

  /** One timer for all, which keeps no process alive. */
  startPings(): void {
    const ping = () => {
      for (const stream of this.#streams) stream.ping();
    };
    this.#pings ??= setInterval(ping, this.#options.pingIntervalSeconds * 1000).unref();
  }

  stopPings(): void {
    if (this.#pings !== null) clearInterval(this.#pings);
    this.#pings = null;
  }

  /** No more streams come: pings end with the last one. */
  end(): void {
    this.#isEnding = true;
    if (this.#streams.size === 0) this.stopPings();
  }
}

/**
 * The HTTP server below, over TLS if there is something to say of it; the caller lets it listen.
 */
export function createWebSocketServer(
  options: WebSocketOptions,
  secure: ServerOptions | null,
  parts: WebSocketParts,
): HttpServer {
  const http = createHttp(options, secure);
  const upgrades = new WebSocketUpgrades(options, parts);
  http.on('upgrade', upgrades.upgrade);
  http.on('listening', () => {
    upgrades.startPings();
    // They go on after the listener was closed, for those that are still connected.
    http.on('close', () => upgrades.stopPings());
  });
  return http;
}

/** An HTTP server of the program's, which it lets listen and closes itself. */
export type OwnHttpServer = HttpServer | HttpsServer;

/**
 * Takes the WebSockets of these paths on a server that has others to serve. The returned function stops that; open
 * connections stay.
 */
export function attachWebSockets(server: OwnHttpServer, options: UpgradeOptions, parts: WebSocketParts): () => void {
  const upgrades = new WebSocketUpgrades(options, parts);
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Another listener of the program's may know the path. Without one, nobody would ever answer.
    if (!upgrades.isFor(request) && server.listenerCount('upgrade') > 1) return;
    parts.listenerLog.contain(socket, () => upgrades.upgrade(request, socket, head));
  };
  server.on('upgrade', onUpgrade);
  upgrades.startPings();
  return () => {
    server.off('upgrade', onUpgrade);
    upgrades.end();
  };
}

/** Answers everything but an upgrade by saying what this is. */
function createHttp(options: WebSocketOptions, secure: ServerOptions | null): HttpServer {
  const http = secure === null ? createHttpServer() : createHttpsServer(secure);
  // Node looks for late requests every 30 s only, and forgets them when the server closes; the caller's limit does not.
  http.headersTimeout = http.requestTimeout = 0;
  http.on('request', (_request, response) => {
    response.writeHead(426, { 'content-type': 'text/plain', connection: 'close', upgrade: 'websocket' });
    response.end(
      `This is an MQTT-over-WebSocket endpoint. Connect with an MQTT client over ${options.kind}://, ` +
        `path ${pathsOf(options).join(' or ')}, sub-protocol "mqtt".\n`,
    );
  });
  http.on('clientError', (_error, socket) => socket.destroy());
  return http;
}

/** The first is the one to tell. */
export const pathsOf = ({ path, paths }: Pick<WebSocketOptions, 'path' | 'paths'>): readonly string[] =>
  path === undefined ? paths : [path];

/** As a client writes it in a request, with or without a slash at its end. */
const comparable = (path: string) => new URL(path, 'http://any').pathname.replace(/\/$/, '');

function refuse(socket: Duplex, refusal: string): void {
  const [status, why] = refusal.split('\n');
  const body = Buffer.from(`${why}\n`);
  socket.on('error', () => {});
  // HTTP sockets stay half open otherwise, for as long as the peer likes.
  socket.once('finish', () => socket.destroy());
  socket.write(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${body.length}\r\n\r\n`,
  );
  socket.end(body);
}
