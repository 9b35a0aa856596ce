/**
 * A WebSocket that carries text both ways, for streams of the HTTP API: what is sent waits until the peer takes it, and
 * a peer that is gone without saying so is found out.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';

/** Of a message of the client. */
const receivedBytesMax = 1_024;
/** A peer of which nothing is heard between two of these, and that takes nothing, is gone. */
const pingMs = 15_000;
/** So long a peer may take to answer the end. */
const closeMs = 1_000;
/** Of a reason, in bytes. [RFC 6455 5.5] */
const reasonBytesMax = 123;

export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  invalidPayload: 1007,
  policy: 1008,
  internalError: 1011,
} as const;

const server = new WebSocketServer({
  noServer: true,
  perMessageDeflate: false,
  maxPayload: receivedBytesMax,
  clientTracking: false,
  autoPong: false,
  // What a client sends in one go is taken one message a turn.
  allowSynchronousEvents: false,
  // We speak no sub-protocol.
  handleProtocols: () => false,
});

/** Whether a request asks for a WebSocket in the form that there is. [RFC 6455 4.2.1] */
export function isHandshake({ method, headers }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['sec-websocket-version'] === '13' &&
    /^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? '')
  );
}

export class TextSocket {
  /** Called with each message of the client. What is no text, or too long, ends the connection. */
  onText: (text: string) => void = () => {};
  readonly #socket: WebSocket;
  readonly #pings: NodeJS.Timeout;
  /** Since the last ping. */
  #isAlive = true;

  /** Of a request that `isHandshake`. */
  static accept(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<TextSocket> {
    return new Promise((resolve) => {
      server.handleUpgrade(request, socket, head, (webSocket) => resolve(new TextSocket(webSocket)));
    });
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.#pings = setInterval(() => this.#ping(), pingMs).unref();
    socket.on('pong', () => (this.#isAlive = true));
    socket.on('ping', (data) => this.#pong(data));
    socket.on('message', (data, isBinary) => this.#received(data, isBinary));
    // The close that follows says so.
    socket.on('error', () => {});
    socket.once('close', () => clearInterval(this.#pings));
  }

  onClose(call: () => void): void {
    this.#socket.once('close', call);
  }

  #received(data: RawData, isBinary: boolean): void {
    this.#isAlive = true;
    if (isBinary) this.close(CloseCode.invalidPayload, 'expected text');
    else this.onText(data.toString());
  }

  #ping(): void {
    if (!this.#isAlive) return this.#socket.terminate();
    this.#isAlive = false;
    this.#socket.ping();
  }

  /** Resolves once the system has taken it, with false if the peer is gone. */
  send(text: string): Promise<boolean> {
    return new Promise((resolve) => {
      this.#socket.send(text, (error) => {
        this.#isAlive ||= error == null;
        resolve(error == null);
      });
    });
  }

  /** A peer that does not read its answers gets no more of them. */
  #pong(data: Buffer): void {
    this.#isAlive = true;
    if (this.#socket.bufferedAmount === 0) this.#socket.pong(data);
  }

  /** The peer hears the reason if it listens; one that does not is cut off soon. */
  close(code: number, reason: string): void {
    this.#socket.close(code, reasonOf(reason));
    this.endSoon();
  }

  /** Whatever the peer does, or does not, it is cut off soon. */
  endSoon(): void {
    const patience = setTimeout(() => this.#socket.terminate(), closeMs);
    this.#socket.once('close', () => clearTimeout(patience));
  }
}

/** As much of it as a frame of control takes. */
function reasonOf(text: string): string {
  let reason = text.slice(0, reasonBytesMax);
  while (Buffer.byteLength(reason) > reasonBytesMax) reason = reason.slice(0, -1);
  return reason;
}
