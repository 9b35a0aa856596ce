/**
 * What the handshakes of one listener use, and its replacement while the listener runs: files are looked at every few
 * seconds, and changed ones are taken over as soon as they fit together. Open connections stay as they are.
 *
 * The files are asked for their state rather than watched: that works through any number of symbolic links (Kubernetes,
 * certbot), over network file systems and mounts into containers, and costs a system call for each.
 */
import { stat } from 'node:fs/promises';
import type { SecureContext, Server, TlsOptions as ServerOptions } from 'node:tls';
import type { Log } from '../contracts/log.ts';
import { ExpiryWatch } from './expiry.ts';
import type { TlsOptions } from './options.ts';
import { filesOf, loadTls, type TlsMaterial } from './tls-material.ts';

const lookEveryMs = 2_000;
/**
 * A file that changed so shortly before it was read may change again without its times telling: clocks of files are
 * coarse.
 */
const settledMs = 1_000;

export class TlsContexts {
  readonly #options: TlsOptions;
  readonly #log: Log;
  #material: TlsMaterial;
  #expiry: ExpiryWatch;
  #listener = '';
  #server: Server | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** The files' state before they were last loaded; null: load them in any case. */
  #seen: string | null;
  #isLooking = false;
  /** Why the last attempt failed, and whether that was told. */
  #failure: { message: string; isTold: boolean } | null = null;

  private constructor(options: TlsOptions, log: Log, material: TlsMaterial, seen: string | null) {
    this.#options = options;
    this.#log = log;
    this.#material = material;
    this.#expiry = new ExpiryWatch(material.dated);
    this.#seen = seen;
  }

  /** Rejects with one line that says which file is wrong and what to do. */
  static async load(options: TlsOptions, log: Log): Promise<TlsContexts> {
    const seen = await stateOf(filesOf(options));
    return new TlsContexts(options, log, await loadTls(options), seen);
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
    this.#expiry.look(Date.now(), this.#log, listener);
    this.#timer = setInterval(() => void this.#look(), lookEveryMs);
    this.#timer.unref();
  }

  /** Loads the files at once. Rejects, saying what is wrong with them, and then the old ones stay in use. */
  async reload(): Promise<void> {
    const seen = await stateOf(filesOf(this.#options));
    this.#use(await loadTls(this.#options), seen);
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Undefined: the first certificate, as for clients that give no name. */
  #contextFor(serverName: string): SecureContext | undefined {
    const name = serverName.toLowerCase();
    const { byName } = this.#material;
    // A wildcard stands for one label. [RFC 9525 6.3]
    return byName.get(name) ?? byName.get(`*${name.slice(name.indexOf('.'))}`);
  }

  async #look(): Promise<void> {
    this.#expiry.look(Date.now(), this.#log, this.#listener);
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const seen = await stateOf(filesOf(this.#options));
      if (seen !== null && seen === this.#seen && this.#failure === null) return;
      this.#use(await loadTls(this.#options), seen);
    } catch (error) {
      this.#failed((error as Error).message);
    } finally {
      this.#isLooking = false;
    }
  }

  #use(material: TlsMaterial, seen: string | null): void {
    this.#seen = seen;
    this.#failure = null;
    if (material.digest === this.#material.digest || this.#timer === null) return;
    this.#material = material;
    this.#server?.setSecureContext(material.fallback);
    const [own] = material.dated;
    const { name, until } = own!;
    const text = `certificates replaced, for new connections: ${name} is valid until ${new Date(until).toISOString()}`;
    this.#log.info({ listener: this.#listener }, text);
    this.#expiry = new ExpiryWatch(material.dated);
    this.#expiry.look(Date.now(), this.#log, this.#listener);
  }

  /** What is half written when it is looked at is whole at the next time, and then there is nothing to be told. */
  #failed(message: string): void {
    if (this.#failure?.message !== message) {
      this.#failure = { message, isTold: false };
    } else if (!this.#failure.isTold) {
      this.#failure.isTold = true;
      const text = 'changed certificate files cannot be used: the old ones stay in use until that is corrected';
      this.#log.error({ listener: this.#listener, cause: message }, text);
    }
  }
}

/** Differs once a file has changed; null if one changed just now. Links are followed. */
async function stateOf(files: readonly string[]): Promise<string | null> {
  const states = await Promise.all(
    files.map(async (file) => {
      try {
        const { dev, ino, size, mtimeNs, ctimeNs, ctimeMs } = await stat(file, { bigint: true });
        return {
          text: `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`,
          isFresh: Date.now() - Number(ctimeMs) < settledMs,
        };
      } catch (error) {
        return { text: (error as NodeJS.ErrnoException).code ?? '', isFresh: false };
      }
    }),
  );
  return states.some(({ isFresh }) => isFresh) ? null : states.map(({ text }) => text).join('\n');
}
