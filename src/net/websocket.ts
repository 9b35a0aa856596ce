/**
 * MQTT over WebSocket: HTTP upgrade, sub-protocol, origins, pings; inside, the frames are just bytes. [MQTT5 6]
 */
import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Accept, ByteReceiver, ByteStream } from '../contracts/transport.ts';
import type { WebSocketOptions } from './options.ts';
import { secureContextOptions } from './tls-context.ts';

const subProtocols = ['mqtt', 'mqttv3.1'];
const endTimeoutMs = 3_000;
/** WebSocket close codes. [RFC 6455 7.4.1] */
const normalClosure = 1000;
const unsupportedData = 1003;

class WebSocketStream implements ByteStream {
  readonly kind: 'ws' | 'wss';
  readonly remoteAddress: string;
  receiver: ByteReceiver | null = null;
  /** Bytes have come since the last ping was sent, or a pong. */
  isAlive = true;
  readonly socket: WebSocket;
  #error: Error | null = null;
  #pendingBytes = 0;
  #endTimer: NodeJS.Timeout | null = null;

  constructor(kind: 'ws' | 'wss', socket: WebSocket, remoteAddress: string) {
    this.kind = kind;
    this.remoteAddress = remoteAddress;
    this.socket = socket;
    socket.binaryType = 'nodebuffer';
    socket.on('message', (message, isBinary) => this.#received(message as Buffer, isBinary));
    socket.on('pong', () => {
      this.isAlive = true;
    });
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.on('close', () => this.#closed());
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  write(bytes: Uint8Array): void {
    if (this.socket.readyState !== this.socket.OPEN) return;
    const { length } = bytes;
    // `bufferedAmount` counts what the kernel has not taken, so it tells at once whether the memory is free again.
    this.socket.send(bytes, { binary: true }, () => this.#written(length));
    if (this.socket.bufferedAmount > 0) this.#pendingBytes += length;
    else this.#taken++;
  }

  /** Writes that the kernel took at once; their callbacks have nothing to tell. */
  #taken = 0;

  #written(length: number): void {
    if (this.#taken > 0) {
      this.#taken--;
      return;
    }
    this.#pendingBytes -= length;
    if (this.#pendingBytes === 0) this.receiver?.onDrain();
  }

  #received(message: Buffer, isBinary: boolean): void {
    this.isAlive = true;
    // [MQTT5 6.0.0-1]
    if (!isBinary) return this.socket.close(unsupportedData, 'MQTT needs binary frames');
    this.receiver?.onBytes(message, 0, message.length);
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  end(): void {
    this.socket.resume();
    this.socket.close(normalClosure);
    this.#endTimer ??= setTimeout(() => this.socket.terminate(), endTimeoutMs);
    this.#endTimer.unref();
  }

  destroy(): void {
    this.socket.terminate();
  }

  #closed(): void {
    if (this.#endTimer !== null) clearTimeout(this.#endTimer);
    const { receiver } = this;
    this.receiver = null;
    receiver?.onClose(this.#error);
  }
}

/** The HTTP server below; the caller lets it listen. */
export function createWebSocketServer(options: WebSocketOptions, accept: Accept): HttpServer {
  const kind = options.kind;
  const http =
    kind === 'wss' && options.tls !== undefined
      ? createHttpsServer({
          ...secureContextOptions(options.tls),
          handshakeTimeout: options.handshakeTimeoutSeconds * 1000,
        })
      : createHttpServer();
  http.headersTimeout = http.requestTimeout = options.handshakeTimeoutSeconds * 1000;
  http.on('request', (_request, response) => {
    response.writeHead(426, { 'content-type': 'text/plain', connection: 'close', upgrade: 'websocket' });
    response.end(`This is an MQTT broker. Connect with an MQTT client over WebSocket, path ${options.path}.\n`);
  });
  http.on('clientError', (_error, socket) => socket.destroy());

  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: options.messageBytesMax,
    handleProtocols: (offered) => subProtocols.find((name) => offered.has(name)) ?? false,
  });
  const streams = new Set<WebSocketStream>();
  http.on('upgrade', (request, socket, head) => {
    const refusal = refusalOf(request, options);
    if (refusal !== null) return refuse(socket, refusal);
    server.handleUpgrade(request, socket, head, (webSocket) => {
      const { remoteAddress, remotePort } = request.socket;
      request.socket.setNoDelay(true);
      const stream = new WebSocketStream(kind, webSocket, `${remoteAddress}:${remotePort}`);
      stream.receiver = accept(stream);
      if (stream.receiver === null) return stream.destroy();
      streams.add(stream);
      webSocket.once('close', () => streams.delete(stream));
    });
  });

  // One timer for all: each round pings everybody and lets those go that were silent since the last one.
  const pings = setInterval(() => ping(streams), options.pingIntervalSeconds * 1000);
  pings.unref();
  http.on('close', () => clearInterval(pings));
  return http;
}

function ping(streams: Set<WebSocketStream>): void {
  for (const stream of streams) {
    if (!stream.isAlive) stream.destroy();
    else {
      stream.isAlive = false;
      stream.socket.ping();
    }
  }
}

function refusalOf(request: IncomingMessage, options: WebSocketOptions): string | null {
  const path = (request.url ?? '').split('?')[0];
  if (path !== options.path) return `404 Not Found\nThere is nothing here; MQTT over WebSocket is at ${options.path}`;
  const { origin } = request.headers;
  if (origin !== undefined && options.origins.length > 0 && !options.origins.includes(origin)) {
    return '403 Forbidden\nThis origin is not in the listener\'s "origins"';
  }
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  // [MQTT5 6.0.0-3]
  if (!offered.some((name) => subProtocols.includes(name))) {
    return '400 Bad Request\nOffer the WebSocket sub-protocol "mqtt" (or "mqttv3.1")';
  }
  return null;
}

function refuse(socket: Duplex, refusal: string): void {
  const [status, why] = refusal.split('\n');
  const body = `${why}\n`;
  socket.on('error', () => {});
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
}
