/**
 * What an operator may set of the broker itself, with the defaults. The configuration file's schema (`config/`) has the
 * same shape; everything else here only reads it.
 */

/**
 * What to do with a QoS 1 or 2 message for a session whose queue is full. `reject`: all or nothing for a publisher that
 * can be told (MQTT 5, QoS 1 and 2). It gets 0x97, and nobody gets the message, nor any other that a pipeline made of
 * it. A will, the program's own message and those of older clients go to everybody else, as with `drop-newest`.
 */
export type QueuePolicy = 'drop-oldest' | 'drop-newest' | 'reject';

export interface Limits {
  /** Network connections at one time, over all listeners. */
  readonly connections: number;
  /** From accepting a connection to its complete CONNECT, TLS and WebSocket handshake included. */
  readonly connectTimeoutSeconds: number;
  /** Largest CONNECT, in bytes: what a client may send before anything is known of it. */
  readonly connectBytes: number;
  /**
   * Connections that have got no CONNACK yet, at one time, and the bytes that all of them together have sent. One
   * address that is not exempt may have half of both.
   */
  readonly unauthenticatedConnections: number;
  readonly unauthenticatedBytes: number;
  /**
   * Connections at one time from one address (of IPv6: from one network of 64 bits), and of one user. 0: any number.
   */
  readonly connectionsPerAddress: number;
  readonly connectionsPerUser: number;
  /** New connections from one address in the mean; for a while ten times as many. 0: any number. */
  readonly connectsPerSecondPerAddress: number;
  /** Addresses and networks that limits per address and penalties pass over. */
  readonly exemptAddresses: readonly string[];
  /** PUBLISH packets, and bytes of all packets, that one client may send in the mean. 0: any number. */
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
  /** What becomes of a client that sends more: it is read more slowly, or disconnected with 0x96. */
  readonly rateExcess: 'slow' | 'disconnect';
  /** Largest packet accepted, in bytes, fixed header included. Told to v5 clients as Maximum Packet Size. */
  readonly packetBytes: number;
  /** Largest packet other than CONNECT and PUBLISH, in bytes: SUBSCRIBE above all, which is checked in one go. */
  readonly controlBytes: number;
  /** Of the properties of a PUBLISH. */
  readonly propertyBytes: number;
  /** Longest topic name or filter, in bytes of UTF-8. */
  readonly topicBytes: number;
  readonly topicLevels: number;
  readonly subscriptionsPerSession: number;
  /** All topic filters of one session together: each level of a filter takes memory as well. */
  readonly subscriptionBytesPerSession: number;
  /** QoS 1 and 2 messages under way to one client; a v5 client's Receive Maximum lowers it. */
  readonly inflight: number;
  /**
   * QoS 1 and 2 messages under way from one client. v5 clients are told it as Receive Maximum; an older one to which so
   * many answers are owed is not read on.
   */
  readonly receiveMaximum: number;
  /** Topic aliases that a v5 client may set per connection. */
  readonly topicAliases: number;
  /** Messages and payload bytes waiting for one session. */
  readonly queueMessages: number;
  readonly queueBytes: number;
  readonly queuePolicy: QueuePolicy;
  /** Bytes waiting to be written to one connection. Beyond it QoS 0 is dropped and QoS 1 and 2 are queued. */
  readonly outputBytes: number;
  /**
   * Bytes that wait for the disk, of all clients together. Beyond it, clients whose messages must be stored are not
   * read.
   */
  readonly unwrittenBytes: number;
  /** Who can be told is refused with 0x97 beyond it, all or nothing; what others publish goes out, and is not kept. */
  readonly retainedMessages: number;
  /** Sessions in all, of clients that are connected and of clients that are away. */
  readonly sessions: number;
  /**
   * Memory that all clients together may take, in bytes: see `Ledger`. 0: as there is memory, see `memoryCeiling`; for
   * a `Broker` of its own, any amount.
   */
  readonly memoryBytes: number;
}

/** What becomes of those whose authentication fails again and again, or who come and go in a loop. */
export interface Penalties {
  /** Failures of one user (or client without user name) from one address, until it is shut out from there. 0: never. */
  readonly failuresPerUser: number;
  /** Failures from one address, until it is shut out. 0: never. */
  readonly failuresPerAddress: number;
  /** One failure is forgotten in this time. */
  readonly forgetSeconds: number;
  /** How long the first refusal is kept back; each further one twice as long, up to the maximum. 0: not at all. */
  readonly delayMs: number;
  readonly delayMaximumMs: number;
  /** Refusals kept back at one time; beyond, they leave at once. */
  readonly delayedConnections: number;
  /** Connections of less than ten seconds that one client from one address may have in a minute. 0: any number. */
  readonly flapsPerMinute: number;
  readonly banSeconds: number;
  /** Bans remembered at one time; beyond, one that ends soon is given up for a new one. */
  readonly bans: number;
}

