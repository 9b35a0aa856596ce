/**
 * A broker on a data directory of its own for the tests of one file, which is asked through its HTTP API, and can be
 * stopped and started again.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { silentLog } from '../../src/contracts/log.ts';
import type { Role } from '../../src/contracts/roles.ts';
import { type ConfigInput, createBroker, type Hooks, type SluiceBroker } from '../../src/index.ts';
import { type ConnectOptions, WireClient } from './wire-client.ts';

export interface ApiAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into it, and fails if it is another
  readonly json: any;
}

export interface ApiAsked {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Over the network, with this key; without it, on the socket of the data directory. */
  readonly key?: string;
}

export interface ApiBroker {
  readonly sluice: SluiceBroker;
  readonly directory: string;
  readonly port: number;
  /** Of its HTTP API. */
  readonly url: string;
  connect(options?: ConnectOptions): Promise<WireClient>;
  /** A client of MQTT 5 whose session stays. */
  stay(clientId: string, options?: ConnectOptions): Promise<WireClient>;
  /** `path` is below /api/v1. */
  ask(method: string, path: string, asked?: ApiAsked): Promise<ApiAnswer>;
  /** The response as it comes. */
  open(method: string, path: string, asked?: ApiAsked): Promise<IncomingMessage>;
  keyFor(role: Role, username?: string | null): Promise<string>;
  restart(): Promise<void>;
}

/** Called once in a file, outside of its tests. */
export function apiBroker(config: ConfigInput = {}, hooks?: Hooks): ApiBroker {
  let directory = '';
  let sluice: SluiceBroker | null = null;
  let url = '';
  let lastKey = 0;
  const start = async () => {
    const info = (fields: object, message?: string) => {
      if (message === 'the HTTP API listens') ({ url } = fields as { url: string });
    };
    sluice = await createBroker({
      config: {
        listeners: [{ kind: 'tcp', port: 0 }],
        store: { kind: 'level', directory },
        admin: { listeners: [{ port: 0 }] },
        sysIntervalSeconds: 0,
        ...config,
      },
      log: { ...silentLog, info },
      ...(hooks === undefined ? {} : { hooks }),
    });
  };
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sluice-api-'));
    await start();
  });
  afterAll(async () => {
    await sluice?.close();
    await rm(directory, { recursive: true });
  });
  const broker: ApiBroker = {
    get sluice() {
      return sluice!;
    },
    get directory() {
      return directory;
    },
    get port() {
      return sluice!.listeners[0]!.port;
    },
    get url() {
      return url;
    },
    connect: (options) => WireClient.connect(broker.port, options),
    stay(clientId, options = {}) {
      const properties = { sessionExpiryInterval: 1_000 };
      return WireClient.connect(broker.port, { version: 5, clientId, clean: false, properties, ...options });
    },
    open(method, path, { body, headers = {}, key } = {}) {
      const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
      const { hostname, port } = new URL(url);
      const target = key === undefined ? { socketPath: join(directory, 'control.sock') } : { hostname, port };
      const all = {
        ...(key === undefined ? {} : { Authorization: `Bearer ${key}` }),
        ...(text === undefined
          ? {}
          : { 'Content-Type': 'application/json', 'Content-Length': `${Buffer.byteLength(text as string)}` }),
        ...headers,
      };
      return new Promise((resolve, reject) => {
        const asked = request({ ...target, method, path: `/api/v1${path}`, headers: all, agent: false }, resolve);
        asked.on('error', reject);
        asked.end(text);
      });
    },
    async ask(method, path, asked) {
      const response = await broker.open(method, path, asked);
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      const json = JSON.parse(Buffer.concat(chunks).toString()) as unknown;
      return { status: response.statusCode!, headers: response.headers, json };
    },
    async keyFor(role, username = null) {
      const name = `${role} ${++lastKey}`;
      return (await sluice!.command('keys create', { name, role, username })).key;
    },
    async restart() {
      await sluice!.close();
      await start();
    },
  };
  return broker;
}
