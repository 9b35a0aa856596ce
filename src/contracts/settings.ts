/**
 * What an operator may set of the broker itself: the schema that a configuration is checked with, and with it the types
 * and the defaults. A setting is added here and nowhere else; `config/` reads files and puts this beside the rest.
 */
import * as z from 'zod';
import { type DeepReadonly, deepFreeze } from '../base/freeze.ts';
import { brokersPrefixes } from '../protocol/topic.ts';
import { bytes, milliseconds, network, qos, seconds, topicFilter, whole } from './values.ts';

/**
 * What to do with a QoS 1 or 2 message for a session whose queue is full. `reject`: all or nothing for a publisher that
 * can be told (MQTT 5, QoS 1 and 2). It gets 0x97, and nobody gets the message, nor any other that a pipeline made of
 * it. A will, the program's own message and those of older clients go to everybody else, as with `drop-newest`.
 */
const queuePolicy = z.enum(['drop-oldest', 'drop-newest', 'reject']);
export type QueuePolicy = z.output<typeof queuePolicy>;

const limits = z.strictObject({
  connections: whole(1)
    .default(100_000)
    .meta({
      description:
        'connections at one time, over all listeners; fewer where the limit of open files leaves ' + 'no room',
      beyond: 'closed at once',
    }),
  connectTimeoutSeconds: seconds(1, 3_600).default(10).meta({
    description: 'from accepting a connection to its complete CONNECT',
    beyond: 'closed; 0x89 to an MQTT 5 client whose CONNECT has come',
  }),
  connectBytes: bytes(128, 268_435_460)
    .default(131_072)
    .meta({ description: 'the largest CONNECT, with its password and will', beyond: 'closed' }),
  unauthenticatedConnections: whole(1).default(20_000).meta({
    description: 'connections without CONNACK at one time; one address may have half of them',
    beyond: 'closed at once',
  }),
  unauthenticatedBytes: bytes(1_024)
    .default(67_108_864)
    .meta({
      description:
        'what these have sent together; one address may have half of it. At most an eighth of ' + '`memoryBytes`',
      beyond: 'the one that sends is closed',
    }),
  connectionsPerAddress: whole(0).default(0).meta({
    description: 'connections from one address (of IPv6: one network of 64 bits). 0: any number',
    beyond: 'CONNECT is refused with 0x97',
  }),
  connectionsPerUser: whole(0)
    .default(0)
    .meta({ description: 'connections of one user. 0: any number', beyond: 'CONNECT is refused with 0x97' }),
  connectsPerSecondPerAddress: whole(0, 1_000_000)
    .default(0)
    .meta({
      description: "new connections from one address in the mean; up to ten seconds' worth at once. 0: any " + 'number',
      beyond: 'CONNECT is refused with 0x9F',
    }),
  exemptAddresses: z
    .array(network)
    .default(['127.0.0.0/8', '::1'])
    .meta({
      description:
        'who is exempt from limits per address and from penalties: proxies that do not pass on ' + 'addresses',
      beyond: '',
    }),
  messagesPerSecond: whole(0, 1_000_000_000).default(0).meta({
    description: 'PUBLISH packets of one client, in the mean. 0: as fast as it can',
    beyond: 'as `rateExcess` says',
  }),
  bytesPerSecond: whole(0).default(0).meta({
    description: 'bytes of all packets of one client, in the mean. 0: as fast as it can',
    beyond: 'as `rateExcess` says',
  }),
  rateExcess: z.enum(['slow', 'disconnect']).default('slow').meta({
    description: 'what becomes of a client that sends faster',
    beyond: 'read more slowly, or disconnected with 0x96',
  }),
  packetBytes: bytes(128, 268_435_460).default(1_048_576).meta({
    description: 'the largest packet; MQTT 5 clients are told it as Maximum Packet Size',
    beyond: 'disconnected with 0x95',
  }),
  controlBytes: bytes(128, 268_435_460)
    .default(524_288)
    .meta({ description: 'the largest packet other than CONNECT and PUBLISH', beyond: 'disconnected with 0x95' }),
  propertyBytes: bytes(128, 268_435_455)
    .default(65_536)
    .meta({ description: 'the properties of a PUBLISH, all together', beyond: 'disconnected with 0x95' }),
  topicBytes: bytes(1, 65_535).default(4_096).meta({
    description: 'a topic name or filter, in bytes of UTF-8',
    beyond: 'PUBLISH: disconnected with 0x90; SUBSCRIBE: 0x8F for that filter',
  }),
  topicLevels: whole(1, 1_000)
    .default(128)
    .meta({ description: 'levels of a topic name or filter', beyond: 'the same' }),
  subscriptionsPerSession: whole(1).default(10_000).meta({
    description: 'subscriptions of one session',
    beyond: 'SUBSCRIBE: 0x97 for that filter (before MQTT 5: 0x80)',
  }),
  subscriptionBytesPerSession: whole(1)
    .default(1_048_576)
    .meta({ description: 'its topic filters together', beyond: 'the same' }),
  inflight: whole(1, 65_535)
    .default(1_024)
    .meta({
      description:
        "QoS 1 and 2 messages in flight to one client; an MQTT 5 client's Receive Maximum lowers " +
        'it. More than 40,960 counts as that',
      beyond: 'the rest waits in the queue',
    }),
  inflightBytes: bytes(0)
    .default(0)
    .meta({
      description:
        'payloads, properties and topics of the messages in flight to one client: while they are less, another one is ' +
        'sent. 0: only their number counts',
      beyond: 'the rest waits in the queue',
    }),
  receiveMaximum: whole(1, 65_535).default(1_024).meta({
    description: 'QoS 1 and 2 messages in flight from one client; MQTT 5 clients are told it',
    beyond: 'MQTT 5: disconnected with 0x93; older clients are not read until answers have left',
  }),
  topicAliases: whole(0, 65_535)
    .default(64)
    .meta({ description: 'topic aliases that an MQTT 5 client may set', beyond: 'disconnected with 0x94' }),
  queueMessages: whole(1).default(10_000).meta({
    description: 'messages that wait for one session',
    beyond: 'as `queuePolicy` says; counted as `queueFull`',
  }),
  queueBytes: bytes(1).default(67_108_864).meta({
    description: 'their payloads, properties, topics and, beyond one each, subscription identifiers',
    beyond: 'the same',
  }),
  queuePolicy: queuePolicy.default('drop-oldest').meta({
    description: 'which message gives: the oldest, the new one, or the new one with a refusal',
    beyond:
      '`reject`: MQTT 5 publishers of QoS 1 and 2 get 0x97 and nobody gets the message; for all ' +
      'others it is `drop-newest`: see [No room](guarantees.md#where-there-is-no-room)',
  }),
  outputBytes: bytes(1_024).default(4_194_304).meta({
    description: 'unsent bytes of one connection',
    beyond: 'QoS 0 is dropped (`slowConsumer`); QoS 1 and 2 wait in the queue',
  }),
  unwrittenBytes: bytes(65_536).default(67_108_864).meta({
    description: 'bytes that wait for the disk, of all clients together. At most a quarter of `memoryBytes`',
    beyond: 'publishers whose messages must be stored are not read',
  }),
  retainedMessages: whole(0)
    .default(1_000_000)
    .meta({
      description: 'retained messages',
      beyond:
        'MQTT 5 publishers of QoS 1 and 2 get 0x97; from others a message is delivered and not ' +
        'kept (`retainedLimit`)',
    }),
  sessions: whole(1).default(1_000_000).meta({
    description: 'sessions of connected and absent clients together; also wills that wait',
    beyond: 'CONNECT is refused with 0x97 (before MQTT 5: 3)',
  }),
  /**
   * Memory that all clients together may take, in bytes: see `Ledger`. 0: as there is memory, see `memoryCeiling`; for
   * a `Broker` of its own, any amount.
   */
  memoryBytes: bytes(0)
    .default(0)
    .meta({
      description:
        'what all clients together may make the broker hold. 0: two fifths of what the container ' +
        "or machine has beyond 128 MB, and at most 70 % of V8's heap limit",
      beyond: 'the largest clients are refused, then disconnected, with 0x97: see [Memory](memory.md)',
    }),
});

