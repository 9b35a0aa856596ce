/** What a running broker shows of what it has: one schema for each kind of item. */
import * as z from 'zod';

const bytes = z.int().meta({ unit: 'bytes' });
const clientId = z.string().describe('client identifier');
const username = z.string().nullable().describe('user name; null: none');
const qos = z.literal([0, 1, 2]);
const expiresAt = z
  .number()
  .nullable()
  .describe('when the message expires, in milliseconds since the epoch; null: never');

export const sessionView = z.strictObject({
  clientId,
  username,
  isConnected: z.boolean().describe('whether its client is connected'),
  address: z.string().nullable().describe('`address:port` of its connection, or of the last one'),
  listener: z.string().nullable().describe('URL of the listener that this came through'),
  protocolVersion: z.literal([3, 4, 5]).describe('3: MQTT 3.1, 4: 3.1.1, 5: 5.0'),
  disconnectedAt: z
    .number()
    .nullable()
    .describe('when its client was lost, in milliseconds since the epoch; null while it is connected'),
  expirySeconds: z.number().nullable().describe('how long it outlives its connection; null: for ever'),
  subscriptions: z.int().describe('how many subscriptions it has'),
  queuedMessages: z.int().describe('messages that wait for it, in memory and on disk'),
  queuedBytes: bytes.describe('payloads, properties and topics of these'),
  inFlight: z.int().describe('messages that were sent and not acknowledged'),
  hasWill: z.boolean().describe('whether a will waits for the end of its connection'),
  memoryBytes: bytes.describe('what the client makes the broker hold in memory'),
});
export type SessionView = z.output<typeof sessionView>;

const will = z.strictObject({
  topic: z.string().describe('topic'),
  qos: qos.describe('QoS'),
  retain: z.boolean().describe('whether it is to be retained'),
  payloadBytes: bytes.describe('size of the payload'),
  delaySeconds: z.number().describe('how long it waits after the end of the connection'),
});

export const sessionDetails = sessionView.extend({
  groups: z.array(z.string()).readonly().describe('groups that authentication put its user in'),
  receivedInFlight: z.int().describe('QoS 2 messages of the client that it has not released'),
  will: will.nullable().describe('the will that waits for the end of its connection, or for its delay; null: none'),
  disconnectReason: z.string().nullable().describe('why its last connection ended; null: not known since the start'),
});
export type SessionDetails = z.output<typeof sessionDetails>;

export const clientView = sessionDetails.extend({
  connection: z
    .strictObject({
      address: z.string().describe('`address:port` of the client'),
      listener: z.string().describe('URL of the listener'),
      transport: z.enum(['tcp', 'tls', 'ws', 'wss', 'unix', 'local', 'stream']).describe('how it came'),
      tls: z.string().nullable().describe('version of TLS; null: none'),
      connectedAt: z.number().nullable().describe('when CONNACK left, in milliseconds since the epoch; null: it waits'),
      keepAliveSeconds: z.number().describe('keep-alive; 0: none'),
      publishing: z.int().describe('QoS 1 and 2 messages of the client that are not acknowledged'),
      isCongested: z.boolean().describe('whether the client does not read what it is sent'),
      memoryBytes: bytes.describe('unfinished packets, and what is not yet sent'),
    })
    .nullable()
    .describe('its connection; null: it is away, or lives within the process of the broker'),
});
export type ClientView = z.output<typeof clientView>;

export const inflightView = z.strictObject({
  direction: z.enum(['toClient', 'fromClient']).describe('who publishes it'),
  packetId: z.int().describe('packet identifier'),
  awaits: z.enum(['puback', 'pubrec', 'pubcomp', 'pubrel']).describe('what the client is to send next'),
  qos: z.literal([1, 2]).describe('QoS'),
  topic: z
    .string()
    .nullable()
    .describe('topic; null where the message is not kept: from the client, or the session ends with its connection'),
  bytes: bytes.nullable().describe('payload, properties and topic; null in the same case'),
  expiresAt,
});
export type InflightView = z.output<typeof inflightView>;

export const subscriberView = z.strictObject({
  clientId,
  isConnected: z.boolean().describe('whether its client is connected'),
  topicFilter: z.string().describe('as the client wrote it'),
  qos: qos.describe('the QoS that was granted'),
  shareName: z
    .string()
    .nullable()
    .describe('of a shared subscription: one of those with this name and filter gets it; null: it is not shared'),
});
export type SubscriberView = z.output<typeof subscriberView>;

/** Which clients; what is null or absent does not matter. */
export interface ClientFilter {
  readonly clientId?: string | null | undefined;
  readonly clientIdPrefix?: string | null | undefined;
  readonly clientIdContains?: string | null | undefined;
  readonly username?: string | null | undefined;
  /** Address or network. */
  readonly address?: string | null | undefined;
  readonly connected?: boolean | null | undefined;
  readonly protocolVersion?: 3 | 4 | 5 | null | undefined;
}

export interface SubscriptionFilter {
  readonly clientId?: string | null | undefined;
  /** The filter itself, and not topics that it matches. */
  readonly topicFilter?: string | null | undefined;
}

export interface RetainedFilter {
  /** Matches the topics. */
  readonly topicFilter?: string | null | undefined;
}

export const connectionView = z.strictObject({
  address: z.string().describe('`address:port` of the client'),
  listener: z.string().describe('URL of the listener'),
  transport: z.enum(['tcp', 'tls', 'ws', 'wss', 'unix', 'local', 'stream']).describe('how it came'),
  tls: z.string().nullable().describe('version of TLS; null: none'),
  state: z
    .enum(['opening', 'authenticating', 'open', 'closing'])
    .describe('`opening` until CONNECT, `open` from CONNACK on'),
  clientId: z.string().nullable().describe('client identifier; null unless it is open'),
  username: z.string().nullable().describe('user name; null: none, or it is not open'),
  memoryBytes: bytes.describe('unfinished packets, and what is not yet sent'),
});
export type ConnectionView = z.output<typeof connectionView>;

export const subscriptionView = z.strictObject({
  clientId,
  topicFilter: z.string().describe('as the client wrote it, with `$share/…`'),
  qos: qos.describe('the QoS that was granted'),
  noLocal: z.boolean().describe('No Local'),
  retainAsPublished: z.boolean().describe('Retain As Published'),
  retainHandling: z.literal([0, 1, 2]).describe('Retain Handling'),
  identifier: z.int().nullable().describe('Subscription Identifier; null: none'),
});
export type SubscriptionView = z.output<typeof subscriptionView>;

export const retainedView = z.strictObject({
  topic: z.string().describe('topic'),
  qos: qos.describe('QoS'),
  payloadBytes: bytes.describe('size of the payload'),
  expiresAt,
});
export type RetainedView = z.output<typeof retainedView>;

export const queuedView = z.strictObject({
  topic: z.string().nullable().describe('topic; null of one on disk that cannot be read now, or behind much else'),
  qos: qos.nullable().describe('QoS; null in the same case'),
  bytes: bytes.describe('payload, properties and topic'),
  expiresAt,
});
export type QueuedView = z.output<typeof queuedView>;

/** What a walk through a queue comes to; topic and QoS are null where it is on disk. */
export type QueuedItem = QueuedView & { readonly messageId: number };

/** What is read of it from disk. */
export interface QueuedLook {
  readonly messageId: number;
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
}
