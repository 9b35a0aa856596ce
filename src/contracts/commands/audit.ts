/** The audit log, read back. */
import * as z from 'zod';
import { whole } from '../values.ts';
import type { CommandDeclarations } from './declaration.ts';

const optional = (of: string) => z.string().nullable().default(null).describe(of);
const told = (of: string) => z.string().nullable().describe(`${of}; null: it does not say`);

const wanted = {
  event: optional('only events of this name, as `connected`; null: all'),
  client: optional('only those of this client identifier; null: all'),
  user: optional('only those of this user name; null: all'),
  contains: optional('only those that have this text in them, in capitals or not; null: all'),
};

export const auditEventView = z.strictObject({
  time: z.number().describe('when, in milliseconds since the epoch'),
  event: z.string().describe('what happened, as `connected`'),
  client: told('client identifier'),
  user: told('user name'),
  from: told('`address:port` it came from; of a ban, what it covers'),
  by: told('who gave a command, as `key backup-job`'),
  topic: told('topic, or topic filter'),
  command: told('which command'),
  outcome: told('what became of a command'),
  reason: told('why'),
  more: z.record(z.string(), z.unknown()).describe('what else the event says'),
});
export type AuditEventView = z.output<typeof auditEventView>;

export const auditCommands = {
  'audit list': {
    what: 'gives the last events of the audit log',
    area: 'access',
    role: 'operator',
    route: 'GET /audit',
    cli: { lists: 'events' },
    request: z.strictObject({ ...wanted, limit: whole(1, 500).default(100).describe('events at most') }),
    answer: z.strictObject({
      items: z
        .array(auditEventView)
        .readonly()
        .describe('events, the newest first, of the last megabyte of the file, and of the file before it'),
    }),
  },
  'audit tail': {
    what: 'gives the last events of the audit log since the start, and then each as it is recorded',
    area: 'access',
    role: 'operator',
    route: 'GET /audit/stream',
    isStream: true,
    request: z.strictObject({ ...wanted, past: whole(0, 200).default(20).describe('events of the past, at most') }),
    answer: auditEventView.extend({
      omitted: z.int().describe('events just before it that this reader was too slow for'),
    }),
  },
} as const satisfies CommandDeclarations;
