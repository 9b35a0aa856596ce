/**
 * One client's way to the broker within the process: the broker's end of a connection. Each side keeps the other from
 * sending more than is taken.
 */
import { Duplex } from 'node:stream';

const endTimeoutMs = 5_000;

export class BrokerStream extends Duplex {
  readonly #onBytes: (bytes: Buffer) => Promise<void> | null;
  readonly #onEnd: () => void;
  #whenRead: (() => void) | null = null;
  #hasEnded = false;

  /** `onBytes`: what the broker writes; the next bytes come when its promise resolves. `onEnd`: it writes no more. */
  constructor(onBytes: (bytes: Buffer) => Promise<void> | null, onEnd: () => void) {
    super({ allowHalfOpen: true });
    this.#onBytes = onBytes;
    this.#onEnd = onEnd;
    this.on('error', () => {});
  }

  /** To the broker. A promise: it wants no more until that resolves. */
  send(bytes: Buffer): Promise<void> | null {
    if (this.#hasEnded || this.destroyed || this.push(bytes)) return null;
    return new Promise((resolve) => {
      this.#whenRead = resolve;
    });
  }

  /** The client has gone: behind a DISCONNECT or without one. */
  finish(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#resume();
    if (this.destroyed) return;
    this.push(null);
    // A broker that does not read, since it waits for something, does not see the end either.
    const late = setTimeout(() => this.destroy(), endTimeoutMs).unref();
    this.once('close', () => clearTimeout(late));
  }

  override _read(): void {
    this.#resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const waiting = this.#onBytes(bytes);
    if (waiting === null) done();
    else waiting.then(() => done(), done);
  }

  override _final(done: () => void): void {
    done();
    this.#onEnd();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#resume();
    done(error);
    this.#onEnd();
  }

  #resume(): void {
    const resolve = this.#whenRead;
    this.#whenRead = null;
    resolve?.();
  }
}
