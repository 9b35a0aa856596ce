/** Pipelines of a running broker. */
import * as z from 'zod';
import { qos, topicName, whole } from '../values.ts';
import { type CommandDeclarations, nothing } from './declaration.ts';

const encoding = z.enum(['text', 'base64']);
const pairs = z.array(z.tuple([z.string().max(65_535), z.string().max(65_535)])).max(1_000);
const name = z.string().min(1).max(65_535);

const stage = z.strictObject({
  stage: z.string().describe('its place and kind, as `2 validate`'),
  in: z.int().describe('messages that came in'),
  out: z.int().describe('messages that went out'),
  dropped: z.int().describe('messages that it dropped'),
  failed: z.int().describe('messages that it could not handle'),
  lossy: z.int().describe('losses in its conversions'),
  meanMicroseconds: z.number().describe('how long it took for a message, in the mean'),
  p99Microseconds: z.number().describe('how long it took, 99 of 100 times, about'),
});

const pipeline = z.strictObject({
  name: z.string().describe('name'),
  on: z
    .enum(['publish', 'deliver', 'bridge'])
    .describe('`publish`: before a message is routed; `deliver`: on the way to subscribers; `bridge`: over bridges'),
  filter: z.string().describe('topics whose messages go through it'),
  version: z.string().describe('of its settings and files'),
  stages: z.array(stage).readonly().describe('stages in their order, with what they counted since it was loaded'),
});
export type PipelineView = z.output<typeof pipeline>;

const tried = z.strictObject({
  topic: z.string().describe('topic'),
  payload: z.string().describe('payload, cut to 16 KiB'),
  encoding: encoding.describe('of `payload`: base64 unless it is text'),
  bytes: z.int().describe('size of the whole payload'),
  qos: qos.describe('QoS'),
  retain: z.boolean().describe('whether it is to be retained'),
  contentType: z.string().nullable().describe('content type; null: none'),
  userProperties: z
    .array(z.tuple([z.string(), z.string()]))
    .readonly()
    .describe('user properties'),
});
export type TriedMessage = z.output<typeof tried>;

const trace = z.strictObject({
  pipeline: z.string().describe('name of the pipeline'),
  stage: z.string().describe('place and kind of the stage, as `2 validate`'),
  microseconds: z.number().describe('how long it took'),
  error: z.string().nullable().describe('why it could not handle the message; null: it could'),
  count: z.int().describe('messages that came out of it'),
  messages: z
    .array(tried.nullable())
    .readonly()
    .describe('the first twenty of them; null: a value that no stage has written yet'),
});
export type StageView = z.output<typeof trace>;

export const pipelineCommands = {
  'pipelines list': {
    what: 'lists pipelines and their stages, with what went through',
    area: 'pipelines',
    role: 'viewer',
    route: 'GET /pipelines',
    cli: { lists: 'pipelines' },
    request: nothing,
    answer: z.strictObject({
      pipelines: z.array(pipeline).readonly().describe('pipelines in the order of the configuration'),
      quarantined: z.int().describe('messages in quarantine'),
    }),
  },
  'pipelines try': {
    what: 'sends a message through pipelines like those in use, and publishes nothing',
    area: 'pipelines',
    role: 'operator',
    route: 'POST /pipelines/try',
    cli: { options: { userProperties: 'property', groups: 'group' } },
    request: z.strictObject({
      topic: topicName.describe('topic'),
      payload: z.string().max(1_000_000).default('').describe('payload'),
      encoding: encoding.default('text').describe('of `payload`'),
      qos: qos.default(0).describe('QoS'),
      retain: z.boolean().default(false).describe('whether it is to be retained'),
      contentType: name.nullable().default(null).describe('content type; null: none'),
      userProperties: pairs.default([]).describe('user properties, as pairs of name and value'),
      clientId: name.default('test').describe('client identifier of the publisher'),
      username: name.nullable().default(null).describe('user name of the publisher; null: none'),
      groups: z.array(name).max(100).default([]).describe('groups of the publisher'),
      subscriber: z
        .strictObject({
          clientId: name.describe('client identifier'),
          username: name.nullable().default(null).describe('user name; null: none'),
          accept: name.nullable().default(null).describe('format that it asks for; null: none'),
        })
        .nullable()
        .default(null)
        .describe('whose messages to give; null: what is routed'),
    }),
    answer: z.strictObject({
      outcome: z.enum(['published', 'dropped', 'quarantined', 'rejected']).describe('what would become of it'),
      reason: z.string().nullable().describe('why it is rejected; null: it is not'),
      count: whole(0).describe('messages that would be published'),
      messages: z.array(tried).readonly().describe('the first twenty of them'),
      stages: z.array(trace).readonly().describe('stages that it came to, a hundred at most'),
    }),
  },
} as const satisfies CommandDeclarations;
