import type { Socket } from 'node:net';

/**
 * The connections of one listener that are not a stream yet: before their PROXY header, in their TLS handshake, or before
 * their HTTP upgrade.
 *
 * The broker does not know of them, so what would otherwise be unlimited is limited here: how many there are, and how long
 * one may take in all, however slowly its bytes trickle in.
 */
export class Handshakes {
  readonly #timeoutMs: number;
  readonly #countMax: number;
  readonly #onRefused: () => void;
  readonly #open = new Map<string, Handshake>();

  constructor(timeoutMs: number, countMax: number, onRefused: () => void) {
    this.#timeoutMs = timeoutMs;
    this.#countMax = countMax;
    this.#onRefused = onRefused;
  }

  /** `socket` was just accepted, and its server has begun with it. */
  begin(socket: Socket): void {
    // The newest goes, not the oldest: when a fleet comes back at once, those that began must be able to finish.
    if (this.#open.size >= this.#countMax) {
      socket.destroy();
      return this.#onRefused();
    }
    const name = nameOf(socket);
    const timer = setTimeout(() => socket.destroy(), this.#timeoutMs);
    const end = () => {
      clearTimeout(timer);
      if (this.#open.get(name) === handshake) this.#open.delete(name);
    };
    const handshake: Handshake = { socket, end, remoteAddress: addressOf(socket) };
    this.#open.set(name, handshake);
    socket.once('close', end);
  }

  /** A proxy has said from where `socket` really comes: `address:port`. */
  comesFrom(socket: Socket, remoteAddress: string): void {
    const handshake = this.#open.get(nameOf(socket));
    if (handshake !== undefined) handshake.remoteAddress = remoteAddress;
  }

  /**
   * The connection has become a stream; returns where it comes from. `socket` may be the TLS socket over the one that began.
   */
  finish(socket: Socket): string {
    const handshake = this.#open.get(nameOf(socket));
    if (handshake === undefined) return addressOf(socket);
    handshake.socket.off('close', handshake.end);
    handshake.end();
    return handshake.remoteAddress;
  }

  /** Where a connection comes from that is still in its handshake, for the log. */
  whereFrom(socket: Socket): string {
    return this.#open.get(nameOf(socket))?.remoteAddress ?? addressOf(socket);
  }

  /** The listener closes: nobody waits for them any more. */
  abandon(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
  }
}

interface Handshake {
  readonly socket: Socket;
  readonly end: () => void;
  remoteAddress: string;
}

export const addressOf = (socket: Socket) => `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;

/**
 * A TLS socket and the plain one below it have only their addresses in common. One peer port may lead to two of our
 * addresses at a time, so both ends count.
 */
const nameOf = (socket: Socket) => `${socket.remoteAddress}:${socket.remotePort} ${socket.localAddress}`;
