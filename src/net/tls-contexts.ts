/**
 * What the handshakes of one listener use, and its replacement while the listener runs: files that change are used as
 * soon as they fit together. Open connections stay as they are.
 */
import type { SecureContext, Server, TlsOptions as ServerOptions } from 'node:tls';
import { FileWatch } from '../base/file-watch.ts';
import type { Log } from '../contracts/log.ts';
import type { ExpiringFile } from '../contracts/transport.ts';
import { ExpiryWatch } from './expiry.ts';
import type { TlsOptions } from './options.ts';
import { filesOf, loadTls, type TlsMaterial } from './tls-material.ts';

const pollMs = 1_000;
const expiryCheckMs = 2_000;

export class TlsContexts {
  readonly #options: TlsOptions;
  readonly #log: Log;
  #material: TlsMaterial;
  #expiry: ExpiryWatch;
  #listener = '';
  #server: Server | null = null;
  #expiryTimer: NodeJS.Timeout | null = null;
  #watch: FileWatch | null = null;
  /** Why the files cannot be used now, as the log has it. */
  #failure: string | null = null;

  private constructor(options: TlsOptions, log: Log, material: TlsMaterial) {
    this.#options = options;
    this.#log = log;
    this.#material = material;
    this.#expiry = new ExpiryWatch(material.dated);
  }

  /** Rejects with one line that says which file is wrong and what to do. */
  static async load(options: TlsOptions, log: Log): Promise<TlsContexts> {
    return new TlsContexts(options, log, await loadTls(options));
  }

  /** Of the files in use. */
  get dated(): readonly ExpiringFile[] {
    return this.#material.dated;
  }

  /** For the creation of the server. */
  serverOptions(): ServerOptions {
    const { clientCertificate = 'none', certificates = [] } = this.#options;
    return {
      ...this.#material.fallback,
      requestCert: clientCertificate !== 'none',
      // If optional, who has none must not be turned away; who has a wrong one is, by `refusalOf`.
      rejectUnauthorized: clientCertificate === 'required',
      // Node asks only if there is something to choose: it costs a pause in the handshake.
      ...(certificates.length === 0 ? {} : { SNICallback: (name, choose) => choose(null, this.#contextFor(name)) }),
    };
  }

  /** From now on `server` has what the files say. `listener` is its URL, for the log. */
  serve(server: Server, listener: string): void {
    this.#server = server;
    this.#listener = listener;
    this.#checkExpiry();
    this.#expiryTimer = setInterval(() => this.#checkExpiry(), expiryCheckMs).unref();
    // A file that changed just before it was loaded may have changed again without its times telling, since clocks of
    // files are coarse: all are loaded once more when they are at rest.
    this.#watch = new FileWatch(filesOf(this.#options), null, pollMs, () => this.#filesChanged());
  }

  /** Loads the files at once. Rejects, saying what is wrong with them, and then the old ones stay in use. */
  async reload(): Promise<void> {
    this.#watch?.forget();
    this.#use(await loadTls(this.#options));
  }

  close(): void {
    if (this.#expiryTimer !== null) clearInterval(this.#expiryTimer);
    this.#watch?.close();
    this.#watch = null;
  }

  /** Undefined: the first certificate, as for clients that give no name. */
  #contextFor(serverName: string): SecureContext | undefined {
    const name = serverName.toLowerCase();
    const { byName } = this.#material;
    // A wildcard stands for one label. [RFC 9525 6.3]
    return byName.get(name) ?? byName.get(`*${name.slice(name.indexOf('.'))}`);
  }

  #checkExpiry(): void {
    this.#expiry.look(Date.now(), this.#log, this.#listener);
  }

  async #filesChanged(): Promise<void> {
    try {
      this.#use(await loadTls(this.#options));
    } catch (error) {
      // What keeps a file from being read may end without a change of the file.
      this.#watch?.forget();
      this.#failed((error as Error).message);
    }
  }

  #use(material: TlsMaterial): void {
    this.#failure = null;
    if (material.digest === this.#material.digest || this.#watch === null) return;
    this.#material = material;
    this.#server?.setSecureContext(material.fallback);
    const [own] = material.dated;
    const { name, until } = own!;
    const text = `certificates replaced, for new connections: ${name} is valid until ${new Date(until).toISOString()}`;
    this.#log.info({ listener: this.#listener }, text);
    this.#expiry = new ExpiryWatch(material.dated);
    this.#checkExpiry();
  }

  #failed(cause: string): void {
    if (cause === this.#failure) return;
    this.#failure = cause;
    const text = 'changed certificate files cannot be used: the old ones stay in use until that is corrected';
    this.#log.error({ listener: this.#listener, cause }, text);
  }
}