export type Limits = DeepReadonly<z.output<typeof limits>>;

/** What becomes of those whose authentication fails again and again, or who come and go in a loop. */
const penalties = z.strictObject({
  failuresPerUser: whole(0)
    .default(10)
    .describe(
      'failures of one user (or client identifier, without a user name) from one address until they ' +
        'are banned from there. 0: never',
    ),
  failuresPerAddress: whole(0).default(100).describe('failures from one address until it is banned. 0: never'),
  forgetSeconds: seconds(1, 86_400).default(30).describe('time in which one failure is forgotten'),
  delayMs: milliseconds(0, 60_000)
    .default(250)
    .describe('delay of the first refusal; it doubles each time, up to the maximum'),
  delayMaximumMs: milliseconds(0, 60_000).default(5_000).describe('longest delay'),
  delayedConnections: whole(0)
    .default(1_000)
    .describe('delayed refusals at one time; beyond, they are answered at once'),
  flapsPerMinute: whole(0, 60_000)
    .default(0)
    .describe(
      'connections of less than ten seconds that one client from one address may have in a minute ' +
        'until it is banned. 0: any number',
    ),
  banSeconds: seconds(1, 31_536_000).default(300).describe('how long a ban lasts'),
  bans: whole(0, 1_000_000)
    .default(10_000)
    .describe('bans that are remembered; beyond, one that ends soon is given up for a new one'),
});

export type Penalties = DeepReadonly<z.output<typeof penalties>>;

const wills = z.strictObject({
  restartGraceSeconds: seconds(0, 86_400)
    .default(10)
    .describe(
      'how long [wills that a stop, crash or drain left behind](guarantees.md#wills-and-the-brokers-own-end) ' +
        'wait for their clients',
    ),
});

