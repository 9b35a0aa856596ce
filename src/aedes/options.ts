/** What `new Aedes` takes: Aedes's options, and the configuration of the broker underneath. */
import type { ConfigInput } from '../config/schema.ts';
import type { Client } from './client.ts';
import type { Handlers as HandlersOf } from './owner.ts';

/** Of the `returnCode` of an error that `authenticate` calls back with. */
export const AuthErrorCode = {
  UNNACCEPTABLE_PROTOCOL: 1,
  IDENTIFIER_REJECTED: 2,
  SERVER_UNAVAILABLE: 3,
  BAD_USERNAME_OR_PASSWORD: 4,
  NOT_AUTHORIZED: 5,
} as const;

export type AuthenticateError = Error & { returnCode: number };

export type Handlers = HandlersOf<Client>;

export interface AedesOptions extends Partial<Handlers> {
  /** Names this broker in `$SYS/{id}/…`. Default: a UUID. */
  id?: string;
  /** Milliseconds between two messages to `$SYS/{id}/heartbeat`. Default: 60,000. */
  heartbeatInterval?: number;
  /** How long CONNECT may take, in milliseconds. Default: 30,000. */
  connectTimeout?: number;
  /** How long a client may read nothing of what it is sent, in milliseconds; 0: for ever. Default: 60,000. */
  drainTimeout?: number;
  /** The longest keep-alive, in seconds, which clients must have then; 0: any. Default: 0. */
  keepaliveLimit?: number;
  /** Packets that may follow CONNECT before its answer. Default: 42. */
  queueLimit?: number;
  /** QoS 2 messages that a client may leave without PUBREL; 0: any number. Default: 1,000. */
  maxInflightInbound?: number;
  /** Of client identifiers of MQTT 3.1. Default: 23. */
  maxClientsIdLength?: number;
  /** 1 to 100. Default: 100. */
  maxTopicLevels?: number;
  /**
   * What a configuration file of Sluice says, without listeners and authentication. Default: a store in memory, and no
   * log. `{ store: { kind: 'level', directory: 'data' } }` keeps sessions, queues and retained messages on disk.
   */
  config?: Omit<ConfigInput, 'listeners' | 'authentication'>;
}

export const defaults = {
  ...{ heartbeatInterval: 60_000, connectTimeout: 30_000, drainTimeout: 60_000, keepaliveLimit: 0 },
  ...{ queueLimit: 42, maxInflightInbound: 1_000, maxClientsIdLength: 23, maxTopicLevels: 100 },
};

export type Options = typeof defaults & AedesOptions;

const isReserved = (topic: string) => topic.startsWith('$SYS/');

export const defaultHandlers: Handlers = {
  preConnect: (_client, _packet, done) => done(null, true),
  authenticate: (_client, _username, _password, done) => done(null, true),
  authorizePublish: (_client, { topic }, done) => done(isReserved(topic) ? new Error('$SYS/ topic is reserved') : null),
  authorizeSubscribe: (_client, subscription, done) => done(null, subscription),
  authorizeForward: (_client, packet) => packet,
  published: (_packet, _client, done) => done(null),
};

const replaced: Readonly<Record<string, string>> = {
  persistence: 'give `config: { store: { kind: "level", directory } }` to keep data on disk',
  mq: 'messages go by the broker itself, and there is no emitter to exchange',
  decodeProtocol: 'give `handle` what comes behind the header, or use a listener with `proxyProtocol`',
};
const needless: Readonly<Record<string, string>> = {
  concurrency: 'a slow client keeps nobody else waiting',
  trustProxy: 'only a decodeProtocol would ask',
  trustedProxies: 'only a decodeProtocol would ask',
};

const known = new Set(['id', 'config', ...Object.keys(defaults), ...Object.keys(defaultHandlers)]);

/** Throws a TypeError if an option cannot be had. */
export function optionsOf(given: AedesOptions): Options {
  for (const [name, value] of Object.entries(given)) {
    if (known.has(name) || value === undefined || value === null) continue;
    const why = replaced[name];
    if (why !== undefined) throw new TypeError(`Aedes: Sluice has no option ${name}: ${why}`);
    const more = needless[name];
    if (more === undefined) throw new TypeError(`Aedes: there is no option ${name}`);
    process.emitWarning(`Aedes: the option ${name} changes nothing in Sluice: ${more}`);
  }
  const set = Object.entries(given).filter(([name, value]) => known.has(name) && value !== undefined);
  const options: Options = { ...defaults, ...Object.fromEntries(set) };
  const { maxInflightInbound: most, maxTopicLevels: levels } = options;
  return {
    ...options,
    // What is no number must not lift the limit.
    maxInflightInbound: Number.isInteger(most) && most >= 0 ? most : defaults.maxInflightInbound,
    maxTopicLevels: Math.min(Math.max(levels, 1), 100) || defaults.maxTopicLevels,
  };
}
