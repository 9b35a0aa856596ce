/**
 * What an operator may set of the broker itself, with the defaults. The configuration file's schema (`config/`) has the
 * same shape; everything else here only reads it.
 */

/** What to do with a QoS 1 or 2 message for a session whose queue is full. `reject` answers the publisher 0x97. */
export type QueuePolicy = 'drop-oldest' | 'drop-newest' | 'reject';

export interface Limits {
  /** Network connections at one time, over all listeners. */
  readonly connections: number;
  /** From accepting a connection to its complete CONNECT, TLS and WebSocket handshake included. */
  readonly connectTimeoutSeconds: number;
  /** Largest packet accepted, in bytes, fixed header included. Told to v5 clients as Maximum Packet Size. */
  readonly packetBytes: number;
  /** Longest topic name or filter, in bytes of UTF-8. */
  readonly topicBytes: number;
  readonly topicLevels: number;
  readonly subscriptionsPerSession: number;
  /** QoS 1 and 2 messages under way to one client; a v5 client's Receive Maximum lowers it. */
  readonly inflight: number;
  /** QoS 1 and 2 messages under way from one v5 client: our Receive Maximum. */
  readonly receiveMaximum: number;
  /** Topic aliases that a v5 client may set per connection. */
  readonly topicAliases: number;
  /** Messages and payload bytes waiting for one session. */
  readonly queueMessages: number;
  readonly queueBytes: number;
  readonly queuePolicy: QueuePolicy;
  /** Bytes waiting to be written to one connection. Beyond it QoS 0 is dropped and QoS 1 and 2 are queued. */
  readonly outputBytes: number;
  readonly retainedMessages: number;
  /** Sessions kept for clients that are away. */
  readonly sessions: number;
}

export interface BrokerSettings {
  readonly limits: Limits;
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
  packetBytes: 1_048_576,
  topicBytes: 4_096,
  topicLevels: 128,
  subscriptionsPerSession: 10_000,
  inflight: 1_024,
  receiveMaximum: 1_024,
  topicAliases: 64,
  queueMessages: 10_000,
  queueBytes: 67_108_864,
  queuePolicy: 'drop-oldest',
  outputBytes: 4_194_304,
  retainedMessages: 1_000_000,
  sessions: 1_000_000,
});

export const defaultSettings: BrokerSettings = Object.freeze({
  limits: defaultLimits,
  sessionExpiryMaximumSeconds: 0xffffffff,
  serverKeepAliveSeconds: 0,
  outboundTopicAliases: 0,
  queueQoS0: false,
  maximumQoS: 2,
  retainAvailable: true,
  wildcardSubscriptions: true,
  sharedSubscriptions: true,
  refusedFilters: [],
  responseInformation: '',
  sysIntervalSeconds: 10,
});
