/**
 * The other end of a connection of any kind, as a client sees it, over a plain socket that the test can reset.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import type { Listener } from '../../../src/contracts/transport.ts';
import { eventually } from './eventually.ts';

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

  static async open(listener: Listener): Promise<Peer> {
    const { kind, port, url } = listener;
    const raw = connect(port, '127.0.0.1');
    raw.on('error', () => {});
    const trusting = { socket: raw, rejectUnauthorized: false };
    if (kind === 'tcp') {
      await once(raw, 'connect');
      return new Peer(raw, raw);
    }
    if (kind === 'tls') {
      const socket = connectTls(trusting);
      await once(socket, 'secureConnect');
      return new Peer(raw, socket);
    }
    const createConnection = () => (kind === 'ws' ? raw : connectTls(trusting));
    const socket = new WebSocket(url, ['mqtt'], { createConnection: createConnection as never });
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

  /** RST instead of FIN. */
  reset(): void {
    this.raw.resetAndDestroy();
  }
}
