/** The tree of topics, as it is published to. */
import * as z from 'zod';
import { decode, payloadViewKeys } from '../payloads.ts';
import { topicName, whole } from '../values.ts';
import type { CommandDeclarations } from './declaration.ts';

const bytes = z.int().meta({ unit: 'bytes' });
const rate = (of: string) => z.number().describe(`${of} per second, the mean of about the last ten seconds`);

const traffic = z.strictObject({
  messages: z.int().describe('messages since the look began'),
  bytes: bytes.describe('their payloads, in bytes'),
  messageRate: rate('messages'),
  byteRate: rate('bytes'),
  lastAt: z.number().nullable().describe('when the last one came, in milliseconds since the epoch; null: none has'),
});
export type TrafficView = z.output<typeof traffic>;

const lastMessage = z.strictObject({
  ...payloadViewKeys,
  bytes: bytes.describe('size of the whole payload, in bytes'),
  isCut: z
    .boolean()
    .describe('whether it is longer than the 512 bytes that are kept, which are given as they are then'),
  qos: z.literal([0, 1, 2]).describe('QoS'),
  retain: z.boolean().describe('RETAIN'),
  contentType: z.string().nullable().describe('Content Type; null: none'),
  publisher: z
    .strictObject({
      kind: z.enum(['client', 'will', 'program', 'broker']).describe('what published it'),
      clientId: z.string().nullable().describe('its client, 64 characters at most; null: none'),
    })
    .nullable()
    .describe('who published it; null: not known'),
});
export type LastMessageView = z.output<typeof lastMessage>;

const topicView = z.strictObject({
  level: z.string().describe('its level below the prefix'),
  topic: z.string().describe('the whole topic'),
  isRetained: z.boolean().describe('whether it has a retained message'),
  own: traffic.describe('what is published to it'),
  below: traffic.describe('what is published to topics below it'),
  topicsBelow: z.int().describe('topics below it that were published to, or that have a retained message'),
  isCountCut: z.boolean().describe('whether these may be more: only so many are told apart'),
  last: lastMessage.nullable().describe('the last message to it; null: none came, or whoever asks may not read it'),
});
export type TopicView = z.output<typeof topicView>;

export const topicTree = z.strictObject({
  prefix: z.string().nullable().describe('the topic that these are below; null: first levels'),
  time: z.number().describe('when this was made, in milliseconds since the epoch'),
  since: z.number().describe('when the look began, in milliseconds since the epoch'),
  items: z
    .array(topicView)
    .readonly()
    .describe('topics directly below the prefix, 200 at most, as they were seen first'),
  others: traffic.describe('what is published to topics beyond these'),
  hasValues: z.boolean().describe('whether it tells of messages: that needs the role operator'),
});
export type TopicTree = z.output<typeof topicTree>;

const wanted = {
  prefix: z
    .union([z.literal(''), topicName])
    .nullable()
    .default(null)
    .describe(
      'topic that the others are directly below, as `factory/hall 1`; empty: those that begin with `/`; null: first levels',
    ),
  contains: z.string().max(256).default('').describe('only topics whose level has this in it, in capitals or not'),
  decode: decode.default('auto'),
};

export const topicCommands = {
  'topics tree': {
    what: 'looks for a while at what is published below a topic: to which topics, how often, and the last messages',
    area: 'messages',
    role: 'viewer',
    route: 'GET /topics',
    cli: { lists: 'topics' },
    request: z.strictObject({
      ...wanted,
      forSeconds: whole(0, 30).meta({ unit: 'seconds' }).default(2).describe('how long it looks, in seconds'),
    }),
    answer: topicTree,
  },
  'topics watch': {
    what: 'looks at the same until whoever asks has enough, and tells of it every two seconds',
    area: 'messages',
    role: 'viewer',
    route: 'GET /topics/stream',
    isStream: true,
    sharesEvents: true,
    request: z.strictObject(wanted),
    answer: topicTree,
  },
  'messages decode': {
    what: 'tells what is in a payload, by the formats that pipelines know',
    area: 'messages',
    role: 'viewer',
    route: 'POST /messages/decode',
    isTraffic: true,
    request: z.strictObject({
      topic: topicName.describe('topic of the message'),
      payload: z.base64().max(700_000).describe('payload, in base64'),
      contentType: z.string().max(65_535).nullable().default(null).describe('Content Type; null: none'),
      decode: decode.default('auto'),
    }),
    answer: z.strictObject(payloadViewKeys),
  },
} as const satisfies CommandDeclarations;
