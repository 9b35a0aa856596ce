/**
 * MQTT over WebSocket in a client's role. [MQTT5 6]
 *
 * All of it is `ws`, which masks what it sends as a client must [RFC 6455 5.3]: a bridge over WebSocket is there to
 * pass through a proxy, and the copy that this costs is not felt beside it.
 */
import type { Socket } from 'node:net';
import { type ConnectionOptions, TLSSocket } from 'node:tls';
import { type RawData, WebSocket } from 'ws';
import type { Accept, ByteReceiver, ByteStream, ClientCertificate } from '../contracts/transport.ts';
import { clientCertificateOf } from './client-certificate.ts';
import { addressOf } from './handshakes.ts';

const endTimeoutMs = 3_000;
/** WebSocket close codes. [RFC 6455 7.4.1] */
const [normalClosure, abnormalClosure] = [1000, 1006];

export interface WebSocketTarget {
  readonly kind: 'ws' | 'wss';
  readonly url: string;
  /** Of TLS, and how names are looked up. */
  readonly options: ConnectionOptions;
  readonly frameBytesMax: number;
}

/** `opened` gets what lets it be read; one of the two is called. */
export function connectWebSocket(
  { kind, url, options: given, frameBytesMax }: WebSocketTarget,
  opened: (open: (accept: Accept) => void) => void,
  failed: (error: Error) => void,
): WebSocket {
  const options = { ...given, perMessageDeflate: false, maxPayload: frameBytesMax, autoSelectFamily: true };
  const webSocket = new WebSocket(url, ['mqtt'], options);
  let socket: Socket | null = null;
  webSocket.once('error', failed);
  webSocket.once('upgrade', (response) => (socket = response.socket));
  webSocket.once('open', () => {
    webSocket.off('error', failed);
    const open = (accept: Accept) => {
      const stream = new WebSocketClientStream(kind, webSocket, socket!);
      const receiver = accept(stream);
      if (receiver === null) stream.destroy();
      else stream.begin(receiver);
    };
    opened(open);
  });
  return webSocket;
}

class WebSocketClientStream implements ByteStream {
  readonly kind: 'ws' | 'wss';
  readonly remoteAddress: string;
  readonly certificate: ClientCertificate | null;
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  #receiver: ByteReceiver | null = null;
  #error: Error | null = null;
  #isEnding = false;
  #endTimer: NodeJS.Timeout | null = null;

  constructor(kind: 'ws' | 'wss', webSocket: WebSocket, socket: Socket) {
    this.kind = kind;
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.remoteAddress = addressOf(socket);
    this.certificate = socket instanceof TLSSocket ? clientCertificateOf(socket) : null;
    webSocket.on('error', (error) => (this.#error ??= error));
    webSocket.on('close', (code) => this.#closed(code));
  }

  begin(receiver: ByteReceiver): void {
    this.#receiver = receiver;
    this.#webSocket.on('message', (data: RawData) => {
      const bytes = data as Buffer;
      receiver.onBytes(bytes, 0, bytes.length);
    });
  }

  get tlsVersion(): string | null {
    return this.#socket instanceof TLSSocket ? this.#socket.getProtocol() : null;
  }

  /** Frames are copies, so what was written may be used again; it counts all the same until the kernel has it. */
  get pendingBytes(): number {
    return this.#webSocket.bufferedAmount;
  }

  write(bytes: Uint8Array): void {
    if (this.#webSocket.readyState !== WebSocket.OPEN) return;
    this.#webSocket.send(bytes, { binary: true }, () => {
      if (this.#webSocket.bufferedAmount === 0) this.#receiver?.onDrain();
    });
  }

  pause(): void {
    this.#webSocket.pause();
  }

  resume(): void {
    this.#webSocket.resume();
  }

  end(): void {
    this.#isEnding = true;
    this.resume();
    this.#webSocket.close(normalClosure);
    this.#endTimer ??= setTimeout(() => this.#webSocket.terminate(), endTimeoutMs).unref();
  }

  destroy(): void {
    this.#isEnding = true;
    this.#webSocket.terminate();
  }

  #closed(code: number): void {
    if (this.#endTimer !== null) clearTimeout(this.#endTimer);
    if (code === abnormalClosure && !this.#isEnding) {
      this.#error ??= new Error('the connection was lost without a WebSocket close frame');
    }
    const receiver = this.#receiver;
    this.#receiver = null;
    receiver?.onClose(this.#error);
  }
}
