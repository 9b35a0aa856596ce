/**
 * A network between a bridge and its peer, as bad as one likes: a proxy that cuts connections in the middle of a
 * packet, is slow, lets nothing in for a while, or goes silent in one direction or both while the connection looks
 * open.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export const directions = ['out', 'in', 'both'] as const;
/** `out`: from the bridge to its peer. */
export type Direction = (typeof directions)[number];

/** Bytes at a time over a slow link. */
const slowBytes = 200;

export class BadLink {
  readonly port: number;
  /** Where the peer listens; null: nowhere. */
  target: number | null = null;
  /** New connections are refused. */
  isClosed = false;
  /** Each piece of some hundred bytes takes so long. */
  delayMs = 0;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async open(): Promise<BadLink> {
    const server = createServer({ noDelay: true, allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new BadLink(server);
  }

  #accept(socket: Socket): void {
    if (this.isClosed || this.target === null) return void socket.resetAndDestroy();
    const peer = connect({ port: this.target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    const connection: Connection = new Connection(socket, peer, this, () => this.#connections.delete(connection));
    this.#connections.add(connection);
  }

  /** Ends the connections there are, once `bytes` more have gone through in either direction. */
  cut(bytes: number): void {
    for (const connection of this.#connections) connection.cutAfter(bytes);
  }

  /** Nothing more comes through the connections there are, and nobody is told. */
  silence(direction: Direction): void {
    for (const connection of this.#connections) connection.silence(direction);
  }

  /** From now on all is well; connections that are not, end. */
  heal(): void {
    this.isClosed = false;
    this.delayMs = 0;
    this.cut(0);
  }

  async close(): Promise<void> {
    this.cut(0);
    this.#server.close();
    await once(this.#server, 'close');
  }
}

class Connection {
  readonly #sockets: Readonly<Record<'out' | 'in', Socket>>;
  readonly #link: BadLink;
  readonly #onEnd: () => void;
  #bytesLeft = Number.POSITIVE_INFINITY;
  readonly #silent = new Set<'out' | 'in'>();

  constructor(bridge: Socket, peer: Socket, link: BadLink, onEnd: () => void) {
    // By where bytes go that are read there.
    this.#sockets = { out: bridge, in: peer };
    this.#link = link;
    this.#onEnd = onEnd;
    this.#forward('out', bridge, peer);
    this.#forward('in', peer, bridge);
  }

  #forward(direction: 'out' | 'in', from: Socket, to: Socket): void {
    from.on('error', () => {}); // 'close' follows
    from.on('data', (bytes) => this.#pass(direction, bytes, from, to));
    from.on('end', () => {
      if (!this.#silent.has(direction)) to.end();
    });
    from.on('close', () => {
      if (!this.#silent.has(direction)) to.destroy();
      if (this.#sockets.out.destroyed && this.#sockets.in.destroyed) this.#onEnd();
    });
  }

  #pass(direction: 'out' | 'in', bytes: Buffer, from: Socket, to: Socket): void {
    if (this.#silent.has(direction)) return;
    const some = bytes.subarray(0, this.#bytesLeft);
    this.#bytesLeft -= some.length;
    if (this.#link.delayMs === 0) to.write(some);
    else {
      from.pause();
      this.#passSlowly(direction, some, from, to);
    }
    if (this.#bytesLeft === 0) this.#end();
  }

  #passSlowly(direction: 'out' | 'in', bytes: Buffer, from: Socket, to: Socket): void {
    if (this.#silent.has(direction) || bytes.length === 0) return void from.resume();
    setTimeout(() => {
      to.write(bytes.subarray(0, slowBytes));
      this.#passSlowly(direction, bytes.subarray(slowBytes), from, to);
    }, this.#link.delayMs);
  }

  cutAfter(bytes: number): void {
    this.#bytesLeft = Math.min(this.#bytesLeft, bytes);
    if (bytes === 0) this.#end();
  }

  silence(direction: Direction): void {
    if (direction !== 'in') this.#silent.add('out');
    if (direction !== 'out') this.#silent.add('in');
  }

  #end(): void {
    for (const socket of Object.values(this.#sockets)) {
      // What was written before gets through.
      socket.end(() => socket.destroy());
      socket.resume();
    }
    setTimeout(() => {
      for (const socket of Object.values(this.#sockets)) socket.destroy();
    }, 20);
    this.#onEnd();
  }
}
