/** Figures over time: kept of the last day, and told live. `broker/figure-table.ts` says what each is. */
import * as z from 'zod';
import { type CategoryName, categories } from '../base/ledger.ts';

/** Reasons for which copies of messages are counted as dropped. */
const droppedReasons = [
  'slowConsumer',
  'queueFull',
  'expired',
  'packetTooLarge',
  'sessionEnded',
  'noSharedMember',
  'retainedLimit',
  'notAuthorized',
  'willRefused',
  'pipelineFailed',
  'purged',
  'tooOld',
] as const;

export const figureNames = [
  'connections',
  'connections.unauthenticated',
  'connections.accepted',
  'connections.refused',
  'authentications.failed',
  'clients.connected',
  'clients.absent',
  'subscriptions',
  'messages.received',
  'messages.sent',
  'messages.refused',
  'bytes.received',
  'bytes.sent',
  'dropped',
  ...droppedReasons.map((reason): `dropped.${(typeof droppedReasons)[number]}` => `dropped.${reason}`),
  'queued.messages',
  'queued.bytes',
  'retained.messages',
  'retained.bytes',
  'commits.p50',
  'commits.p99',
  'commits.records',
  'disk.bytes',
  'disk.free',
  'loop.p99',
  'scheduler.p99',
  'processor',
  'memory',
  'memory.pressure',
  'memory.resident',
  ...categories.map((name): `memory.${CategoryName}` => `memory.${name}`),
  'quarantined',
  'alarms',
] as const;
export type FigureName = (typeof figureNames)[number];

export const figureName = z.enum(figureNames);

/** How far back, and how far apart. */
export const spans = {
  minutes: { stepSeconds: 2, points: 150 },
  hour: { stepSeconds: 10, points: 360 },
  day: { stepSeconds: 60, points: 1_440 },
} as const;
export type SpanName = keyof typeof spans;

export const figureView = z.strictObject({
  name: figureName.describe('name'),
  what: z.string().describe('what it is'),
  unit: z.string().describe('unit'),
  worry: z
    .string()
    .nullable()
    .describe('when it calls for somebody, and what it means then; null: it needs no watching'),
  metric: z.string().nullable().describe('the metric that it comes from; null: none'),
});
export type FigureView = z.output<typeof figureView>;

export const figuresEvent = z.strictObject({
  time: z.number().describe('in milliseconds since the epoch'),
  figures: z
    .record(z.string(), z.number().nullable())
    .describe('by name; those that are per second are means over the last two seconds. Null: not known'),
});
export type FiguresEvent = z.output<typeof figuresEvent>;
