/**
 * A TCP or TLS socket as a `ByteStream`.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Accept, ByteReceiver, ByteStream, ClientCertificate } from '../contracts/transport.ts';
import { clientCertificateOf } from './client-certificate.ts';
import { addressOf } from './handshakes.ts';
import type { ListenerLog } from './listener-log.ts';
import type { HeaderReader } from './proxy-gate.ts';
import { ScheduledStream } from './scheduled-stream.ts';
import { nextPeerName } from './unix-socket.ts';

/** How long a peer may take to close its side after we closed ours. */
const endTimeoutMs = 3_000;
/** To encrypt so much takes a fifth of a millisecond. */
export const encryptedBytesMax = 262_144;

/**
 * One read buffer for all plain sockets: what is read is handed on before the next read begins. TLS sockets cannot have
 * it.
 */
const readBuffer = Buffer.allocUnsafeSlow(65_536);
/**
 * The same for connections that are not authenticated. Most CONNECTs are smaller, and to handle so much takes no more
 * than a small part of a millisecond.
 */
const smallReadBuffer = Buffer.allocUnsafeSlow(4_096);
const nothing = new Uint8Array(0);

export class SocketStream extends ScheduledStream<Duplex> implements ByteStream {
  readonly kind: 'tcp' | 'tls' | 'unix' | 'stream';
  readonly remoteAddress: string;
  readonly certificate: ClientCertificate | null;
  readonly writeBytesMax: number;
  readonly state: unknown;
  #error: Error | null = null;
  #endTimer: NodeJS.Timeout | null = null;
  /** `pendingBytes` was above 0 and `onDrain` is owed. */
  #isDrainAwaited = false;

