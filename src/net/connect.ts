/**
 * Connections outwards: what a bridge dials becomes a `ByteStream` like one that was accepted.
 *
 * Each attempt asks DNS anew and tries every address that it gives, of both families, a quarter of a second after the
 * other (`autoSelectFamily`): one that does not answer costs no more than that. [RFC 8305]
 */
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions as TlsConnectionOptions } from 'node:tls';
import type { Accept, PeerAddress } from '../contracts/transport.ts';
import { addressOf } from './handshakes.ts';
import { acceptTcp, acceptTls } from './socket-stream.ts';
import { connectWebSocket } from './websocket-client.ts';

/** Read once for each attempt, so renewed files are used. Rejects with what is wrong with them. */
export type TlsMaterialOf = () => Promise<TlsConnectionOptions>;

export interface DialOptions {
  readonly address: PeerAddress;
  /** Null: without TLS. */
  readonly tls: TlsMaterialOf | null;
  /** For TCP, TLS and the upgrade together. */
  readonly timeoutMs: number;
  /** Of one frame of a WebSocket. */
  readonly frameBytesMax: number;
  /** In place of `dns.lookup`. */
  readonly lookup?: LookupFunction;
}

/**
 * Calls `accept` with the stream once there is a connection, or `failed` with why there is none; one of them, once.
 * Returns how to give up: then neither is called.
 */
export function dial(options: DialOptions, accept: Accept, failed: (error: Error) => void): () => void {
  const attempt = new Attempt(options, accept, failed);
  attempt.begin().catch((error: Error) => attempt.fail(error));
  return () => attempt.abandon();
}

class Attempt {
  readonly #options: DialOptions;
  readonly #accept: Accept;
  readonly #failed: (error: Error) => void;
  readonly #timer: NodeJS.Timeout;
  #isOver = false;
  /** Ends what is under way. */
  #cut: () => void = () => {};

  constructor(options: DialOptions, accept: Accept, failed: (error: Error) => void) {
    this.#options = options;
    this.#accept = accept;
    this.#failed = failed;
    const { timeoutMs, address } = options;
    const late = () => this.fail(new Error(`no connection within ${timeoutMs / 1_000} s to ${urlOf(address)}`));
    this.#timer = setTimeout(late, timeoutMs);
    this.#timer.unref();
  }

  async begin(): Promise<void> {
    const { address, tls, frameBytesMax, lookup } = this.#options;
    const names = lookup === undefined ? {} : { lookup };
    const material = tls === null ? null : await tls();
    if (this.#isOver) return;
    const secure = material === null ? {} : { ...material, ...serverNameOf(address, material) };
    switch (address.kind) {
      case 'tcp':
        return this.#socket(connectTcp({ ...whereTo(address), ...names }), 'connect', (socket) =>
          this.#done(() => acceptTcp(socket, this.#accept)),
        );
      case 'tls':
        return this.#socket(connectTls({ ...whereTo(address), ...secure, ...names }), 'secureConnect', (socket) =>
          this.#done(() => acceptTls(socket, addressOf(socket), this.#accept)),
        );
      default: {
        const webSocket = connectWebSocket(
          { url: urlOf(address), kind: address.kind, options: { ...secure, ...names }, frameBytesMax },
          (open) => this.#done(() => open(this.#accept)),
          (error) => this.fail(error),
        );
        this.#cut = () => webSocket.terminate();
      }
    }
  }

  #socket<Any extends Socket>(socket: Any, event: string, connected: (socket: Any) => void): void {
    const failed = (error: Error) => this.fail(error);
    this.#cut = () => socket.destroy();
    socket.once('error', failed).once('close', () => this.fail(new Error('the connection was closed at once')));
    socket.once(event, () => {
      socket.off('error', failed);
      connected(socket);
    });
  }

  /** From here on the stream tells of its end itself. */
  #done(accept: () => void): void {
    if (this.#isOver) return;
    this.#end();
    accept();
  }

  fail(error: Error): void {
    if (this.#isOver) return;
    this.abandon();
    this.#failed(inWords(error));
  }

  abandon(): void {
    if (this.#isOver) return;
    this.#end();
    this.#cut();
  }

  #end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }
}

/** Half-open as those that are accepted: see `SocketStream`. */
const whereTo = ({ host, port }: PeerAddress) => ({
  host,
  port,
  allowHalfOpen: true,
  autoSelectFamily: true,
  noDelay: true,
});

/** A name and no address. [RFC 6066 3] */
function serverNameOf({ host }: PeerAddress, { servername }: TlsConnectionOptions): { servername?: string } {
  if (servername !== undefined) return { servername };
  return isIP(host) === 0 ? { servername: host } : {};
}

const schemes = { tcp: 'mqtt', tls: 'mqtts', ws: 'ws', wss: 'wss' } as const;

/** As an operator writes it. */
export function urlOf({ kind, host, port, path }: PeerAddress): string {
  return `${schemes[kind]}://${host.includes(':') ? `[${host}]` : host}:${port}${path}`;
}

/** Of several addresses, Node has an error of each in one that says nothing itself. */
function inWords(error: Error): Error {
  if (!(error instanceof AggregateError)) return error;
  return new Error(error.errors.map((each: Error) => each.message).join('; '), { cause: error });
}