export interface Wills {
  /**
   * How long wills that the broker's own stop or crash has left behind wait, from its start on, for their clients to
   * come back. 0: not at all.
   */
  readonly restartGraceSeconds: number;
}

export interface BrokerSettings {
  /** Whether client identifiers may be anything, or show whose they are: see `isOwnClientId`. */
  readonly clientIds: 'any' | 'own';
  /**
   * First levels of topics beginning with `$` that clients may publish to, as `$factory`. `$SYS` and `$share` never
   * are.
   */
  readonly allowedDollarPrefixes: readonly string[];
  readonly limits: Limits;
  readonly penalties: Penalties;
  readonly wills: Wills;
  /** Longest session expiry granted, in seconds; 0xffffffff is for ever. Sessions of 3.x clients live this long too. */
  readonly sessionExpiryMaximumSeconds: number;
  /** v5 clients that ask for a longer keep-alive (or none) are told this one. 0: any is taken. */
  readonly serverKeepAliveSeconds: number;
  /** Topic aliases the broker itself uses towards a client that allows them. 0: none. */
  readonly outboundTopicAliases: number;
  /** QoS 0 messages are kept for absent sessions as well. */
  readonly queueQoS0: boolean;
  /** Highest QoS accepted and granted. */
  readonly maximumQoS: 0 | 1 | 2;
  readonly retainAvailable: boolean;
  readonly wildcardSubscriptions: boolean;
  /** Whether the first level of a topic filter may be a wildcard: `#`, `+/x`. Otherwise answered with 0x87. */
  readonly wildcardsAtTopLevel: boolean;
  readonly sharedSubscriptions: boolean;
  /** Topic filters that nobody may subscribe to, compared letter by letter: answered with 0x80. */
  readonly refusedFilters: readonly string[];
  /** Sent to v5 clients that ask for response information. Empty: none. */
  readonly responseInformation: string;
  /** Seconds between two publications of the $SYS topics. 0: none. */
  readonly sysIntervalSeconds: number;
}

export const defaultLimits: Limits = Object.freeze({
  connections: 100_000,
  connectTimeoutSeconds: 10,
  connectBytes: 131_072,
  unauthenticatedConnections: 20_000,
  unauthenticatedBytes: 67_108_864,
  connectionsPerAddress: 0,
  connectionsPerUser: 0,
  connectsPerSecondPerAddress: 0,
  exemptAddresses: ['127.0.0.0/8', '::1'],
  messagesPerSecond: 0,
  bytesPerSecond: 0,
  rateExcess: 'slow',
  packetBytes: 1_048_576,
  controlBytes: 524_288,
  propertyBytes: 65_536,
  topicBytes: 4_096,
  topicLevels: 128,
  subscriptionsPerSession: 10_000,
  subscriptionBytesPerSession: 1_048_576,
  inflight: 1_024,
  receiveMaximum: 1_024,
  topicAliases: 64,
  queueMessages: 10_000,
  queueBytes: 67_108_864,
  queuePolicy: 'drop-oldest',
  outputBytes: 4_194_304,
  unwrittenBytes: 67_108_864,
  retainedMessages: 1_000_000,
  sessions: 1_000_000,
  memoryBytes: 0,
});

export const defaultPenalties: Penalties = Object.freeze({
  failuresPerUser: 10,
  failuresPerAddress: 100,
  forgetSeconds: 30,
  delayMs: 250,
  delayMaximumMs: 5_000,
  delayedConnections: 1_000,
  flapsPerMinute: 0,
  banSeconds: 300,
  bans: 10_000,
});

export const defaultWills: Wills = Object.freeze({ restartGraceSeconds: 10 });

export const defaultSettings: BrokerSettings = Object.freeze({
  limits: defaultLimits,
  penalties: defaultPenalties,
  wills: defaultWills,
  clientIds: 'any',
  allowedDollarPrefixes: [],
  sessionExpiryMaximumSeconds: 0xffffffff,
  serverKeepAliveSeconds: 0,
  outboundTopicAliases: 0,
  queueQoS0: false,
  maximumQoS: 2,
  retainAvailable: true,
  wildcardSubscriptions: true,
  wildcardsAtTopLevel: true,
  sharedSubscriptions: true,
  refusedFilters: [],
  responseInformation: '',
  sysIntervalSeconds: 10,
});

/**
 * With `clientIds: own`: a user's identifiers are its name, or begin with its name and a colon. Those of clients
 * without a user name begin with a colon, which no user's do, or are given by the broker. So no rule about an
 * identifier is ever for somebody else.
 */
export function isOwnClientId(clientId: string, username: string | null): boolean {
  if (username !== null && clientId === username) return !clientId.startsWith(':');
  return !username?.startsWith(':') && clientId.startsWith(`${username ?? ''}:`);
}