  constructor(
    kind: 'tcp' | 'tls' | 'unix' | 'stream',
    socket: Duplex,
    remoteAddress: string,
    certificate: ClientCertificate | null = null,
    state?: unknown,
  ) {
    super(socket);
    this.state = state;
    this.kind = kind;
    this.writeBytesMax = kind === 'tls' ? encryptedBytesMax : Number.POSITIVE_INFINITY;
    this.remoteAddress = remoteAddress;
    this.certificate = certificate;
    if (socket instanceof Socket && kind !== 'unix') socket.setNoDelay(true);
    socket.on('error', (error) => {
      this.#error ??= error;
      this.receiver?.onPeerEnd?.();
    });
    // Node would answer the peer's FIN once everything is written, which a peer that does not read never lets happen.
    socket.on('end', () => {
      this.receiver?.onPeerEnd?.();
      if (socket.writableLength > 0) this.end();
      else this.closeSoon(() => socket.destroy());
    });
    socket.on('close', () => this.#closed());
  }

  get tlsVersion(): string | null {
    return this.kind === 'tls' ? (this.socket as TLSSocket).getProtocol() : null;
  }

  get pendingBytes(): number {
    return this.socket.writableLength;
  }

  write(bytes: Uint8Array): void {
    const socket = this.socket;
    // Between the peer's FIN and our answer a socket is still writable, but a write would be an error.
    if (!socket.writable || socket.readableEnded) return;
    const isWatched = this.kind !== 'tcp' && !this.#isDrainAwaited;
    // TLS never finishes a write at once, so each has a callback. TCP does nearly always, and so need not pay for one.
    if (isWatched) socket.write(bytes, () => this.#written());
    else socket.write(bytes);
    if (socket.writableLength === 0 || this.#isDrainAwaited) return;
    this.#isDrainAwaited = true;
    if (!isWatched) this.#mark();
  }

  /**
   * Node's `drain` event tells only of what went above a high-water mark; the callback of an empty write tells always.
   */
  #mark(): void {
    this.socket.write(nothing, () => this.#written());
  }

  #written(): void {
    if (!this.#isDrainAwaited || this.socket.destroyed) return;
    // More was written behind the mark.
    if (this.socket.writableLength > 0) {
      if (this.socket.writable) this.#mark();
      return;
    }
    this.#isDrainAwaited = false;
    this.receiver?.onDrain();
  }

  protected pauseSource(): void {
    this.socket.pause();
  }

  protected resumeSource(): void {
    if (this.socket.isPaused()) this.socket.resume();
  }

  /** These bytes were read; the buffer is used again for the next read. */
  received(bytes: Buffer, start: number, end: number): void {
    this.receiver?.onBytes(bytes, start, end);
    this.handedOver();
  }

  end(): void {
    this.closeSoon(() => {
      if (this.socket.destroyed) return;
      this.socket.end();
      // The peer's last bytes must be read, or its FIN is never seen.
      this.resume();
      this.#endTimer ??= setTimeout(() => this.socket.destroy(), endTimeoutMs).unref();
    });
  }

  destroy(): void {
    this.closeSoon(() => this.socket.destroy());
  }

  #closed(): void {
    if (this.#endTimer !== null) clearTimeout(this.#endTimer);
    this.closed(this.#error);
  }
}

/** An accepted TCP socket, read through the shared buffer. */
export function acceptTcp(socket: Socket, accept: Accept, state?: unknown): void {
  acceptPlain(new SocketStream('tcp', socket, addressOf(socket), null, state), socket, accept);
}

/** The same of a Unix-domain socket. */
export function acceptUnix(socket: Socket, accept: Accept): void {
  acceptPlain(new SocketStream('unix', socket, nextPeerName()), socket, accept);
}

function acceptPlain(stream: SocketStream, socket: Socket, accept: Accept): void {
  const onRead = (length: number, buffer: Buffer) => {
    stream.received(buffer, 0, length);
    return true;
  };
  if (!readsInto(socket, () => stream.isUnauthenticated, onRead)) return acceptEvents(stream, socket, accept);
  begin(stream, socket, accept);
}

/**
 * The same behind a proxy: `reader` looks for the end of the header, and `established` then tells where it comes from.
 */
export function acceptProxiedTcp(
  socket: Socket,
  reader: HeaderReader,
  established: (socket: Socket) => string,
  accept: Accept,
  listenerLog: ListenerLog,
): void {
  let stream: SocketStream | null = null;
  // Forgotten with the header, which the connection outlives.
  let read: HeaderReader | null = reader;
  const close = () => socket.destroy();
  const onBytes = (bytes: Buffer, end: number) => {
    if (stream !== null) return stream.received(bytes, 0, end);
    listenerLog.contain(socket, () => {
      const start = read?.(bytes, end) ?? null;
      if (start === null) return;
      read = null;
      socket.off('end', close).off('error', close);
      stream = new SocketStream('tcp', socket, established(socket));
      const receiver = begin(stream, socket, accept);
      if (receiver !== null && start < end) stream.received(bytes, start, end);
    });
  };
  socket.on('end', close).on('error', close);
  const onRead = (length: number, buffer: Buffer) => {
    onBytes(buffer, length);
    return true;
  };
  if (readsInto(socket, () => stream === null || stream.isUnauthenticated, onRead)) return;
  socket.on('data', (bytes: Buffer) => onBytes(bytes, bytes.length));
}

export function acceptTls(socket: TLSSocket, remoteAddress: string, accept: Accept, state?: unknown): void {
  acceptEvents(new SocketStream('tls', socket, remoteAddress, clientCertificateOf(socket), state), socket, accept);
}

/** Reads the usual way. */
export function acceptEvents(stream: SocketStream, socket: Duplex, accept: Accept): void {
  socket.on('data', (bytes: Buffer) => stream.received(bytes, 0, bytes.length));
  // First, since `accept` may pause.
  socket.resume();
  begin(stream, socket, accept);
}

function begin(stream: SocketStream, socket: Duplex, accept: Accept): ByteReceiver | null {
  const receiver = accept(stream);
  if (receiver === null) socket.destroy();
  else stream.begin(receiver);
  return receiver;
}

interface ReadSlots {
  readonly buffer: symbol;
  /** Asked after each read for the buffer of the following ones, if there is one. */
  readonly nextBuffer: symbol;
  readonly callback: symbol;
}

/** Where a socket keeps what the `onread` option of outgoing connections sets; null if this Node has it elsewhere. */
function findReadSlots(): ReadSlots | null {
  const symbols = Object.getOwnPropertySymbols(new Socket());
  const named = (name: string) => symbols.find(({ description }) => description === name);
  const [buffer, nextBuffer, callback] = [named('kBuffer'), named('kBufferGen'), named('kBufferCb')];
  if (buffer === undefined || nextBuffer === undefined || callback === undefined) return null;
  return { buffer, nextBuffer, callback };
}

const readSlots = findReadSlots();

/**
 * Lets a socket read into a shared buffer, which is handed on before the next read begins: into a small one while
 * `isSmall`. Node offers that for outgoing connections only, so this sets what its option sets, before the first read.
 * Returns false if it cannot; the caller then reads the usual way, which costs a buffer per read and nothing else.
 */
function readsInto(
  socket: Socket,
  isSmall: () => boolean,
  onRead: (length: number, buffer: Buffer) => boolean,
): boolean {
  const handle = (socket as unknown as { _handle?: { useUserBuffer?(buffer: Uint8Array): void } })._handle;
  if (readSlots === null || typeof handle?.useUserBuffer !== 'function') return false;
  const slots = socket as unknown as Record<symbol, unknown>;
  slots[readSlots.buffer] = smallReadBuffer;
  slots[readSlots.callback] = onRead;
  slots[readSlots.nextBuffer] = () => {
    if (isSmall()) return undefined;
    slots[readSlots.nextBuffer] = null;
    return readBuffer;
  };
  handle.useUserBuffer(smallReadBuffer);
  return true;
}
