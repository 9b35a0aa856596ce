/**
 * What a configuration file may say of pipelines, and of what they are tested with. docs/reference/pipeline.md has an
 * example of each stage.
 */
import { z } from 'zod';
import { type DeepReadonly, deepFreeze } from '../base/freeze.ts';
import { parseFilter } from '../protocol/topic.ts';
import { redirectingKinds, stageKinds } from './stage-kinds.ts';
import { bytes, milliseconds, qos, seconds, text, whole } from './values.ts';

const duration = z.number().positive().max(31_536_000);

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
  /** Of this field; the layout's otherwise. */
  endian: z.enum(['big', 'little']).optional(),
  /** The number read, times `scale`, plus `offset`. Default: 1 and 0. */
  scale: z.number().optional(),
  offset: z.number().optional(),
  /** `bytes`, `text` and `skip`: how many; `rest` for all that is left. */
  length: z.union([whole(0), z.literal('rest')], 'a number of bytes, or rest').optional(),
  /** An array of so many, or of as many as are left, or of as many as the field of this name says. */
  repeat: z.union([whole(0), text], 'a number, rest, or the name of a field').optional(),
  /** `bits`: how many bytes hold them, and name, lowest bit (0 is the least significant) and number of bits of each. */
  bytes: z.literal([1, 2, 4]).optional(),
  bits: z
    .array(z.strictObject({ name: text, at: whole(0, 31), width: whole(1, 32).optional() }))
    .min(1)
    .optional(),
});

export type BinaryField = DeepReadonly<z.output<typeof binaryField>>;

const protobuf = z.strictObject({ file: text, type: text });
const avro = z.strictObject({ file: text });

const textFormats = ['json', 'cbor', 'msgpack', 'text', 'csv', 'sparkplug'] as const;
/** These turn bytes into other bytes. */
const byteCodecs = ['base64', 'hex', 'gzip', 'deflate', 'brotli'] as const;
const formatNames = [...textFormats, ...byteCodecs] as const;

export type TextFormat = (typeof textFormats)[number];
export type ByteCodecName = (typeof byteCodecs)[number];

const csv = z.strictObject({
  delimiter: z.string().length(1).default(','),
  /** The first line names the columns. Without it, `columns` do, or rows are arrays. */
  header: z.boolean().default(true),
  columns: z.array(text).optional(),
});

export type CsvSettings = DeepReadonly<z.output<typeof csv>>;

const format = z.union(
  [
    z.enum(formatNames),
    z.strictObject({ protobuf }),
    z.strictObject({ avro }),
    z.strictObject({ csv }),
    z.strictObject({
      binary: z.strictObject({ endian: z.enum(['big', 'little']).default('big'), fields: z.array(binaryField).min(1) }),
    }),
  ],
  `one of ${formatNames.join(', ')}, { protobuf: { file, type } }, { avro: { file } }, { csv: … } or { binary: … }`,
);

export type FormatSettings = DeepReadonly<z.output<typeof format>>;

const aggregation = z.union(
  [
    z.enum(['count', 'mean', 'min', 'max', 'sum', 'first', 'last']),
    z.templateLiteral(['p', z.number().min(0).max(100)]),
  ],
  'count, mean, min, max, sum, first, last, or a percentile such as p95',
);

export type Aggregation = z.output<typeof aggregation>;

const filterText = z.string().transform((cel) => ({ cel }));
const filterStage = z.union(
  [filterText, z.strictObject({ cel: text }), z.strictObject({ jsonata: text })],
  'a CEL expression, or { jsonata: … }',
);

const conversion = z.strictObject({ from: format.optional(), to: format });
const convertStage = z.union(
  [format.transform((to): z.output<typeof conversion> => ({ to })), conversion],
  `a format, or { from, to }; formats are ${formatNames.join(', ')} and more`,
);

const deadband = z
  .strictObject({
    field: text,
    absolute: z.number().min(0).optional(),
    percent: z.number().min(0).optional(),
    /** One passes after so long, whatever its value. */
    maxSeconds: duration.optional(),
  })
  .refine(({ absolute, percent }) => absolute !== undefined || percent !== undefined, 'absolute or percent');

const validate = z
  .strictObject({
    /** A file, or the schema itself. */
    jsonSchema: z.union([text, z.record(z.string(), z.unknown())], 'a file, or a schema').optional(),
    protobuf: protobuf.optional(),
    avro: avro.optional(),
  })
  .refine((all) => Object.values(all).filter((each) => each !== undefined).length === 1, {
    error: 'one of jsonSchema, protobuf or avro',
  });

const set = z.strictObject({
  /** Path to value; texts may hold `${…}`. */
  fields: z.record(text, z.unknown()).optional(),
  userProperties: z.record(text, z.string()).optional(),
  contentType: text.optional(),
  qos: qos.optional(),
  retain: z.boolean().optional(),
  messageExpirySeconds: seconds(0, 0xffffffff).optional(),
});

export type SetSettings = DeepReadonly<z.output<typeof set>>;

