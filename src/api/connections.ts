/**
 * The connections of all listeners of the API: how many there are, and from where. When all are taken, one that asks
 * nothing at present goes for the newcomer, of those who have most of them, so that nobody keeps others out by
 * connecting and saying nothing.
 */
import type { Socket } from 'node:net';

export interface ConnectionLimits {
  readonly connections: number;
  /** 0: any number. */
  readonly connectionsPerAddress: number;
}

interface Connection {
  readonly socket: Socket;
  /** What it counts under; null: exempt. */
  readonly source: string | null;
  /** Requests that are not answered. */
  requests: number;
}

export class ApiConnections {
  readonly #limits: ConnectionLimits;
  /** By the address and port of each end, which is another one for each that is open; the oldest first. */
  readonly #open = new Map<string, Connection>();
  readonly #perSource = new Map<string, number>();

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  /** False: there is no room for it. */
  add(socket: Socket, source: string | null): boolean {
    const { connections, connectionsPerAddress } = this.#limits;
    const own = source === null ? 0 : (this.#perSource.get(source) ?? 0);
    if (source !== null && connectionsPerAddress > 0 && own >= connectionsPerAddress) return false;
    if (this.#open.size >= connections && !this.#makeRoom()) return false;
    const name = nameOf(socket);
    this.#open.set(name, { socket, source, requests: 0 });
    if (source !== null) this.#perSource.set(source, own + 1);
    socket.once('close', () => this.#remove(name));
    return true;
  }

  /** A request has come; `socket` may be that of TLS. Returns how many of it are not answered, with this one. */
  begin(socket: Socket): number {
    const connection = this.#open.get(nameOf(socket));
    return connection === undefined ? 1 : ++connection.requests;
  }

  /** `name`: as `nameOf` gave it when the request came. */
  end(name: string): void {
    const connection = this.#open.get(name);
    if (connection !== undefined) connection.requests--;
  }

  #makeRoom(): boolean {
    let found: [name: string, connection: Connection] | null = null;
    let most = -1;
    for (const entry of this.#open) {
      const [, { source, requests }] = entry;
      const count = source === null ? 0 : this.#perSource.get(source)!;
      if (requests > 0 || count <= most) continue;
      found = entry;
      most = count;
    }
    if (found === null) return false;
    const [name, { socket }] = found;
    this.#remove(name);
    socket.destroy();
    return true;
  }

  #remove(name: string): void {
    const connection = this.#open.get(name);
    if (connection === undefined) return;
    this.#open.delete(name);
    const { source } = connection;
    if (source === null) return;
    const left = this.#perSource.get(source)! - 1;
    if (left === 0) this.#perSource.delete(source);
    else this.#perSource.set(source, left);
  }
}

export const nameOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
