/** What an operator does to a running broker as a whole. */
import * as z from 'zod';
import { logLevels, logPartNames } from '../log.ts';
import { whole } from '../values.ts';
import { type CommandDeclarations, nothing } from './declaration.ts';

const lineLevels = ['debug', 'info', 'warn', 'error'] as const;
const lineKeys = {
  level: z.enum(lineLevels).default('info').describe('the least important lines that are told'),
  part: z.enum(logPartNames).nullable().default(null).describe('only lines of this part of the broker; null: of all'),
  contains: z.string().max(1_000).nullable().default(null).describe('only lines that have this in them; null: all'),
};

export const logLineView = z.strictObject({
  number: z.int().describe('its number, from the start of the broker'),
  time: z.number().describe('when it was written, in milliseconds since the epoch'),
  level: z.enum(lineLevels).describe('how important it is'),
  part: z
    .enum(logPartNames)
    .nullable()
    .describe('part of the broker that it comes from; null: the log is that of a program, which has no parts'),
  message: z.string().describe('what it says'),
  fields: z.string().describe('what belongs to it, as JSON, cut if it is long'),
});
export type LogLineView = z.output<typeof logLineView>;

const levels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
const reference = /^[!-~]+( [!-~]+)*$/;

export const operationCommands = {
  drain: {
    what: 'takes no new clients, and sends away those that are here, at a pace',
    area: 'broker',
    role: 'operator',
    route: 'POST /broker/drain',
    request: z.strictObject({
      perSecond: whole(1, 10_000).default(100).describe('clients that are sent away in a second'),
      serverReference: z
        .string()
        .regex(reference, 'one or several addresses, with a space between two')
        .max(1_000)
        .nullable()
        .default(null)
        .describe('where MQTT 5 clients are told to go (Server Reference), as `other.example:8883`; null: nowhere'),
    }),
    answer: z.strictObject({
      since: z.number().describe('when it began, in milliseconds since the epoch'),
      connected: z.int().describe('clients that are still here'),
      perSecond: z.int().describe('clients that are sent away in a second'),
      expectedSeconds: z.int().describe('about how long that takes, in seconds'),
    }),
  },
  'drain cancel': {
    what: 'takes clients again',
    area: 'broker',
    role: 'operator',
    route: 'DELETE /broker/drain',
    request: nothing,
    answer: z.strictObject({ wasDraining: z.boolean().describe('whether it did not take any') }),
  },
  'log list': {
    what: "gives the last lines of the broker's own log",
    area: 'diagnostics',
    role: 'operator',
    route: 'GET /broker/log',
    cli: { lists: 'lines' },
    request: z.strictObject({ ...lineKeys, limit: whole(1, 500).default(100).describe('lines at most') }),
    answer: z.strictObject({
      items: z
        .array(logLineView)
        .readonly()
        .describe('lines, the newest first, of the last 500 that `log.level` has let through'),
    }),
  },
  'log tail': {
    what: "gives the last lines of the broker's own log, and then each as it is written",
    area: 'diagnostics',
    role: 'operator',
    route: 'GET /broker/log/stream',
    isStream: true,
    request: z.strictObject({ ...lineKeys, past: whole(0, 500).default(20).describe('lines of the past, at most') }),
    answer: logLineView.extend({
      omitted: z.int().describe('lines just before it that this reader was too slow for'),
    }),
  },
  'log level': {
    what: 'changes how much is logged, of everything or of a part, for a time',
    area: 'diagnostics',
    role: 'operator',
    route: 'POST /broker/log',
    cli: { arguments: ['level'] },
    request: z.strictObject({
      level: z.enum(levels).describe('the least important lines that are written'),
      part: z
        .enum(logPartNames)
        .nullable()
        .default(null)
        .describe('only of this part of the broker, which its lines name; null: all of them'),
      forSeconds: whole(1, 86_400).meta({ unit: 'seconds' }).default(600).describe('for how long, in seconds'),
    }),
    answer: z.strictObject({
      level: z
        .enum(logLevels)
        .describe('the least important lines that are written now, of parts not named in `parts`'),
      until: z
        .number()
        .nullable()
        .describe('when it is as configured again, in milliseconds since the epoch; null: it is'),
      parts: z
        .array(
          z.strictObject({
            part: z.enum(logPartNames).describe('part'),
            level: z.enum(logLevels).describe('the least important lines of it that are written now'),
            until: z.number().describe('until when, in milliseconds since the epoch'),
          }),
        )
        .readonly()
        .describe('parts that have a level of their own now'),
    }),
  },
} as const satisfies CommandDeclarations;
