/** Why a message would arrive or not: what `explain` answers. */
import * as z from 'zod';
import { plural } from '../base/plural.ts';
import { nodeKey, unansweredKey } from './commands/declaration.ts';
import { dropView } from './drops.ts';

/** In the order of the message's way. */
export const explainSteps = [
  'broker',
  'topic',
  'publisher',
  'limits',
  'rules',
  'memory',
  'disk',
  'hook',
  'pipeline',
  'cluster',
  'room',
  'expiry',
  'session',
  'subscription',
  'readRules',
  'form',
  'packetSize',
  'connection',
  'queue',
] as const;
export type ExplainStep = (typeof explainSteps)[number];

export const explainFinding = z.strictObject({
  step: z.enum(explainSteps).describe('where on the way of the message'),
  verdict: z
    .enum(['passes', 'stops', 'depends'])
    .describe('`stops`: it gets no further. `depends`: on what is not known now, as the text says, or it has to wait'),
  text: z.string().describe('what was found'),
  remedy: z.string().nullable().describe('what to do; null: nothing'),
  ...nodeKey,
});
export type ExplainFinding = z.output<typeof explainFinding>;

export const explainReceivers = z.strictObject({
  sessions: z.int().describe('sessions that would get it by subscriptions that are not shared'),
  sharedGroups: z.int().describe('shared subscriptions of which one member each would get it'),
  clientIds: z.array(z.string()).readonly().describe('clients of the first of these sessions'),
  groups: z.array(z.string()).readonly().describe('the first of these shared subscriptions, `{share name}/{filter}`'),
});
export type ExplainReceivers = z.output<typeof explainReceivers>;

export const explanation = z.strictObject({
  arrives: z
    .enum(['yes', 'no', 'depends'])
    .describe('whether it would arrive, as things are now: at the named receiver, or at anybody'),
  conclusion: z.string().describe('the first thing that stands in the way, or that it would arrive'),
  step: z.enum(explainSteps).nullable().describe('where that stands; null: nowhere'),
  remedy: z.string().nullable().describe('what to do about it; null: nothing'),
  findings: z.array(explainFinding).readonly().describe('all that was found, in the order of the way of the message'),
  drops: z
    .array(dropView)
    .readonly()
    .nullable()
    .describe('the newest drops and refusals of this topic that can concern these clients; null where not asked for'),
  receivers: explainReceivers.nullable().describe('who would get it; null where a receiver was named'),
  ...unansweredKey,
});
export type Explanation = z.output<typeof explanation>;

/** So many receivers are named. */
export const explainedReceiversMost = 20;
/** So many drops and refusals are told, the newest ones. */
export const explainedDropsMost = 20;

/** The first thing that stops it counts, else the first that it depends on. */
export function conclusionOf(
  findings: readonly ExplainFinding[],
): Pick<Explanation, 'arrives' | 'conclusion' | 'step' | 'remedy'> {
  const stop = findings.find(({ verdict }) => verdict === 'stops');
  const first = stop ?? findings.find(({ verdict }) => verdict === 'depends');
  if (first === undefined) return { arrives: 'yes', conclusion: 'it would arrive', step: null, remedy: null };
  const { step, text, remedy } = first;
  return { arrives: stop === undefined ? 'depends' : 'no', conclusion: text, step, remedy };
}

export function receiversText({ sessions, sharedGroups }: ExplainReceivers): string {
  const text = `${plural(sessions, 'session')}, and ${plural(sharedGroups, 'shared subscription')}`;
  return `subscribed to it and may have it: ${text}; name one of them to look closer`;
}
