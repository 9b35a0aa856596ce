/** A listener that an operator may stop and start again, at the same address. */
import type { Listener } from '../contracts/transport.ts';

export class RestartableListener implements Listener {
  readonly #open: (port: number) => Promise<Listener>;
  /** The present one, or the last one. */
  #current: Listener;
  /** One change after the other. */
  #changing: Promise<unknown> = Promise.resolve();

  private constructor(open: (port: number) => Promise<Listener>, first: Listener) {
    this.#open = open;
    this.#current = first;
  }

  /** `open` is called with the port. Rejects as it does. */
  static async open(open: (port: number) => Promise<Listener>, port: number): Promise<RestartableListener> {
    return new RestartableListener(open, await open(port));
  }

  get kind() {
    return this.#current.kind;
  }

  get host() {
    return this.#current.host;
  }

  get port() {
    return this.#current.port;
  }

  get url() {
    return this.#current.url;
  }

  get isListening() {
    return this.#current.isListening;
  }

  get expiring() {
    return this.#current.expiring;
  }

  reloadCertificates(): Promise<void> {
    return this.#current.reloadCertificates();
  }

  close(): Promise<void> {
    return this.#inTurn(() => this.#current.close());
  }

  /**
   * Where it was before. Does nothing if it listens. Rejects if the address cannot be had, or a file not be used.
   */
  start(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.isListening) this.#current = await this.#open(this.port);
    });
  }

  #inTurn<Result>(change: () => Promise<Result>): Promise<Result> {
    const changed = this.#changing.then(change);
    this.#changing = changed.catch(() => {});
    return changed;
  }
}
