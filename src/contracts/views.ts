/** What a running broker shows of what it has: one schema for each kind of item. */
import { z } from 'zod';

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

export const connectionView = z.strictObject({
  address: z.string().describe('`address:port` of the client'),
  listener: z.string().describe('URL of the listener'),
  transport: z.enum(['tcp', 'tls', 'ws', 'wss', 'local']).describe('how it came'),
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
  topic: z.string().nullable().describe('topic; null where the message is on disk and not in memory'),
  qos: qos.nullable().describe('QoS; null in the same case'),
  bytes: bytes.describe('payload, properties and topic'),
  expiresAt,
});
export type QueuedView = z.output<typeof queuedView>;
