/**
 * Tells of connections that a listener turned away before the broker knew of them: their certificate, their PROXY
 * header or their HTTP request was not good enough, or they took too long.
 *
 * Anybody can cause these at will. So the log has a line a second at most, which says how many were left out; the audit
 * log, which is to have each, says itself when there are too many.
 */
import type { Socket } from 'node:net';
import type { Audit } from '../contracts/audit.ts';
import type { Log } from '../contracts/log.ts';

const quietMs = 1_000;

export class Refusals {
  /** The listener's URL, once it has one. */
  listener = '';
  readonly #log: Log;
  readonly #audit: Audit | null;
  #quietUntil = 0;
  #leftOut = 0;

  constructor(log: Log, audit: Audit | null) {
    this.#log = log;
    this.#audit = audit;
  }

  /** For both logs. `from` is `address:port`; `line` is what the log says. */
  refuse(from: string, reason: string, line = `a client at ${from} was turned away: ${reason}`): void {
    this.warn(line);
    this.note(from, reason);
  }

  /** For the audit log alone: nothing that an operator could do better. */
  note(from: string, reason: string): void {
    const { listener } = this;
    if (this.#audit?.wants('handshakeRefused')) {
      this.#audit.record({ event: 'handshakeRefused', from, listener, reason });
    }
  }

  /**
   * Runs what a listener does with one connection: a bug in it costs that connection, where it would end the process
   * otherwise.
   */
  contain<T>(socket: Pick<Socket, 'destroy'>, run: () => T): T | null {
    try {
      return run();
    } catch (error) {
      this.warn(`a bug in Sluice kept a connection out: ${error instanceof Error ? error.stack : String(error)}`);
      socket.destroy();
      return null;
    }
  }

  /** For the log alone. */
  warn(line: string): void {
    const now = performance.now();
    if (now < this.#quietUntil) {
      this.#leftOut++;
      return;
    }
    const text = this.#leftOut === 0 ? line : `${line} (and ${this.#leftOut} such lines before)`;
    this.#log.warn({ listener: this.listener }, text);
    this.#quietUntil = now + quietMs;
    this.#leftOut = 0;
  }
}
