/** Messages that a pipeline could not handle. */
import * as z from 'zod';
import { whole } from '../values.ts';
import { type CommandDeclarations, count } from './declaration.ts';

const number = whole(1).describe('number of a message');
const chosen = z
  .union([z.literal('all'), z.array(number).min(1).max(1_000)], 'up to 1,000 numbers of messages, or all')
  .describe('up to 1,000 numbers of messages, or `all`');

const quarantined = z.strictObject({
  id: whole(1).describe('number; it rises with every message'),
  time: z.number().describe('when it came, in milliseconds since the epoch'),
  topic: z.string().describe('topic, as its publisher sent it'),
  qos: z.literal([0, 1, 2]).describe('QoS'),
  retain: z.boolean().describe('whether it was to be retained'),
  contentType: z.string().optional().describe('content type; absent: none'),
  bytes: z.int().describe('size of the payload'),
  clientId: z.string().nullable().describe('publisher; null if it was no client that was connected'),
  username: z.string().nullable().describe("the publisher's user name"),
  pipeline: z.string().describe('name of the pipeline'),
  version: z.string().describe("version of the pipeline's settings"),
  stage: z.string().describe('place and kind of the stage, as `2 validate`'),
  reason: z.string().describe('why the stage could not handle it'),
});

export const quarantineCommands = {
  'quarantine list': {
    what: 'lists messages that a pipeline could not handle, oldest first',
    area: 'pipelines',
    role: 'viewer',
    route: 'GET /quarantine',
    cli: { lists: 'messages in quarantine' },
    request: z.strictObject({
      after: whole(0).default(0).describe('number of the last message of the page before'),
      limit: whole(1, 200).default(200).describe('messages at most; there are fewer where their texts are long'),
    }),
    answer: z.strictObject({
      entries: z
        .array(quarantined)
        .readonly()
        .describe('messages, without their payloads; none: that was the last page'),
      count: z.int().describe('how many there are in all'),
    }),
  },
  'quarantine show': {
    what: 'gives one of them, with its payload',
    area: 'pipelines',
    role: 'viewer',
    route: 'GET /quarantine/{id}',
    request: z.strictObject({ id: number }),
    answer: quarantined.extend({
      payload: z.base64().describe('payload, in base64'),
      userProperties: z
        .array(z.tuple([z.string(), z.string()]))
        .readonly()
        .describe('user properties'),
    }),
  },
  'quarantine replay': {
    what: 'sends some of them through the pipelines as they are now, in order',
    area: 'pipelines',
    role: 'operator',
    route: 'POST /quarantine/replay',
    cli: { arguments: ['ids'] },
    request: z.strictObject({ ids: chosen }),
    answer: z.strictObject({
      published: z.int().describe('messages that were published'),
      dropped: z.int().describe('messages that a stage dropped'),
      rejected: z.int().describe('messages that were refused, and stay'),
      quarantined: z.int().describe('messages that are in quarantine again, under new numbers'),
    }),
  },
  'quarantine drop': {
    what: 'forgets some of them',
    area: 'pipelines',
    role: 'operator',
    route: 'POST /quarantine/drop',
    cli: { arguments: ['ids'] },
    request: z.strictObject({ ids: chosen }),
    answer: count('messages that were forgotten'),
  },
} as const satisfies CommandDeclarations;
