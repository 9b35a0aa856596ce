/**
 * A TCP or TLS socket as a `ByteStream`.
 */
import { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Accept, ByteReceiver, ByteStream } from '../contracts/transport.ts';

/** How long a peer may take to close its side after we closed ours. */
const endTimeoutMs = 3_000;

/**
 * One read buffer for all plain sockets: what is read is handed on before the next read begins. TLS sockets cannot have it.
 */
const readBuffer = Buffer.allocUnsafeSlow(65_536);
const nothing = new Uint8Array(0);

export class SocketStream implements ByteStream {
  readonly kind: 'tcp' | 'tls';
  readonly remoteAddress: string;
  receiver: ByteReceiver | null = null;
  readonly #socket: Socket;
  #error: Error | null = null;
  #endTimer: NodeJS.Timeout | null = null;
  /** `pendingBytes` was above 0 and `onDrain` is owed. */
  #isDrainAwaited = false;

  constructor(kind: 'tcp' | 'tls', socket: Socket, remoteAddress: string) {
    this.kind = kind;
    this.remoteAddress = remoteAddress;
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    // Node answers the peer's FIN once everything is written, which a peer that does not read never lets happen.
    socket.on('end', () => {
      if (socket.writableLength > 0) this.end();
    });
    socket.on('close', () => this.#closed());
  }

  get pendingBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Uint8Array): void {
    const socket = this.#socket;
    // Between the peer's FIN and our answer a socket is still writable, but a write would be an error.
    if (!socket.writable || socket.readableEnded) return;
    const isWatched = this.kind === 'tls' && !this.#isDrainAwaited;
    // TLS never finishes a write at once, so each has a callback. TCP does nearly always, and so need not pay for one.
    if (isWatched) socket.write(bytes, () => this.#written());
    else socket.write(bytes);
    if (socket.writableLength === 0 || this.#isDrainAwaited) return;
    this.#isDrainAwaited = true;
    if (!isWatched) this.#mark();
  }

  /** Node's `drain` event tells only of what went above a high-water mark; the callback of an empty write tells always. */
  #mark(): void {
    this.#socket.write(nothing, () => this.#written());
  }

  #written(): void {
    if (!this.#isDrainAwaited || this.#socket.destroyed) return;
    // More was written behind the mark.
    if (this.#socket.writableLength > 0) {
      if (this.#socket.writable) this.#mark();
      return;
    }
    this.#isDrainAwaited = false;
    this.receiver?.onDrain();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    if (this.#socket.isPaused()) this.#socket.resume();
  }

  end(): void {
    if (this.#socket.destroyed) return;
    this.#socket.end();
    // The peer's last bytes must be read, or its FIN is never seen.
    this.resume();
    this.#endTimer ??= setTimeout(() => this.#socket.destroy(), endTimeoutMs).unref();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #closed(): void {
    if (this.#endTimer !== null) clearTimeout(this.#endTimer);
    const { receiver } = this;
    this.receiver = null;
    receiver?.onClose(this.#error);
  }
}

const addressOf = (socket: Socket) => `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;

/** An accepted TCP socket, read through the shared buffer. The server must have `pauseOnConnect`. */
export function acceptTcp(accepted: Socket, accept: Accept): void {
  const remoteAddress = addressOf(accepted);
  let stream: SocketStream | null = null;
  const socket = rewrap(accepted, (length) => stream?.receiver?.onBytes(readBuffer, 0, length));
  if (socket === null) return acceptEvents(new SocketStream('tcp', accepted, remoteAddress), accepted, accept);
  stream = new SocketStream('tcp', socket, remoteAddress);
  stream.receiver = accept(stream);
  if (stream.receiver === null) socket.destroy();
}

export function acceptTls(socket: TLSSocket, accept: Accept): void {
  acceptEvents(new SocketStream('tls', socket, addressOf(socket)), socket, accept);
}

/** Reads the usual way. */
function acceptEvents(stream: SocketStream, socket: Socket, accept: Accept): void {
  socket.on('data', (bytes: Buffer) => stream.receiver?.onBytes(bytes, 0, bytes.length));
  // First, since `accept` may pause.
  socket.resume();
  stream.receiver = accept(stream);
  if (stream.receiver === null) socket.destroy();
}

/**
 * The same connection in a socket that reads into `readBuffer`, and does so from the start. Node offers `onread` for outgoing
 * connections only; a new Socket over the accepted one's handle has it as well. The handle is not public: without it, null,
 * and the caller reads the usual way, which costs a buffer per read and nothing else.
 */
function rewrap(accepted: Socket, onRead: (length: number) => void): Socket | null {
  const owner = accepted as unknown as { _handle: object | null; server: object | null; _server: object | null };
  const handle = owner._handle;
  if (handle === null || typeof handle !== 'object') return null;
  const options = {
    handle,
    onread: {
      buffer: readBuffer,
      callback: (length: number) => {
        onRead(length);
        return true;
      },
    },
  };
  const socket = new Socket(options as ConstructorParameters<typeof Socket>[0]);
  owner._handle = null;
  // The server counts its connections when their sockets close: the new socket does it in the old one's place.
  const successor = socket as unknown as { server: object | null; _server: object | null };
  successor.server = owner.server;
  successor._server = owner._server;
  return socket;
}
