/** What became of a probe: see `broker/probe.ts`. */
import * as z from 'zod';

const milliseconds = z.number().nullable().meta({ unit: 'milliseconds' });

export const probeRecipient = z.strictObject({
  clientId: z.string().describe('client identifier; those of the program begin with U+0000'),
  state: z
    .enum(['waiting', 'sent', 'acknowledged', 'dropped', 'withheld'])
    .describe(
      '`waiting`: in its queue. `sent`: and not acknowledged; at QoS 0 that is all. `withheld`: a pipeline on the way to it gives it nothing',
    ),
  qos: z.literal([0, 1, 2]).nullable().describe('QoS it was sent with; null: it was not'),
  sentAfterMs: milliseconds.describe('time from publishing until it was sent; null: it was not'),
  acknowledgedAfterMs: milliseconds.describe('time from publishing until it was acknowledged; null: it was not'),
  reason: z.string().nullable().describe('why it was dropped, or waits; null: neither'),
});
export type ProbeRecipient = z.output<typeof probeRecipient>;

export const probeReport = z.strictObject({
  id: z.string().describe('its number, which the message has as the user property `sluice-probe`'),
  reasonCode: z.int().describe('what its publisher was answered; from 0x80 on it was refused'),
  reason: z.string().nullable().describe('why it was refused, in words; null: it was not'),
  sessions: z.int().describe('sessions that subscribed to its topic when it was published'),
  sharedGroups: z.int().describe('shared subscriptions to it, of which one member each gets it'),
  isSettled: z.boolean().describe('whether all connected recipients had acknowledged it by the deadline'),
  counts: z
    .strictObject({
      sent: z.int().describe('to so many it was sent, and they have not acknowledged it'),
      acknowledged: z.int().describe('so many have acknowledged it'),
      waiting: z.int().describe('for so many it waits'),
      dropped: z.int().describe('for so many it was dropped'),
      withheld: z.int().describe('so many get nothing of it'),
    })
    .describe('recipients by state'),
  recipients: z.array(probeRecipient).readonly().describe('the first 1,000 recipients'),
});
export type ProbeReport = z.output<typeof probeReport>;
