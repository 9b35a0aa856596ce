/**
 * MQTT over WebSocket, the server's side of it: HTTP upgrade, sub-protocol, origins, pings. [MQTT5 6]
 */
import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
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
import { originRefusal } from './origins.ts';
import { WebSocketStream } from './websocket-stream.ts';

const subProtocols = ['mqtt', 'mqttv3.1'];

export interface WebSocketParts {
  readonly accept: Accept;
  /** Limits how long an upgrade takes, and knows where the connection comes from. */
  readonly handshakes: Handshakes;
  readonly listenerLog: ListenerLog;
}

/**
 * The HTTP server below, over TLS if there is something to say of it; the caller lets it listen.
 */
export function createWebSocketServer(
  options: WebSocketOptions,
  secure: ServerOptions | null,
  { accept, handshakes, listenerLog }: WebSocketParts,
): HttpServer {
  const http = createHttp(options, secure);
  const trusted = new AddressSet(options.trustedProxies ?? []);
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    autoPong: false,
    handleProtocols: (offered) => subProtocols.find((name) => offered.has(name)) ?? false,
  });
  const streams = new Set<WebSocketStream>();
  const paths = new Set(pathsOf(options).map(comparable));
  http.on('upgrade', (request, socket, head) => {
    const clientAt = (peer: string) =>
      clientOf(peer, request.headers['x-forwarded-for'] as string | undefined, trusted);
    const refusal = refusalOfRequest(request, options, paths);
    if (refusal !== null) {
      const from = clientAt(handshakes.whereFrom(request.socket));
      const reason = refusal.replace('\n', ': ');
      // Of these an operator can let some in; the others are the client's mistakes.
      if (refusal.startsWith('403')) listenerLog.refuse(from, reason);
      else listenerLog.audit(from, reason);
      return refuse(socket, refusal);
    }
    server.handleUpgrade(request, socket, head, (webSocket) => {
      const { socket } = request;
      const from = clientAt(handshakes.finish(socket));
      const certificate = socket instanceof TLSSocket ? clientCertificateOf(socket) : null;
      const stream = new WebSocketStream(options.kind, webSocket, socket, from, certificate);
      const receiver = accept(stream);
      if (receiver === null) return stream.destroy();
      stream.begin(receiver);
      streams.add(stream);
      webSocket.once('close', () => streams.delete(stream));
    });
  });

  // One timer for all. It goes on after the listener was closed, for those that are still connected.
  http.on('listening', () => {
    const pings = setInterval(() => {
      for (const stream of streams) stream.ping();
    }, options.pingIntervalSeconds * 1000);
    pings.unref();
    http.on('close', () => clearInterval(pings));
  });
  return http;
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
export const pathsOf = ({ path, paths }: WebSocketOptions): readonly string[] => (path === undefined ? paths : [path]);

/** As a client writes it in a request, with or without a slash at its end. */
const comparable = (path: string) => new URL(path, 'http://any').pathname.replace(/\/$/, '');

function refusalOfRequest(
  request: IncomingMessage,
  options: WebSocketOptions,
  paths: ReadonlySet<string>,
): string | null {
  const path = (request.url ?? '').split('?')[0]!.replace(/\/$/, '');
  if (!paths.has(path)) {
    return `404 Not Found\nThere is nothing here; MQTT over WebSocket is at ${pathsOf(options).join(', ')}`;
  }
  const unwanted = originRefusal(request.headers, options, request.socket.localAddress);
  if (unwanted !== null) return `403 Forbidden\n${unwanted}`;
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  // [MQTT5 6.0.0-3]
  if (!offered.some((name) => subProtocols.includes(name))) {
    return '400 Bad Request\nOffer the WebSocket sub-protocol "mqtt" (or "mqttv3.1")';
  }
  return null;
}

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
