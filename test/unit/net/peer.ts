/**
 * The other end of a connection of any kind, as a client sees it, over a plain socket that the test can reset.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import type { Listener } from '../../../src/contracts/transport.ts';
import { eventually } from './eventually.ts';

export interface PeerOptions {
  /** Sent first, in one piece with what comes first otherwise, which is then cut at `cut`. */
  readonly behind?: { readonly header: Buffer; readonly cut: number };
  readonly tls?: ConnectionOptions;
  /** One of this machine's. */
  readonly localAddress?: string;
  /** Of the HTTP request. */
  readonly headers?: Readonly<Record<string, string>>;
}

export class Peer {
  /** The TCP socket at the bottom. */
  readonly raw: Socket;
  readonly send: (bytes: Buffer) => void;
  readonly pause: () => void;
  readonly resume: () => void;
  /** Closes in good order. */
  readonly end: () => void;
  isClosed = false;
  #chunks: Buffer[] = [];
  #length = 0;

  private constructor(raw: Socket, stream: Duplex | WebSocket) {
    this.raw = raw;
    stream.on('error', () => {});
    stream.on('close', () => {
      this.isClosed = true;
    });
    const keep = (bytes: Buffer) => {
      this.#chunks.push(bytes);
      this.#length += bytes.length;
    };
    if (stream instanceof WebSocket) {
      stream.on('message', keep);
      this.send = (bytes) => stream.send(bytes);
      this.end = () => stream.close();
    } else {
      stream.on('data', keep);
      this.send = (bytes) => void stream.write(bytes);
      this.end = () => void stream.end();
    }
    this.pause = () => void stream.pause();
    this.resume = () => void stream.resume();
  }

  static async open(
    listener: Listener,
    { behind, tls = {}, headers = {}, localAddress }: PeerOptions = {},
  ): Promise<Peer> {
    const { kind, host, port, url } = listener;
    const raw =
      kind === 'unix'
        ? connect(host)
        : connect({
            port,
            host: '127.0.0.1',
            noDelay: true,
            ...(localAddress === undefined ? {} : { localAddress }),
          });
    raw.on('error', () => {});
    const below = behind === undefined ? raw : cutWrites(raw, behind);
    const trusting = { socket: below, rejectUnauthorized: false, ...tls };
    if (kind === 'tcp' || kind === 'unix') {
      await once(raw, 'connect');
      return new Peer(raw, below);
    }
    if (kind === 'tls') {
      const socket = connectTls(trusting);
      await ended(once(socket, 'secureConnect'), socket);
      return new Peer(raw, socket);
    }
    const createConnection = () => (kind === 'ws' ? below : connectTls(trusting));
    const socket = new WebSocket(url, ['mqtt'], { createConnection: createConnection as never, headers });
    const peer = new Peer(raw, socket);
    await once(socket, 'open');
    return peer;
  }

  get receivedLength(): number {
    return this.#length;
  }

  /** So many bytes, once they have come, or all until the end. */
  async received(length = Number.POSITIVE_INFINITY): Promise<Buffer> {
    await eventually(() => this.#length >= length || this.isClosed);
    return Buffer.concat(this.#chunks);
  }

  /** RST instead of FIN; a Unix-domain socket has none, and only closes. */
  reset(): void {
    if (this.raw.remoteAddress === undefined) this.raw.destroy();
    else this.raw.resetAndDestroy();
  }
}

/** What comes of `event`, or an error when the socket closes before it. */
function ended<T>(event: Promise<T>, socket: Socket): Promise<T> {
  const closed = once(socket, 'close').then(() => Promise.reject(new Error('closed during its handshake')));
  return Promise.race([event, closed]);
}

/** The first write goes out behind the header, and in two pieces with turns of the event loop between them. */
function cutWrites(raw: Socket, { header, cut }: { header: Buffer; cut: number }): Duplex {
  let isFirst = true;
  const duplex = new Duplex({
    read: () => void raw.resume(),
    async write(chunk: Buffer, _encoding, done) {
      const bytes = isFirst ? Buffer.concat([header, chunk]) : chunk;
      const end = isFirst ? cut : bytes.length;
      isFirst = false;
      raw.write(bytes.subarray(0, end));
      if (end < bytes.length) {
        for (let turn = 0; turn < 4; turn++) await new Promise(setImmediate);
        raw.write(bytes.subarray(end));
      }
      if (raw.writableLength > 0 && raw.writable) raw.once('drain', () => done());
      else done();
    },
    final: (done) => void raw.end(done),
    destroy(error, done) {
      raw.destroy();
      done(error);
    },
  });
  raw.on('data', (bytes: Buffer) => void (duplex.push(bytes) || raw.pause()));
  raw.on('end', () => duplex.push(null));
  raw.on('close', () => duplex.destroy());
  return duplex;
}
