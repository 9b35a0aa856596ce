/** Why a message did not arrive: see `broker/drops.ts`. */
import { z } from 'zod';
import { dropReasonNames, dropView, unmatchedView } from '../drops.ts';
import { type CommandDeclarations, pageOf, pageWith } from './declaration.ts';

const topic = z.string().nullable().default(null).describe('topic filter that the topic matches; null: any');

export const diagnosticsCommands = {
  'drops list': {
    what: 'lists what was dropped and refused last',
    area: 'diagnostics',
    role: 'viewer',
    route: 'GET /drops',
    request: pageWith({
      topic,
      clientId: z.string().nullable().default(null).describe('of this publisher or recipient; null: of any'),
      reason: z.enum(dropReasonNames).nullable().default(null).describe('reason; null: any'),
      kind: z.enum(['dropped', 'refused']).nullable().default(null).describe('kind; null: both'),
      since: z.number().nullable().default(null).describe('in milliseconds since the epoch; null: all that is kept'),
    }),
    answer: pageOf(dropView, 'entries, the newest first'),
  },
  'drops unmatched': {
    what: 'lists topics to which nobody had subscribed',
    area: 'diagnostics',
    role: 'viewer',
    route: 'GET /drops/unmatched',
    request: pageWith({ topic }),
    answer: pageOf(unmatchedView, 'topics, those with the most messages first'),
  },
} as const satisfies CommandDeclarations;