/** What is kept for whoever asks why a message did not arrive. */
const diagnostics = z.strictObject({
  drops: whole(0, 100_000)
    .default(1_000)
    .describe(
      'entries of [the ring of drops and refusals](../guides/why-did-it-not-arrive.md), of each reason. 0: none are kept',
    ),
  unmatchedTopics: whole(0, 10_000)
    .default(1_000)
    .describe('topics that are counted to which nobody had subscribed. 0: none'),
  slowClientMs: milliseconds(0, 3_600_000)
    .default(1_000)
    .describe(
      'a client is [slow](../guides/why-did-it-not-arrive.md#slow-subscribers) that acknowledges so long after a message came for it. 0: none is',
    ),
  traces: whole(0, 64)
    .default(8)
    .describe(
      '[client traces](../guides/why-did-it-not-arrive.md#trace-a-client) at one time, with those that have ended',
    ),
  clientEvents: whole(0, 1_000_000)
    .default(10_000)
    .describe(
      '[what happened to clients](../guides/why-did-it-not-arrive.md#what-happened-to-a-client): events of all of them, 64 of one at most. 0: none are kept',
    ),
  traceBytes: bytes(10_000, 1_073_741_824).default(10_485_760).describe('memory that the events of one trace take'),
});

export type Wills = DeepReadonly<z.output<typeof wills>>;

const [collectionsMax, filtersMax] = [64, 256];

const metrics = z.strictObject({
  topics: z
    .array(
      z.strictObject({
        name: z
          .string()
          .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'letters, digits, "_", "." and "-", 64 at most')
          .describe('what the label `collection` says'),
        filters: z.array(topicFilter).min(1).describe('topic filters; a topic that several of them match counts once'),
      }),
    )
    .max(collectionsMax)
    .refine((collections) => new Set(collections.map(({ name }) => name)).size === collections.length, 'each name once')
    .refine(
      (collections) => collections.reduce((sum, { filters }) => sum + filters.length, 0) <= filtersMax,
      `at most ${filtersMax} filters in all`,
    )
    .default([])
    .describe('collections of topics whose messages and bytes are counted apart; 64 with 256 filters at most'),
});

export type TopicCollection = DeepReadonly<z.output<typeof metrics>>['topics'][number];

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
  limits: limits
    .prefault({})
    .describe('what one client, or all together, may take; what goes beyond is refused or dropped, and counted'),
  penalties: penalties.prefault({}).describe('what becomes of those whose authentication fails again and again'),
  wills: wills.prefault({}).describe('what becomes of wills when the broker itself ends'),
  diagnostics: diagnostics.prefault({}).describe('what is kept for whoever asks why a message did not arrive'),
  /** Whether client identifiers may be anything, or show whose they are: see `isOwnClientId`. */
  clientIds: z
    .enum(['any', 'own'])
    .default('any')
    .describe('`own`: [client identifiers](../guides/authorization.md#client-identifiers) belong to users'),
  allowedDollarPrefixes: z
    .array(dollarPrefix)
    .default([])
    .describe('first levels of topics beginning with `$` that clients may publish to, as `[$factory]`'),
  sessionExpiryMaximumSeconds: seconds(0, 0xffffffff)
    .default(0xffffffff)
    .describe(
      'longest session expiry granted, and the life of persistent sessions before MQTT 5; the default ' +
        'means for ever',
    ),
  serverKeepAliveSeconds: seconds(0, 65_535).default(0).describe('longest keep-alive of MQTT 5 clients; 0: any'),
  outboundTopicAliases: whole(0, 65_535)
    .default(0)
    .describe('topic aliases that the broker uses towards a client that allows them'),
  queueQoS0: z.boolean().default(false).describe('also keeps QoS 0 messages for absent sessions'),
  maximumQoS: qos.default(2).describe('highest QoS that is accepted and granted'),
  retainAvailable: z.boolean().default(true).describe('whether messages can be retained'),
  wildcardSubscriptions: z.boolean().default(true).describe('whether topic filters may have wildcards'),
  wildcardsAtTopLevel: z.boolean().default(true).describe('`false` refuses filters such as `#` and `+/x`'),
  sharedSubscriptions: z.boolean().default(true).describe('whether `$share/…` is allowed'),
  refusedFilters: z
    .array(z.string())
    .default([])
    .describe('topic filters that nobody may subscribe to, compared letter by letter'),
  responseInformation: z
    .string()
    .refine(fitsOnWire, 'at most 65,535 bytes of UTF-8 without U+0000')
    .default('')
    .describe('sent to MQTT 5 clients that ask for it'),
  sysIntervalSeconds: seconds(0, 86_400)
    .default(10)
    .describe('between two publications of the [`$SYS` topics](sys-topics.md); 0: none'),
  metrics: metrics.prefault({}).describe('which topics are counted apart'),
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
