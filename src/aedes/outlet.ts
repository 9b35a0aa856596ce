/** What is written to one client: as fast as it reads, and no longer waiting for it than is allowed. */
import type { Duplex } from 'node:stream';
import mqttPacket, { type Packet } from 'mqtt-packet';

export class Outlet {
  /** As CONNECT says. */
  protocolVersion = 4;
  readonly #conn: Duplex;
  readonly #drainTimeoutMs: number;
  #draining: Promise<void> | null = null;

  constructor(conn: Duplex, drainTimeoutMs: number) {
    this.#conn = conn;
    this.#drainTimeoutMs = drainTimeoutMs;
  }

  /** A promise: the client is to read before more is written. Throws if this cannot be a packet. */
  write(packet: Packet): Promise<void> | null {
    const conn = this.#conn;
    const bytes = mqttPacket.generate(packet, { protocolVersion: this.protocolVersion });
    if (conn.destroyed || !conn.writable || conn.write(bytes)) return null;
    return (this.#draining ??= this.#drained());
  }

  #drained(): Promise<void> {
    const conn = this.#conn;
    return new Promise((resolve) => {
      const ms = this.#drainTimeoutMs;
      const timer = ms > 0 ? setTimeout(() => conn.destroy(new Error('drain timeout')), ms).unref() : undefined;
      const done = () => {
        clearTimeout(timer);
        conn.off('drain', done).off('close', done);
        this.#draining = null;
        resolve();
      };
      conn.on('drain', done).on('close', done);
    });
  }

  /** What was written goes out first, for a second at most. */
  finish(): void {
    const conn = this.#conn;
    if (conn.destroyed) return;
    const timer = setTimeout(() => conn.destroy(), 1_000).unref();
    conn.once('close', () => clearTimeout(timer));
    conn.end(() => conn.destroy());
  }
}