/**
 * What becomes of a message that a stage could not handle. `tag` lets it pass with the user property `sluice-error`.
 */
const onError = z.enum(['drop', 'reject', 'pass', 'tag', 'quarantine']);
export type OnError = z.output<typeof onError>;

/** One stage: one of these, what to do if it fails, and whether the rules are to be asked about what it makes. */
const stage = z
  .strictObject({
    decode: format.optional(),
    encode: format.optional(),
    /** Without `from`, the content type tells, else JSON. */
    convert: convertStage.optional(),
    validate: validate.optional(),
    /** A JSONata expression; its result is the new value. */
    map: text.optional(),
    /** A CEL expression, or JSONata. Messages for which it is not true are dropped. */
    filter: filterStage.optional(),
    set: set.optional(),
    /** Path to new path. */
    rename: z.record(text, text).optional(),
    pick: z.array(text).optional(),
    omit: z.array(text).optional(),
    units: z.record(text, z.strictObject({ from: text, to: text, decimals: whole(0, 15).optional() })).optional(),
    /** A template for the whole topic, or a regular expression and what takes the place of what it matches. */
    topic: z.union([text, z.strictObject({ match: text, to: z.string() })], 'a template, or { match, to }').optional(),
    throttle: z.strictObject({ seconds: duration }).optional(),
    deadband: deadband.optional(),
    'on-change': z.strictObject({ fields: z.array(text).min(1).optional() }).optional(),
    aggregate: z.strictObject({ seconds: duration, fields: z.record(text, z.array(aggregation).min(1)) }).optional(),
    dedupe: z.strictObject({ seconds: duration, field: text.optional() }).optional(),
    batch: z.strictObject({ messages: whole(1, 100_000), seconds: duration }).optional(),
    script: z
      .strictObject({
        file: text,
        timeoutMs: milliseconds(1, 10_000).default(100),
        memoryBytes: bytes(1_048_576, 1_073_741_824).default(16_777_216),
      })
      .optional(),
    plugin: z.strictObject({ file: text, options: z.unknown().optional() }).optional(),
    onError: onError.optional(),
    /**
     * The topic, QoS and retain that the stage gives a message are the operator's word: its publisher's rights are not
     * asked for.
     */
    trusted: z.boolean().optional(),
  })
  .refine((all) => stageKinds.filter((kind) => all[kind] !== undefined).length === 1, {
    error: `exactly one of ${stageKinds.join(', ')} (and onError beside it)`,
  })
  .refine((all) => all.trusted === undefined || redirectingKinds.some((kind) => all[kind] !== undefined), {
    path: ['trusted'],
    error: `trusted beside one of ${redirectingKinds.join(', ')}: only these give a message another topic, QoS or retain`,
  });

export type StageSettings = DeepReadonly<z.output<typeof stage>>;

const pipeline = z.strictObject({
  name: z.string().regex(/^[\w.-]{1,100}$/, 'a name of letters, digits, dots, dashes and underscores'),
  /** `publish`: before routing, storing and acknowledging. `deliver`: per class of subscribers. */
  on: z.enum(['publish', 'deliver']).default('publish'),
  filter: topicFilter,
  /** `deliver`: for whose subscriptions; `*` stands for any characters. Absent: for all. */
  for: z.strictObject({ username: text.optional(), clientId: text.optional(), listener: text.optional() }).optional(),
  stages: z.array(stage).min(1),
});

export type PipelineSettings = DeepReadonly<z.output<typeof pipeline>>;

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
  depth: whole(1, 1_000).default(64).describe('how deep a value may be nested'),
  items: whole(1).default(100_000).describe('its fields and elements, and the cells of a table in CSV'),
  payloadBytes: bytes(1, 268_435_455)
    .default(16_777_216)
    .describe('what is decoded, what decompressing or encoding gives, and what the batches of a stage hold'),
  topicStates: whole(1).default(10_000).describe('topics that a thinning stage remembers'),
  stepSeconds: seconds(1, 3_600)
    .default(10)
    .describe(
      'how long a plugin, or a step or hook (`authorizePublish`, `authorizeSubscribe`) of a program, ' +
        'may take to answer; then it has failed for that message or will',
    ),
  stageMs: milliseconds(10, 60_000)
    .default(1_000)
    .describe(
      "how long a stage may take for one message in the stage thread, of the processor's time; then " +
        'it has failed for that message',
    ),
  quarantineMessages: whole(0)
    .default(10_000)
    .describe('messages that the [quarantine](../guides/quarantine.md) keeps; beyond, it gives up the oldest'),
  quarantineBytes: bytes(0).default(67_108_864).describe('bytes of what it keeps; the same'),
});

export type PipelineLimits = DeepReadonly<z.output<typeof pipelineLimits>>;

export const defaultPipelineLimits: PipelineLimits = deepFreeze(pipelineLimits.parse({}));

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

export type PipelineTest = DeepReadonly<z.output<typeof pipelineTest>>;
