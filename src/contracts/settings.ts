/**
 * What an operator may set of the broker itself: the schema that a configuration is checked with, and with it the types
 * and the defaults. A setting is added here and nowhere else; `config/` reads files and puts this beside the rest.
 */
import { z } from 'zod';
import { type DeepReadonly, deepFreeze } from '../base/freeze.ts';
import { brokersPrefixes } from '../protocol/topic.ts';
import { network, qos, whole } from './values.ts';

/**
 * What to do with a QoS 1 or 2 message for a session whose queue is full. `reject`: all or nothing for a publisher that
 * can be told (MQTT 5, QoS 1 and 2). It gets 0x97, and nobody gets the message, nor any other that a pipeline made of
 * it. A will, the program's own message and those of older clients go to everybody else, as with `drop-newest`.
 */
const queuePolicy = z.enum(['drop-oldest', 'drop-newest', 'reject']);
export type QueuePolicy = z.output<typeof queuePolicy>;

const limits = z.strictObject({
  /** Network connections at one time, over all listeners. */
  connections: whole(1).default(100_000),
  /** From accepting a connection to its complete CONNECT, TLS and WebSocket handshake included. */
  connectTimeoutSeconds: whole(1, 3_600).default(10),
  /** Largest CONNECT, in bytes: what a client may send before anything is known of it. */
  connectBytes: whole(128, 268_435_460).default(131_072),
  /**
   * Connections that have got no CONNACK yet, at one time, and the bytes that all of them together have sent. One
   * address that is not exempt may have half of both.
   */
  unauthenticatedConnections: whole(1).default(20_000),
  unauthenticatedBytes: whole(1_024).default(67_108_864),
  /**
   * Connections at one time from one address (of IPv6: from one network of 64 bits), and of one user. 0: any number.
   */
  connectionsPerAddress: whole(0).default(0),
  connectionsPerUser: whole(0).default(0),
  /** New connections from one address in the mean; for a while ten times as many. 0: any number. */
  connectsPerSecondPerAddress: whole(0, 1_000_000).default(0),
  /** Addresses and networks that limits per address and penalties pass over. */
  exemptAddresses: z.array(network).default(['127.0.0.0/8', '::1']),
  /** PUBLISH packets, and bytes of all packets, that one client may send in the mean. 0: any number. */
  messagesPerSecond: whole(0, 1_000_000_000).default(0),
  bytesPerSecond: whole(0).default(0),
  /** What becomes of a client that sends more: it is read more slowly, or disconnected with 0x96. */
  rateExcess: z.enum(['slow', 'disconnect']).default('slow'),
  /** Largest packet accepted, in bytes, fixed header included. Told to v5 clients as Maximum Packet Size. */
  packetBytes: whole(128, 268_435_460).default(1_048_576),
  /** Largest packet other than CONNECT and PUBLISH, in bytes: SUBSCRIBE above all, which is checked in one go. */
  controlBytes: whole(128, 268_435_460).default(524_288),
  /** Of the properties of a PUBLISH. */
  propertyBytes: whole(128, 268_435_455).default(65_536),
  /** Longest topic name or filter, in bytes of UTF-8. */
  topicBytes: whole(1, 65_535).default(4_096),
  topicLevels: whole(1, 1_000).default(128),
  subscriptionsPerSession: whole(1).default(10_000),
  /** All topic filters of one session together: each level of a filter takes memory as well. */
  subscriptionBytesPerSession: whole(1).default(1_048_576),
  /** QoS 1 and 2 messages under way to one client; a v5 client's Receive Maximum lowers it. */
  inflight: whole(1, 65_535).default(1_024),
  /**
   * QoS 1 and 2 messages under way from one client. v5 clients are told it as Receive Maximum; an older one to which so
   * many answers are owed is not read on.
   */
  receiveMaximum: whole(1, 65_535).default(1_024),
  /** Topic aliases that a v5 client may set per connection. */
  topicAliases: whole(0, 65_535).default(64),
  /** Messages and payload bytes waiting for one session. */
  queueMessages: whole(1).default(10_000),
  queueBytes: whole(1).default(67_108_864),
  queuePolicy: queuePolicy.default('drop-oldest'),
  /** Bytes waiting to be written to one connection. Beyond it QoS 0 is dropped and QoS 1 and 2 are queued. */
  outputBytes: whole(1_024).default(4_194_304),
  /**
   * Bytes that wait for the disk, of all clients together. Beyond it, clients whose messages must be stored are not
   * read.
   */
  unwrittenBytes: whole(65_536).default(67_108_864),
  /** Who can be told is refused with 0x97 beyond it, all or nothing; what others publish goes out, and is not kept. */
  retainedMessages: whole(0).default(1_000_000),
  /** Sessions in all, of clients that are connected and of clients that are away. */
  sessions: whole(1).default(1_000_000),
  /**
   * Memory that all clients together may take, in bytes: see `Ledger`. 0: as there is memory, see `memoryCeiling`; for
   * a `Broker` of its own, any amount.
   */
  memoryBytes: whole(0).default(0),
});

