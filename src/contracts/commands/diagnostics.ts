/** Why a message did not arrive: see `broker/drops.ts` and `broker/traces.ts`. */
import * as z from 'zod';
import { dropReasonNames, dropView, unmatchedView } from '../drops.ts';
import { traceEventView, traceRequest, traceView } from '../traces.ts';
import { type CommandDeclarations, nothing, pageOf, pageWith } from './declaration.ts';

const topic = z.string().nullable().default(null).describe('topic filter that the topic matches; null: any');

const traceId = z.string().min(1).describe('name of the trace');

export const diagnosticsCommands = {
  'drops list': {
    what: 'lists what was dropped and refused last',
    area: 'diagnostics',
    role: 'viewer',
    route: 'GET /drops',
    cli: { lists: 'drops or refusals', options: { clientId: 'client' }, limit: 100 },
    request: pageWith({
      topic,
      clientId: z.string().nullable().default(null).describe('of this publisher or recipient; null: of any'),
      reason: z.enum(dropReasonNames).nullable().default(null).describe('reason; null: any'),
      kind: z.enum(['dropped', 'refused']).nullable().default(null).describe('kind; null: both'),
      since: z
        .number()
        .nullable()
        .default(null)
        .describe('from when on, in milliseconds since the epoch; null: all that is kept'),
    }),
    answer: pageOf(dropView, 'entries, the newest first'),
  },
  'drops unmatched': {
    what: 'lists topics to which nobody had subscribed',
    area: 'diagnostics',
    role: 'viewer',
    route: 'GET /drops/unmatched',
    cli: { lists: 'topics without subscribers', limit: 100 },
    request: pageWith({ topic }),
    answer: pageOf(unmatchedView, 'topics, those with the most messages first'),
  },
  'traces list': {
    what: 'lists client traces that go on, and the last ones that have ended',
    area: 'diagnostics',
    role: 'viewer',
    route: 'GET /traces',
    cli: { words: 'trace list', lists: 'traces' },
    request: nothing,
    answer: z.strictObject({ items: z.array(traceView).readonly().describe('traces, the oldest first') }),
  },
  'traces start': {
    what: 'begins a client trace, which ends by itself',
    area: 'diagnostics',
    role: 'operator',
    route: 'POST /traces',
    cli: {
      words: 'trace start',
      options: { clientId: 'client', username: 'user' },
      follow: { events: 'traces events', end: 'traces stop' },
    },
    request: traceRequest,
    answer: traceView,
  },
  'traces stop': {
    what: 'ends a client trace; its events can still be read for a while',
    area: 'diagnostics',
    role: 'operator',
    route: 'POST /traces/{id}/stop',
    cli: { words: 'trace stop' },
    request: z.strictObject({ id: traceId }),
    answer: traceView,
  },
  'traces events': {
    what: 'gives the events of a client trace, from the first that is kept and then as they come, until it ends',
    area: 'diagnostics',
    role: 'operator',
    route: 'GET /traces/{id}/events',
    cli: { words: 'trace show' },
    request: z.strictObject({ id: traceId }),
    answer: traceEventView,
    isStream: true,
  },
} as const satisfies CommandDeclarations;
