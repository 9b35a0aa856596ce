/**
 * What a listener behind a proxy does first with a connection: it reads the PROXY header, from trusted proxies only.
 */
import type { Server, Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import { AddressSet } from '../base/addresses.ts';
import { addressOf, type Handshakes } from './handshakes.ts';
import type { ListenerLog } from './listener-log.ts';
import { ProxyHeader } from './proxy-header.ts';

/** Takes what has come; returns where the header ends in it, or null while more is to come, or will no more. */
export type HeaderReader = (bytes: Buffer, end: number) => number | null;

export class ProxyGate {
  readonly #trusted: AddressSet;
  readonly #handshakes: Handshakes;
  readonly #listenerLog: ListenerLog;

  constructor(trustedProxies: readonly string[], handshakes: Handshakes, listenerLog: ListenerLog) {
    this.#trusted = new AddressSet(trustedProxies);
    this.#handshakes = handshakes;
    this.#listenerLog = listenerLog;
  }

  /** Null if the peer is no trusted proxy; then the connection is closed. `handshakes` limits how long it takes. */
  admit(socket: Socket): HeaderReader | null {
    const from = addressOf(socket);
    const { remoteAddress } = socket;
    // The peer has gone again: so do proxies that only look whether somebody listens.
    if (remoteAddress === undefined) {
      socket.destroy();
      return null;
    }
    if (!this.#trusted.has(remoteAddress)) {
      return this.#refuse(socket, from, 'its address is not in trustedProxies');
    }
    const header = new ProxyHeader();
    return (bytes, end) => {
      try {
        const behind = header.take(bytes, 0, end);
        if (!header.isComplete) return null;
        const { peer } = header;
        if (peer !== null) this.#handshakes.comesFrom(socket, `${peer.address}:${peer.port}`);
        return behind;
      } catch (error) {
        return this.#refuse(socket, from, (error as Error).message);
      }
    };
  }

  #refuse(socket: Socket, from: string, reason: string): null {
    this.#listenerLog.refuse(from, reason, `a connection from ${from} was refused: ${reason}`);
    socket.destroy();
    return null;
  }

  /** Lets what `server` does with a connection begin behind the header. */
  guard(server: Server): void {
    beginBehind(server, 'connection', this.#listenerLog, {
      admit: (socket) => this.admit(socket),
      when: (begin) => begin(),
    });
  }
}

/** Plain, or with its TLS handshake done. */
export type BeginEvent = 'connection' | 'secureConnection';

export interface Beginning {
  admit(socket: Socket): HeaderReader | null;
  /** Calls back at once or later. */
  when(begin: () => void): void;
}

/**
 * Lets what `server` does with a connection at `event` begin once its first bytes have come and a header, if there is
 * to be one, was read off them.
 */
export function beginBehind(
  server: Server,
  event: BeginEvent,
  listenerLog: ListenerLog,
  { admit, when }: Beginning,
): void {
  const listeners = server.listeners(event) as ((this: Server, socket: Socket) => void)[];
  server.removeAllListeners(event);
  // A TLS socket takes what is there from the one below it, which must not flow. An HTTP server waits for it.
  const begunFlows = !(server instanceof TlsServer && event === 'connection');
  server.on(event, (socket: Socket) => {
    const read = admit(socket);
    if (read === null) return;
    const close = () => socket.destroy();
    const begin = () => {
      socket.off('end', close).off('error', close);
      if (socket.destroyed) return;
      for (const each of listeners) each.call(server, socket);
      if (begunFlows) socket.resume();
    };
    const onBytes = (bytes: Buffer) => {
      const behind = read(bytes, bytes.length);
      if (behind === null) return;
      socket.off('data', onData).pause();
      if (behind < bytes.length) socket.unshift(bytes.subarray(behind));
      when(() => void listenerLog.contain(socket, begin));
    };
    const onData = (bytes: Buffer) => void listenerLog.contain(socket, () => onBytes(bytes));
    socket.on('data', onData).on('end', close).on('error', close);
    // One that was paused before stays so otherwise.
    socket.resume();
  });
}
