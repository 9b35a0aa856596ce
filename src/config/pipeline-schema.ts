/**
 * What a configuration file may say of pipelines, and of what they are tested with. docs/reference/pipeline.md has an
 * example of each stage.
 */
import { z } from 'zod';
import {
  defaultPipelineLimits,
  type PipelineLimits,
  type PipelineSettings,
  redirectingKinds,
  type StageSettings,
  stageKinds,
} from '../contracts/pipeline.ts';
import { parseFilter } from '../protocol/topic.ts';
import { qos, text, whole } from './values.ts';

const seconds = z.number().positive().max(31_536_000);

export const topicFilter = z
  .string()
  .refine((filter) => parseFilter(filter)?.shareName === null, 'a topic filter, such as factory/+/temperature');

const binaryField = z.strictObject({
  name: text,
  type: z.enum([
    'int8',
    'uint8',
    'int16',
    'uint16',
    'int32',
    'uint32',
    'int64',
    'uint64',
    'float32',
    'float64',
    'bits',
    'bytes',
    'text',
    'skip',
  ]),
  endian: z.enum(['big', 'little']).optional(),
  scale: z.number().optional(),
  offset: z.number().optional(),
  length: z.union([whole(0), z.literal('rest')], 'a number of bytes, or rest').optional(),
  repeat: z.union([whole(0), text], 'a number, rest, or the name of a field').optional(),
  bytes: z.literal([1, 2, 4]).optional(),
  bits: z
    .array(z.strictObject({ name: text, at: whole(0, 31), width: whole(1, 32).optional() }))
    .min(1)
    .optional(),
});

const protobuf = z.strictObject({ file: text, type: text });
const avro = z.strictObject({ file: text });

const formatNames = [
  'json',
  'cbor',
  'msgpack',
  'text',
  'csv',
  'sparkplug',
  'base64',
  'hex',
  'gzip',
  'deflate',
  'brotli',
] as const;

const format = z.union(
  [
    z.enum(formatNames),
    z.strictObject({ protobuf }),
    z.strictObject({ avro }),
    z.strictObject({
      csv: z.strictObject({
        delimiter: z.string().length(1).default(','),
        header: z.boolean().default(true),
        columns: z.array(text).optional(),
      }),
    }),
    z.strictObject({
      binary: z.strictObject({ endian: z.enum(['big', 'little']).default('big'), fields: z.array(binaryField).min(1) }),
    }),
  ],
  `one of ${formatNames.join(', ')}, { protobuf: { file, type } }, { avro: { file } }, { csv: … } or { binary: … }`,
);

const aggregation = z.union(
  [
    z.enum(['count', 'mean', 'min', 'max', 'sum', 'first', 'last']),
    z.templateLiteral(['p', z.number().min(0).max(100)]),
  ],
  'count, mean, min, max, sum, first, last, or a percentile such as p95',
);

const filterText = z.string().transform((cel) => ({ cel }));
const filterStage = z.union(
  [filterText, z.strictObject({ cel: text }), z.strictObject({ jsonata: text })],
  'a CEL expression, or { jsonata: … }',
);

const convertStage = z.union(
  [format.transform((to) => ({ to })), z.strictObject({ from: format.optional(), to: format })],
  `a format, or { from, to }; formats are ${formatNames.join(', ')} and more`,
);

const deadband = z
  .strictObject({
    field: text,
    absolute: z.number().min(0).optional(),
    percent: z.number().min(0).optional(),
    maxSeconds: seconds.optional(),
  })
  .refine(({ absolute, percent }) => absolute !== undefined || percent !== undefined, 'absolute or percent');

const validate = z
  .strictObject({
    jsonSchema: z.union([text, z.record(z.string(), z.unknown())], 'a file, or a schema').optional(),
    protobuf: protobuf.optional(),
    avro: avro.optional(),
  })
  .refine((all) => Object.values(all).filter((each) => each !== undefined).length === 1, {
    error: 'one of jsonSchema, protobuf or avro',
  });