export type Limits = DeepReadonly<z.output<typeof limits>>;

/** What becomes of those whose authentication fails again and again, or who come and go in a loop. */
const penalties = z.strictObject({
  /** Failures of one user (or client without user name) from one address, until it is shut out from there. 0: never. */
  failuresPerUser: whole(0).default(10),
  /** Failures from one address, until it is shut out. 0: never. */
  failuresPerAddress: whole(0).default(100),
  /** One failure is forgotten in this time. */
  forgetSeconds: whole(1, 86_400).default(30),
  /** How long the first refusal is kept back; each further one twice as long, up to the maximum. 0: not at all. */
  delayMs: whole(0, 60_000).default(250),
  delayMaximumMs: whole(0, 60_000).default(5_000),
  /** Refusals kept back at one time; beyond, they leave at once. */
  delayedConnections: whole(0).default(1_000),
  /** Connections of less than ten seconds that one client from one address may have in a minute. 0: any number. */
  flapsPerMinute: whole(0, 60_000).default(0),
  banSeconds: whole(1, 31_536_000).default(300),
  /** Bans remembered at one time; beyond, one that ends soon is given up for a new one. */
  bans: whole(0, 1_000_000).default(10_000),
});

export type Penalties = DeepReadonly<z.output<typeof penalties>>;

const wills = z.strictObject({
  /**
   * How long wills that the broker's own stop or crash has left behind wait, from its start on, for their clients to
   * come back. 0: not at all.
   */
  restartGraceSeconds: whole(0, 86_400).default(10),
});

export type Wills = DeepReadonly<z.output<typeof wills>>;

/** [MQTT5 4.7.2] */
const dollarPrefix = z
  .string()
  .refine(
    (text) => /^\$[^/+#\0]+$/.test(text) && !brokersPrefixes.includes(text),
    "the first level of topics, beginning with $, as $factory; $SYS and $share stay the broker's own",
  );

/** Whether it can be sent as a text of MQTT. [MQTT5 1.5.4] */
const fitsOnWire = (text: string) => Buffer.byteLength(text) <= 65_535 && !text.includes('\0') && text.isWellFormed();

export const brokerSettings = z.strictObject({
  limits: limits.prefault({}),
  penalties: penalties.prefault({}),
  wills: wills.prefault({}),
  /** Whether client identifiers may be anything, or show whose they are: see `isOwnClientId`. */
  clientIds: z.enum(['any', 'own']).default('any'),
  /**
   * First levels of topics beginning with `$` that clients may publish to, as `$factory`. `$SYS` and `$share` never
   * are.
   */
  allowedDollarPrefixes: z.array(dollarPrefix).default([]),
  /** Longest session expiry granted, in seconds; 0xffffffff is for ever. Sessions of 3.x clients live this long too. */
  sessionExpiryMaximumSeconds: whole(0, 0xffffffff).default(0xffffffff),
  /** v5 clients that ask for a longer keep-alive (or none) are told this one. 0: any is taken. */
  serverKeepAliveSeconds: whole(0, 65_535).default(0),
  /** Topic aliases the broker itself uses towards a client that allows them. 0: none. */
  outboundTopicAliases: whole(0, 65_535).default(0),
  /** QoS 0 messages are kept for absent sessions as well. */
  queueQoS0: z.boolean().default(false),
  /** Highest QoS accepted and granted. */
  maximumQoS: qos.default(2),
  retainAvailable: z.boolean().default(true),
  wildcardSubscriptions: z.boolean().default(true),
  /** Whether the first level of a topic filter may be a wildcard: `#`, `+/x`. Otherwise answered with 0x87. */
  wildcardsAtTopLevel: z.boolean().default(true),
  sharedSubscriptions: z.boolean().default(true),
  /** Topic filters that nobody may subscribe to, compared letter by letter: answered with 0x80. */
  refusedFilters: z.array(z.string()).default([]),
  /** Sent to v5 clients that ask for response information. Empty: none. */
  responseInformation: z.string().refine(fitsOnWire, 'at most 65,535 bytes of UTF-8 without U+0000').default(''),
  /** Seconds between two publications of the $SYS topics. 0: none. */
  sysIntervalSeconds: whole(0, 86_400).default(10),
});

export type BrokerSettings = DeepReadonly<z.output<typeof brokerSettings>>;

export const defaultSettings: BrokerSettings = deepFreeze(brokerSettings.parse({}));
export const { limits: defaultLimits, penalties: defaultPenalties, wills: defaultWills } = defaultSettings;

/**
 * With `clientIds: own`: a user's identifiers are its name, or begin with its name and a colon. Those of clients
 * without a user name begin with a colon, which no user's do, or are given by the broker. So no rule about an
 * identifier is ever for somebody else.
 */
export function isOwnClientId(clientId: string, username: string | null): boolean {
  if (username !== null && clientId === username) return !clientId.startsWith(':');
  return !username?.startsWith(':') && clientId.startsWith(`${username ?? ''}:`);
}
