/**
 * What a running broker shows of what it has: one schema for each kind of item. Times are milliseconds since the epoch.
 */
import { z } from 'zod';

const time = z.number();
const version = z.literal([3, 4, 5]).describe('3: MQTT 3.1, 4: 3.1.1, 5: 5.0');
const transport = z.enum(['tcp', 'tls', 'ws', 'wss', 'local']);

export const sessionView = z.strictObject({
  clientId: z.string(),
  username: z.string().nullable(),
  isConnected: z.boolean(),
  address: z.string().nullable().describe('`address:port` of its connection, or of the last one'),
  listener: z.string().nullable().describe('URL of the listener that this came through'),
  protocolVersion: version,
  disconnectedAt: time.nullable().describe('null while it is connected'),
  expirySeconds: z.number().nullable().describe('how long it outlives its connection; null: for ever'),
  subscriptions: z.int(),
  queuedMessages: z.int(),
  queuedBytes: z.int(),
  inFlight: z.int().describe('messages that were sent and not acknowledged'),
  hasWill: z.boolean(),
  memoryBytes: z.int().describe('what the client makes the broker hold in memory'),
});
export type SessionView = z.output<typeof sessionView>;

export const connectionView = z.strictObject({
  address: z.string().describe('`address:port`'),
  listener: z.string(),
  transport,
  tls: z.string().nullable().describe('version of TLS'),
  state: z.enum(['opening', 'authenticating', 'open', 'closing']),
  clientId: z.string().nullable().describe('null until the client has shown who it is'),
  username: z.string().nullable(),
  memoryBytes: z.int().describe('unfinished packets, and what is not yet sent'),
});
export type ConnectionView = z.output<typeof connectionView>;

export const subscriptionView = z.strictObject({
  clientId: z.string(),
  topicFilter: z.string().describe('as the client wrote it, with `$share/…`'),
  qos: z.literal([0, 1, 2]),
  noLocal: z.boolean(),
  retainAsPublished: z.boolean(),
  retainHandling: z.literal([0, 1, 2]),
  identifier: z.int().nullable(),
});
export type SubscriptionView = z.output<typeof subscriptionView>;

export const retainedView = z.strictObject({
  topic: z.string(),
  qos: z.literal([0, 1, 2]),
  payloadBytes: z.int(),
  expiresAt: time.nullable().describe('null: never'),
});
export type RetainedView = z.output<typeof retainedView>;

export const queuedView = z.strictObject({
  topic: z.string().nullable().describe('null where the message is on disk and not in memory'),
  qos: z.literal([0, 1, 2]).nullable().describe('the same'),
  bytes: z.int().describe('payload, properties and topic'),
  expiresAt: time.nullable().describe('null: never'),
});
export type QueuedView = z.output<typeof queuedView>;
