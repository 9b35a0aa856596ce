/**
 * What a listener tells of connections that it turned away before the broker knew of them: their certificate, their
 * PROXY header or their HTTP request was not good enough, or they took too long.
 *
 * Anybody can cause these at will, so the log has a few lines of each kind and the number of the others. The audit log
 * limits itself.
 */
import { RateLimitedLog } from '../base/rate-limited-log.ts';
import type { Audit } from '../contracts/audit.ts';
import type { Log } from '../contracts/log.ts';

const limits = {
  intervalMs: 1_000,
  most: {
    refused: 1,
    /** The operating system gives no connection: there are too many open files, for one. */
    failed: 1,
    /** A bug of ours, of which only one connection had the disadvantage. */
    bug: 1,
  },
};

export class ListenerLog {
  /** The listener's URL, once it has one. */
  listener = '';
  readonly #plainLog: Log;
  readonly #log: RateLimitedLog<keyof typeof limits.most>;
  readonly #audit: Audit | null;

  constructor(log: Log, audit: Audit | null) {
    this.#plainLog = log;
    this.#log = new RateLimitedLog(log, limits, () => performance.now());
    this.#audit = audit;
  }

  /** For both logs. `from` is `address:port`; `line` is what the log says. */
  refuse(from: string, reason: string, line = `a client at ${from} was turned away: ${reason}`): void {
    this.#log.warn('refused', { listener: this.listener }, line);
    this.audit(from, reason);
  }

  /** For the audit log, and the log at `debug`: nothing that an operator could do better. */
  audit(from: string, reason: string): void {
    const { listener } = this;
    this.#plainLog.debug({ from, listener, reason }, 'turned away before MQTT');
    if (this.#audit?.wants('handshakeRefused')) {
      this.#audit.record({ event: 'handshakeRefused', from, listener, reason });
    }
  }

  /** A connection could not be accepted. */
  fail(line: string): void {
    this.#log.warn('failed', { listener: this.listener }, line);
  }

  /**
   * Runs what a listener does with one connection: a bug in it costs that connection, where it would end the process
   * otherwise.
   */
  contain<T>(socket: { destroy(): unknown }, run: () => T): T | null {
    try {
      return run();
    } catch (error) {
      const stack = error instanceof Error ? error.stack : String(error);
      this.#log.warn('bug', { listener: this.listener }, `a bug in Sluice kept a connection out: ${stack}`);
      socket.destroy();
      return null;
    }
  }
}
