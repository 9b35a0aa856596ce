/**
 * Any Duplex as a `ByteStream`: what a program hands over, whether it is a socket or not.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Accept } from '../contracts/transport.ts';
import { addressOf } from './handshakes.ts';
import { acceptEvents, acceptTcp, acceptTls, SocketStream } from './socket-stream.ts';

class DuplexStream extends SocketStream {
  /** A copy: other than a socket, a Duplex may hand on the very memory that it was given, long after the write. */
  override write(bytes: Uint8Array): void {
    super.write(Buffer.from(bytes));
  }
}

/** Where a Duplex comes from, as `address:port`. Null: it is no socket, and only the program can know. */
export const whereFrom = (duplex: Duplex): string | null => (duplex instanceof Socket ? addressOf(duplex) : null);

/** Throws a TypeError, which says why, if this is nothing that bytes can come and go through. */
export function assertUsable(duplex: Duplex): void {
  const isDuplex =
    typeof duplex?.on === 'function' && typeof duplex.write === 'function' && 'readableFlowing' in duplex;
  if (!isDuplex) throw new TypeError('handle: expected a Duplex stream, such as a socket');
  if (duplex.destroyed || duplex.readableEnded || !duplex.writable) {
    throw new TypeError('handle: the stream has ended; hand it over when it comes');
  }
  if (duplex.readableObjectMode || duplex.writableObjectMode) {
    throw new TypeError('handle: the stream is in object mode; MQTT needs one of bytes');
  }
  if (duplex.readableEncoding !== null) {
    throw new TypeError('handle: the stream decodes its bytes as text (setEncoding); MQTT needs the bytes');
  }
}

/** `assertUsable` accepts it. `remoteAddress`: `address:port`. */
export function acceptDuplex(duplex: Duplex, remoteAddress: string, accept: Accept, state?: unknown): void {
  // What Node would close by itself has to stay open until what was written has left: see `SocketStream`.
  duplex.allowHalfOpen = true;
  if (duplex instanceof TLSSocket) return acceptTls(duplex, remoteAddress, accept, state);
  if (!(duplex instanceof Socket)) {
    return acceptEvents(new DuplexStream('stream', duplex, remoteAddress, null, state), duplex, accept);
  }
  const isUntouched = duplex.bytesRead === 0 && duplex.readableFlowing === null && duplex.readableLength === 0;
  if (isUntouched && remoteAddress === addressOf(duplex)) return acceptTcp(duplex, accept, state);
  acceptEvents(new SocketStream('tcp', duplex, remoteAddress, null, state), duplex, accept);
}
