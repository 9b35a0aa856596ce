import type { Socket } from 'node:net';
import { addressOf as plainAddressOf, sourceOf } from '../base/addresses.ts';
import type { ListenerLog } from './listener-log.ts';

/**
 * The connections of one listener that are not a stream yet: before their PROXY header, in their TLS handshake, or
 * before their HTTP upgrade.
 *
 * The broker does not know of them, so what would otherwise be unlimited is limited here: how many there are, and how
 * long one may take in all, however slowly its bytes trickle in. Whoever keeps many of them open keeps nobody else out.
 */
export class Handshakes {
  readonly #timeoutSeconds: number;
  readonly #countMax: number;
  readonly #listenerLog: ListenerLog;
  readonly #open = new Map<string, Handshake>();
  /** The same ones, by where they come from, the oldest first. */
  readonly #bySource = new Map<string, Set<Handshake>>();

  constructor(timeoutSeconds: number, countMax: number, listenerLog: ListenerLog) {
    this.#timeoutSeconds = timeoutSeconds;
    this.#countMax = countMax;
    this.#listenerLog = listenerLog;
  }

  /** `socket` was just accepted, and its server has begun with it. */
  begin(socket: Socket): void {
    const remoteAddress = addressOf(socket);
    const source = sourceOf(plainAddressOf(remoteAddress));
    if (this.#open.size >= this.#countMax && !this.#makeRoomFor(source)) {
      socket.destroy();
      return this.#tellNoRoom(remoteAddress);
    }
    const key = connectionKey(socket);
    const timer = setTimeout(() => this.#giveUp(handshake), this.#timeoutSeconds * 1000);
    const end = () => {
      clearTimeout(timer);
      if (this.#open.get(key) === handshake) this.#open.delete(key);
      this.#leaveSource(handshake);
    };
    const handshake: Handshake = { socket, end, remoteAddress, source };
    this.#open.set(key, handshake);
    this.#enterSource(handshake);
    socket.once('close', end);
  }

  /** A proxy has said from where `socket` really comes: `address:port`. */
  comesFrom(socket: Socket, remoteAddress: string): void {
    const handshake = this.#open.get(connectionKey(socket));
    if (handshake === undefined) return;
    this.#leaveSource(handshake);
    handshake.remoteAddress = remoteAddress;
    handshake.source = sourceOf(plainAddressOf(remoteAddress));
    this.#enterSource(handshake);
  }

  /**
   * The connection has become a stream; returns where it comes from. `socket` may be the TLS socket over the one that
   * began.
   */
  finish(socket: Socket): string {
    const handshake = this.#open.get(connectionKey(socket));
    if (handshake === undefined) return addressOf(socket);
    handshake.socket.off('close', handshake.end);
    handshake.end();
    return handshake.remoteAddress;
  }

  /** Where a connection comes from that is still in its handshake, for the log. */
  whereFrom(socket: Socket): string {
    return this.#open.get(connectionKey(socket))?.remoteAddress ?? addressOf(socket);
  }

  /** The listener closes: nobody waits for them any more. */
  abandon(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
  }

  /**
   * Gives up the oldest of whoever has the most, unless the newcomer would have as many then: when a fleet comes back
   * at once through one address, those that began must be able to finish.
   */
  #makeRoomFor(source: string): boolean {
    let most: ReadonlySet<Handshake> = new Set();
    for (const each of this.#bySource.values()) if (each.size > most.size) most = each;
    if (most.size <= (this.#bySource.get(source)?.size ?? 0) + 1) return false;
    const [oldest] = most;
    oldest!.socket.off('close', oldest!.end);
    oldest!.socket.destroy();
    oldest!.end();
    this.#tellNoRoom(oldest!.remoteAddress);
    return true;
  }

  #giveUp({ socket, remoteAddress }: Handshake): void {
    socket.destroy();
    this.#listenerLog.audit(remoteAddress, `its handshake took longer than ${this.#timeoutSeconds} s`);
  }

  #tellNoRoom(remoteAddress: string): void {
    const what = `${this.#countMax} clients are in their handshake, as many as there may be`;
    this.#listenerLog.refuse(remoteAddress, what, `${what}: some are turned away`);
  }

  #enterSource(handshake: Handshake): void {
    const others = this.#bySource.get(handshake.source);
    if (others === undefined) this.#bySource.set(handshake.source, new Set([handshake]));
    else others.add(handshake);
  }

  #leaveSource(handshake: Handshake): void {
    const others = this.#bySource.get(handshake.source);
    others?.delete(handshake);
    if (others?.size === 0) this.#bySource.delete(handshake.source);
  }
}

interface Handshake {
  readonly socket: Socket;
  readonly end: () => void;
  remoteAddress: string;
  /** What counts as one source of connections. */
  source: string;
}

export const addressOf = (socket: Socket) => `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;

/**
 * A TLS socket and the plain one below it have only their addresses in common. One peer port may lead to two of our
 * addresses at a time, so both ends count.
 */
const connectionKey = (socket: Socket) => `${socket.remoteAddress}:${socket.remotePort} ${socket.localAddress}`;
