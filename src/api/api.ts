/**
 * The HTTP API of a running broker, on the socket of its data directory and on listeners of its own. What it offers is
 * in `contracts/commands.ts`; nothing of fastify is loaded before the first request.
 */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { type AddressInfo, isIPv6 } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Commands } from '../admin/commands.ts';
import { isLoopbackHost } from '../base/addresses.ts';
import { isServed } from '../base/socket-file.ts';
import type { ExpiringFile } from '../contracts/transport.ts';
import type { TlsOptions } from '../net/options.ts';
import { TlsContexts } from '../net/tls-contexts.ts';
import type { ApiTools } from './app.ts';
import { Door } from './door.ts';
import type { Place } from './place.ts';
import { StreamPlaces } from './stream-places.ts';
import { Turns } from './turns.ts';
import { ApiRequest } from './upgrades.ts';

const limits = {
  requestTimeout: 30_000,
  headersTimeout: 10_000,
  keepAliveTimeout: 30_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 16_384,
  // Node would answer that without a problem document.
  requireHostHeader: false,
  // A peer that is gone without saying so holds no stream.
  keepAlive: true,
  keepAliveInitialDelay: 60_000,
  IncomingMessage: ApiRequest,
};
const handshakeTimeout = 10_000;

export interface ApiListenerOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  readonly tls?: TlsOptions | undefined;
}

export interface ApiListener {
  /** What was bound: `http://127.0.0.1:18083`. */
  readonly url: string;
  /** What ends some day of the files in use. None without TLS. */
  /** What ends some day of its files: see `Listener`. */
  readonly expiring: readonly ExpiringFile[];
  reloadCertificates(): Promise<void>;
}

/** Those of the app, which is made at the first request. */
export interface ApiOptions extends Omit<ApiTools, 'commands'> {
  readonly commands: () => Promise<Commands>;
}

export class Api {
  readonly #tools: ApiOptions;
  readonly #streams = new StreamPlaces();
  readonly #turns = new Turns();
  readonly #servers = new Set<Server>();
  readonly #contexts = new Set<TlsContexts>();
  readonly #door: Door;
  #app: Promise<FastifyInstance> | null = null;

  constructor(tools: ApiOptions) {
    this.#tools = tools;
    this.#door = new Door(tools);
  }

  /** Readable by its owner only. Rejects if there can be no socket, for example on a file system that has none. */
  async listenOnSocket(path: string): Promise<void> {
    if (await isServed(path)) throw new Error(`another broker takes the commands at ${path}`);
    rmSync(path, { force: true }); // of a process that was killed
    const server = createServer(limits);
    this.#serve(server, { kind: 'socket', url: path, isLoopback: true });
    // Of this process, also where it shares the ports of MQTT with others.
    server.listen({ path, exclusive: true });
    await once(server, 'listening');
    await chmod(path, 0o600);
  }

  /** Rejects with the error of the system, or with what is wrong with the files of TLS. */
  async listen({ host, port, tls }: ApiListenerOptions): Promise<ApiListener> {
    const contexts = tls === undefined ? null : await TlsContexts.load(tls, this.#tools.log);
    const server =
      contexts === null
        ? createServer(limits)
        : createTlsServer({ ...limits, handshakeTimeout, ...contexts.serverOptions() });
    const kind = contexts === null ? 'http' : 'https';
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
    const { address, port: bound } = server.address() as AddressInfo;
    const url = `${kind}://${isIPv6(host) ? `[${host}]` : host}:${bound}`;
    this.#serve(server as Server, { kind, url, isLoopback: isLoopbackHost(address) });
    if (contexts !== null) {
      this.#contexts.add(contexts);
      contexts.serve(server as TlsServer, url);
    }
    return {
      url,
      get expiring() {
        return contexts?.dated ?? [];
      },
      reloadCertificates: async () => contexts?.reload(),
    };
  }

  #serve(server: Server, place: Place): void {
    this.#servers.add(server);
    this.#door.open(server, place, (request, response) => void this.#handle(request, response));
    // One connection is lost; the listener goes on.
    server.on('error', (error) =>
      this.#tools.log.warn({ listener: place.url, cause: error.message }, 'a listener of the API failed'),
    );
  }

  /** Loads what requests need, which stops the event loop for some hundredths of a second at the first of them else. */
  load(): Promise<FastifyInstance> {
    this.#app ??= this.#load();
    return this.#app;
  }

  async #load(): Promise<FastifyInstance> {
    const [{ createApp }, commands] = await Promise.all([import('./app.ts'), this.#tools.commands()]);
    return createApp({ ...this.#tools, commands }, this.#streams, this.#turns);
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const app = await this.load();
      await this.#turns.next();
      if (!response.destroyed) app.routing(request, response);
    } catch (err) {
      this.#tools.log.error({ err }, 'the API cannot be loaded');
      response.destroy();
    }
  }

  /** Ends streams, finishes what was asked, and closes all connections. */
  async close(): Promise<void> {
    this.#streams.close();
    for (const contexts of this.#contexts) contexts.close();
    const closed = [...this.#servers].map((server) => new Promise((resolve) => server.close(resolve)));
    for (const server of this.#servers) server.closeIdleConnections();
    const patience = setTimeout(() => this.#cut(), patienceMs);
    await Promise.all(closed);
    clearTimeout(patience);
    await (await this.#app?.catch(() => null))?.close();
  }

  #cut(): void {
    for (const server of this.#servers) server.closeAllConnections();
  }
}

/** For answers that are under way at the end. */
const patienceMs = 1_000;