const stage = z
  .strictObject({
    decode: format.optional(),
    encode: format.optional(),
    convert: convertStage.optional(),
    validate: validate.optional(),
    map: text.optional(),
    filter: filterStage.optional(),
    set: z
      .strictObject({
        fields: z.record(text, z.unknown()).optional(),
        userProperties: z.record(text, z.string()).optional(),
        contentType: text.optional(),
        qos: qos.optional(),
        retain: z.boolean().optional(),
        messageExpirySeconds: whole(0, 0xffffffff).optional(),
      })
      .optional(),
    rename: z.record(text, text).optional(),
    pick: z.array(text).optional(),
    omit: z.array(text).optional(),
    units: z.record(text, z.strictObject({ from: text, to: text, decimals: whole(0, 15).optional() })).optional(),
    topic: z.union([text, z.strictObject({ match: text, to: z.string() })], 'a template, or { match, to }').optional(),
    throttle: z.strictObject({ seconds }).optional(),
    deadband: deadband.optional(),
    'on-change': z.strictObject({ fields: z.array(text).min(1).optional() }).optional(),
    aggregate: z.strictObject({ seconds, fields: z.record(text, z.array(aggregation).min(1)) }).optional(),
    dedupe: z.strictObject({ seconds, field: text.optional() }).optional(),
    batch: z.strictObject({ messages: whole(1, 100_000), seconds }).optional(),
    script: z
      .strictObject({
        file: text,
        timeoutMs: whole(1, 10_000).default(100),
        memoryBytes: whole(1_048_576, 1_073_741_824).default(16_777_216),
      })
      .optional(),
    plugin: z.strictObject({ file: text, options: z.unknown().optional() }).optional(),
    onError: z.enum(['drop', 'reject', 'pass', 'tag', 'quarantine']).optional(),
    trusted: z.boolean().optional(),
  })
  .refine((all) => stageKinds.filter((kind) => all[kind] !== undefined).length === 1, {
    error: `exactly one of ${stageKinds.join(', ')} (and onError beside it)`,
  })
  .refine((all) => all.trusted === undefined || redirectingKinds.some((kind) => all[kind] !== undefined), {
    path: ['trusted'],
    error: `trusted beside one of ${redirectingKinds.join(', ')}: only these give a message another topic, QoS or retain`,
  });

const pipeline = z.strictObject({
  name: z.string().regex(/^[\w.-]{1,100}$/, 'a name of letters, digits, dots, dashes and underscores'),
  on: z.enum(['publish', 'deliver']).default('publish'),
  filter: topicFilter,
  for: z.strictObject({ username: text.optional(), clientId: text.optional(), listener: text.optional() }).optional(),
  stages: z.array(stage).min(1),
});

export const pipelines = z.array(pipeline).superRefine((all, context) => {
  for (const [index, { name, on, for: whom }] of all.entries()) {
    if (all.findIndex((other) => other.name === name) < index) {
      context.addIssue({ code: 'custom', path: [index, 'name'], message: 'a name that no pipeline above has' });
    }
    if (on === 'publish' && whom !== undefined) {
      context.addIssue({ code: 'custom', path: [index, 'for'], message: '"on: deliver" beside it' });
    }
  }
});

export const pipelineLimits = z.strictObject({
  depth: whole(1, 1_000).default(defaultPipelineLimits.depth),
  items: whole(1).default(defaultPipelineLimits.items),
  payloadBytes: whole(1, 268_435_455).default(defaultPipelineLimits.payloadBytes),
  topicStates: whole(1).default(defaultPipelineLimits.topicStates),
  stepSeconds: whole(1, 3_600).default(defaultPipelineLimits.stepSeconds),
  stageMs: whole(10, 60_000).default(defaultPipelineLimits.stageMs),
  quarantineMessages: whole(0).default(defaultPipelineLimits.quarantineMessages),
  quarantineBytes: whole(0).default(defaultPipelineLimits.quarantineBytes),
});

const expected = z.strictObject({
  topic: z.string().optional(),
  payload: z.unknown().optional(),
  payloadHex: z.string().optional(),
  contentType: z.string().optional(),
  userProperties: z.record(z.string(), z.string()).optional(),
  qos: qos.optional(),
  retain: z.boolean().optional(),
});

export const pipelineTest = z.strictObject({
  name: text,
  topic: text,
  /** Text as it is; anything else as JSON. */
  payload: z.unknown().optional(),
  payloadHex: z
    .string()
    .regex(/^([0-9a-fA-F]{2}|\s)*$/, 'hexadecimal digits')
    .optional(),
  payloadFile: text.optional(),
  /** Payloads of messages that came just before, the same otherwise: for stages that remember something. */
  before: z.array(z.unknown()).default([]),
  contentType: text.optional(),
  userProperties: z.record(z.string(), z.string()).optional(),
  clientId: z.string().default('test'),
  username: z.string().optional(),
  groups: z.array(text).default([]),
  /** To look at what a subscriber gets; without it, at what is routed. */
  subscriber: z
    .strictObject({
      clientId: z.string().default('test'),
      username: z.string().optional(),
      listener: z.string().optional(),
      accept: z.string().optional(),
    })
    .optional(),
  expect: z.union(
    [z.enum(['dropped', 'rejected', 'quarantined']), z.array(expected)],
    'a list of messages, or dropped, rejected or quarantined',
  ),
});

type Assignable<T extends Expected, Expected> = T;
export type CheckedStage = Assignable<z.output<typeof stage>, StageSettings>;
export type CheckedPipeline = Assignable<z.output<typeof pipeline>, PipelineSettings>;
export type CheckedLimits = Assignable<z.output<typeof pipelineLimits>, PipelineLimits>;
export type PipelineTest = z.output<typeof pipelineTest>;
