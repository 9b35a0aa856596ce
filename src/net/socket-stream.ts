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

export class SocketStream implements ByteStream {
  readonly kind: 'tcp' | 'tls';
  readonly remoteAddress: string;
  receiver: ByteReceiver | null = null;
  readonly #socket: Socket;
  #error: Error | null = null;
  #endTimer: NodeJS.Timeout | null = null;
  #wasPending = false;

  constructor(kind: 'tcp' | 'tls', socket: Socket, remoteAddress: string) {
    this.kind = kind;
    this.remoteAddress = remoteAddress;
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.on('drain', () => this.#drained());
    socket.on('close', () => this.#closed());
  }

  get pendingBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Uint8Array): void {
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return;
    if (!socket.write(bytes)) this.#wasPending = true;
    else if (socket.writableLength > 0 && !this.#wasPending) {
      // Below the high-water mark, so `drain` will not tell.
      this.#wasPending = true;
      socket.write(nothing, () => this.#drained());
    }
  }

  #drained(): void {
    if (!this.#wasPending || this.#socket.writableLength > 0) return;
    this.#wasPending = false;
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
    this.#endTimer ??= setTimeout(() => this.#socket.destroy(), endTimeoutMs);
    this.#endTimer.unref();
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

const nothing = new Uint8Array(0);

const addressOf = (socket: Socket) => `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;

/** An accepted TCP socket, read through the shared buffer. The server must have `pauseOnConnect`. */
export function acceptTcp(accepted: Socket, accept: Accept): void {
  const remoteAddress = addressOf(accepted);
  let stream: SocketStream | null = null;
  const socket = rewrap(accepted, (length) => stream?.receiver?.onBytes(readBuffer, 0, length));
  if (socket === null) return attach(new SocketStream('tcp', accepted, remoteAddress), accepted, accept);
  stream = new SocketStream('tcp', socket, remoteAddress);
  stream.receiver = accept(stream);
  if (stream.receiver === null) socket.destroy();
  else socket.resume();
}

export function acceptTls(socket: TLSSocket, accept: Accept): void {
  attach(new SocketStream('tls', socket, addressOf(socket)), socket, accept);
}

function attach(stream: SocketStream, socket: Socket, accept: Accept): void {
  stream.receiver = accept(stream);
  if (stream.receiver === null) {
    socket.destroy();
    return;
  }
  socket.on('data', (bytes: Buffer) => stream.receiver?.onBytes(bytes, 0, bytes.length));
  socket.resume();
}

/**
 * The same connection in a socket that reads into `readBuffer`. Node offers `onread` for outgoing connections only; a new
 * Socket over the accepted one's handle has it as well. The handle is not public: without it, null, and the caller reads
 * the usual way, which costs a buffer per read and nothing else.
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
