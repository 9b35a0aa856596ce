/** What happened to a client lately. */
import * as z from 'zod';

export const timelineEvents = [
  'connected',
  'takenOver',
  'disconnected',
  'connectRefused',
  'protocolError',
  'subscribed',
  'unsubscribed',
  'subscribeRefused',
  'publishRefused',
  'dropped',
  'slow',
  'willPublished',
  'willRefused',
  'banned',
  'sessionEnded',
] as const;
export type TimelineEventName = (typeof timelineEvents)[number];

export const timelineEventView = z.strictObject({
  event: z.enum(timelineEvents).describe('what happened'),
  time: z.number().describe('when, in milliseconds since the epoch'),
  lastTime: z
    .number()
    .describe('when it happened last, if it happened again and again; in milliseconds since the epoch'),
  count: z.int().describe('how often, of messages that were dropped how many'),
  detail: z.string().describe('why, or how; of `dropped`, the reason as `drops list` has it'),
  topic: z.string().nullable().describe('topic or topic filter, of several the last one; null: it has none'),
  address: z.string().nullable().describe('`address:port` of the connection; null: it was about none'),
});
export type TimelineEventView = z.output<typeof timelineEventView>;
