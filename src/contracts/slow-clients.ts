/** Clients that take long to acknowledge. */
import * as z from 'zod';

const milliseconds = z.number().meta({ unit: 'milliseconds' });

export const slowClient = z.strictObject({
  clientId: z.string().describe('client identifier'),
  username: z.string().nullable().describe('user name; null: none'),
  worstMs: milliseconds.describe('longest time from the arrival of a message for it to its acknowledgement'),
  lastMs: milliseconds.describe('the same of the last message that took long'),
  isAcknowledged: z
    .boolean()
    .describe('whether that is acknowledged; false: it took so long by `lastTime`, and takes longer'),
  count: z.int().describe('how often it was slow, of one message that is timed in a second at most'),
  time: z.number().describe('when it was slow first, in milliseconds since the epoch'),
  lastTime: z.number().describe('when it was slow last, in milliseconds since the epoch'),
});
export type SlowClient = z.output<typeof slowClient>;
