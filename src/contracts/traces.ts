/** Client traces: what is asked of one, and what it tells. See `broker/traces.ts`. */
import * as z from 'zod';
import { isNetwork } from '../base/addresses.ts';
import { bytes, milliseconds, networkRequest, networkText, text, topicFilter } from './values.ts';

/** Events that a trace has. */
export const traceEventNames = [
  'packetReceived',
  'packetSent',
  'connected',
  'disconnected',
  'takenOver',
  'rule',
  'stage',
  'queued',
  'unmatched',
  'dropped',
  'refused',
  'omitted',
  'ended',
] as const;
export type TraceEventName = (typeof traceEventNames)[number];

const dayMs = 86_400_000;

/** Of whom: one of the first four is there. */
export const traceRequest = z
  .strictObject({
    clientId: text.optional().describe('of this client, from its CONNECT on, also while it is not connected yet'),
    username: text.optional().describe('of clients with this user name'),
    address: networkRequest
      .refine(isNetwork, networkText)
      .optional()
      .describe('of connections from this address or network'),
    topic: topicFilter.optional().describe('of messages to topics that this filter matches'),
    forMs: milliseconds(1_000, dayMs).default(600_000).describe('how long it lasts, in milliseconds'),
    payloads: z.boolean().default(false).describe('whether it shows the first 1,024 bytes of payloads'),
    maxBytes: bytes(10_000)
      .optional()
      .describe(
        'memory that its events may take, in bytes; beyond it, the oldest go. At most, and by default, `diagnostics.traceBytes`',
      ),
  })
  .refine(
    ({ clientId, username, address, topic }) => [clientId, username, address, topic].filter(Boolean).length === 1,
    {
      message: 'exactly one of clientId, username, address and topic',
    },
  )
  // For the description of the API: a check is code.
  .meta({ oneOf: ['clientId', 'username', 'address', 'topic'].map((key) => ({ required: [key] })) });
export type TraceRequest = z.input<typeof traceRequest>;

const time = 'in milliseconds since the epoch';

export const traceView = z.strictObject({
  id: z.string().describe('its name'),
  clientId: z.string().nullable().describe('client that it is about; null: it is about something else'),
  username: z.string().nullable().describe('user name that it is about'),
  address: z.string().nullable().describe('address or network that it is about'),
  topic: z.string().nullable().describe('topic filter that it is about'),
  payloads: z.boolean().describe('whether it shows payloads'),
  startedBy: z.string().describe('who started it'),
  startedAt: z.number().describe(`when it began, ${time}`),
  endsAt: z.number().describe(`when it ends, or has ended, ${time}`),
  isActive: z
    .boolean()
    .describe('whether it goes on; one that has ended can be read until another one takes its place'),
  events: z.int().describe('events so far'),
  omitted: z.int().describe('events that were left out or given up: too many in a second, or too much memory'),
  bytes: z.int().describe('memory that its events take, in bytes'),
});
export type TraceView = z.output<typeof traceView>;

export const traceEventView = z.strictObject({
  number: z.int().describe('rises with every event; what is missing was left out'),
  time: z.number().describe(`when it happened, ${time}`),
  event: z.enum(traceEventNames).describe('kind of event'),
  clientId: z
    .string()
    .nullable()
    .describe('client whose packet, session or connection it is; null: not known, or none'),
  address: z.string().nullable().describe('`address:port` of its connection'),
  details: z
    .record(z.string(), z.unknown())
    .describe('what belongs to the kind: packet, topic, rule, stage, reason, …'),
});
export type TraceEventView = z.output<typeof traceEventView>;

/** What operators do with traces. All but `list` may throw a CommandFailure. */
export interface ClientTraces {
  /** Throws a TypeError if what is asked is not valid. */
  start(request: TraceRequest, startedBy?: string): TraceView;
  list(): TraceView[];
  stop(id: string, stoppedBy?: string): TraceView;
  events(id: string, signal: AbortSignal): AsyncIterable<TraceEventView>;
}
