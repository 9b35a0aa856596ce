/**
 * What a configuration file may say of pipelines, and of what they are tested with. docs/reference/pipeline.md has an
 * example of each stage.
 */
import * as z from 'zod';
import { type DeepReadonly, deepFreeze } from '../base/freeze.ts';
import { redirectingKinds, stageKinds } from './stage-kinds.ts';
import { bytes, milliseconds, qos, seconds, secret, text, topicFilter, whole } from './values.ts';

const duration = z.number().positive().max(31_536_000);

const binaryField = z.strictObject({
  name: text.describe('the field that it becomes'),
  type: z
    .enum([
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
    ])
    .describe('how its bytes are read; `skip` passes over them'),
  endian: z.enum(['big', 'little']).optional().describe("its order of bytes; without it the layout's"),
  scale: z.number().optional().describe('the number read is multiplied by it; without it 1'),
  offset: z.number().optional().describe('and this is added; without it 0'),
  length: z
    .union([whole(0), z.literal('rest')], 'a number of bytes, or rest')
    .optional()
    .describe('of `bytes`, `text` and `skip`: how many bytes; `rest`: all that are left'),
  repeat: z
    .union([whole(0), text], 'a number, rest, or the name of a field')
    .optional()
    .describe('a list of so many, of as many as are left (`rest`), or as the field of this name says'),
  bytes: z.literal([1, 2, 4]).optional().describe('of `bits`: how many bytes hold them'),
  bits: z
    .array(
      z.strictObject({
        name: text.describe('the field that it becomes'),
        at: whole(0, 31).describe('the lowest bit; 0 is the least significant'),
        width: whole(1, 32).optional().describe('how many bits; without it 1'),
      }),
    )
    .min(1)
    .optional()
    .describe('of `bits`: what is in them'),
});

export type BinaryField = DeepReadonly<z.output<typeof binaryField>>;

export const protobuf = z.strictObject({
  file: text.describe('a .proto file'),
  type: text.describe('a message in it, with its package'),
});
export const avro = z.strictObject({ file: text.describe('an Avro schema, .avsc') });

const textFormats = ['json', 'cbor', 'msgpack', 'text', 'csv', 'sparkplug'] as const;
/** These turn bytes into other bytes. */
const byteCodecs = ['base64', 'hex', 'gzip', 'deflate', 'brotli'] as const;
const formatNames = [...textFormats, ...byteCodecs] as const;

export type TextFormat = (typeof textFormats)[number];
export type ByteCodecName = (typeof byteCodecs)[number];

const csv = z.strictObject({
  delimiter: z.string().length(1).default(',').describe('what stands between columns'),
  header: z
    .boolean()
    .default(true)
    .describe('whether the first line names the columns. Without it `columns` do, or rows are lists'),
  columns: z.array(text).optional().describe('names of the columns'),
});

export type CsvSettings = DeepReadonly<z.output<typeof csv>>;

const binary = z.strictObject({
  endian: z.enum(['big', 'little']).default('big').describe('the order of bytes'),
  fields: z.array(binaryField).min(1).describe('fields in the order of their bytes'),
});

const format = z
  .union(
    [
      z.enum(formatNames),
      z.strictObject({ protobuf: protobuf.describe('Protocol Buffers') }),
      z.strictObject({ avro: avro.describe('Avro, one datum') }),
      z.strictObject({ csv: csv.describe('CSV') }),
      z.strictObject({ binary: binary.describe('bytes by a layout') }),
    ],
    `one of ${formatNames.join(', ')}, { protobuf: { file, type } }, { avro: { file } }, { csv: … } or { binary: … }`,
  )
  .meta({ id: 'format' });

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
  [
    filterText,
    z.strictObject({ cel: text.describe('an expression in CEL') }),
    z.strictObject({ jsonata: text.describe('an expression in JSONata') }),
  ],
  'a CEL expression, or { jsonata: … }',
);

const conversion = z.strictObject({
  from: format.optional().describe('without it, the content type tells, else JSON'),
  to: format.describe('the format that it gets'),
});
const convertStage = z.union(
  [format.transform((to): z.output<typeof conversion> => ({ to })), conversion],
  `a format, or { from, to }; formats are ${formatNames.join(', ')} and more`,
);

const deadband = z
  .strictObject({
    field: text.describe('the number that is watched'),
    absolute: z
      .number()
      .min(0)
      .optional()
      .describe('a message passes if it differs by this or more from the last one that passed'),
    percent: z.number().min(0).optional().describe('the same, in percent of the last one that passed'),
    maxSeconds: duration.optional().describe('one passes after so long, whatever its value'),
  })
  .refine(({ absolute, percent }) => absolute !== undefined || percent !== undefined, 'absolute or percent');

const validate = z
  .strictObject({
    jsonSchema: z
      .union([text, z.record(z.string(), z.unknown())], 'a file, or a schema')
      .optional()
      .describe('a file, or the schema itself'),
    protobuf: protobuf.optional().describe('a message of Protocol Buffers that it must be'),
    avro: avro.optional().describe('a schema of Avro that it must fit'),
  })
  .refine((all) => Object.values(all).filter((each) => each !== undefined).length === 1, {
    error: 'one of jsonSchema, protobuf or avro',
  });

const set = z.strictObject({
  fields: z
    .record(text, z.unknown())
    .optional()
    .describe('path to value; a text may be a template, as that of `topic`'),
  userProperties: z.record(text, z.string()).optional().describe('name to value'),
  contentType: text.optional().describe('the content type'),
  qos: qos.optional().describe('the QoS'),
  retain: z.boolean().optional().describe('whether it is retained'),
  messageExpirySeconds: seconds(0, 0xffffffff).optional().describe('the message expiry interval'),
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
    decode: format.optional().describe('reads the payload in this format'),
    encode: format.optional().describe('writes the payload in this format'),
    convert: convertStage.optional().describe('reads the payload in one format and writes it in another'),
    validate: validate.optional().describe('lets only messages pass that fit a schema'),
    map: text.optional().describe('a JSONata expression; its result is the new value'),
    filter: filterStage
      .optional()
      .describe('a CEL expression, or `{ jsonata: … }`; messages for which it is not true are dropped'),
    set: set.optional().describe('sets fields and properties'),
    rename: z.record(text, text).optional().describe('path to new path'),
    pick: z.array(text).optional().describe('paths of the fields that are kept'),
    omit: z.array(text).optional().describe('paths of the fields that are removed'),
    units: z
      .record(
        text,
        z.strictObject({
          from: text.describe('the unit it has'),
          to: text.describe('the unit it gets'),
          decimals: whole(0, 15).optional().describe('digits behind the point that are kept'),
        }),
      )
      .optional()
      .describe('converts units of fields, by path'),
    topic: z
      .union(
        [
          text,
          z.strictObject({
            match: text.describe('a regular expression'),
            to: z.string().describe('what takes the place of what it matches'),
          }),
        ],
        'a template, or { match, to }',
      )
      .optional()
      .describe('a template for the topic, or `{ match, to }`'),
    throttle: z
      .strictObject({ seconds: duration.describe('how long the next ones are dropped') })
      .optional()
      .describe('lets one message per topic pass in a time'),
    deadband: deadband.optional().describe('drops messages whose number has hardly changed'),
    'on-change': z
      .strictObject({
        fields: z.array(text).min(1).optional().describe('the fields that count; without it the whole payload'),
      })
      .optional()
      .describe('drops messages that are the same as the one before'),
    aggregate: z
      .strictObject({
        seconds: duration.describe('how long a window is'),
        fields: z
          .record(text, z.array(aggregation).min(1))
          .describe('what is computed of each field, as `t: [mean, p95]`'),
      })
      .optional()
      .describe('publishes figures of a window instead of messages'),
    dedupe: z
      .strictObject({
        seconds: duration.describe('how long a message is remembered'),
        field: text.optional().describe('the field that tells messages apart; without it the whole payload'),
      })
      .optional()
      .describe('drops messages that come a second time'),
    batch: z
      .strictObject({
        messages: whole(1, 100_000).describe('a batch is published with so many messages'),
        seconds: duration.describe('or after so long'),
      })
      .optional()
      .describe('publishes several messages as one list'),
    script: z
      .strictObject({
        file: text.describe('JavaScript, or TypeScript whose types can be stripped'),
        timeoutMs: milliseconds(1, 10_000).default(100).describe('how long it may take for one message'),
        memoryBytes: bytes(1_048_576, 1_073_741_824).default(16_777_216).describe('memory that it may take'),
      })
      .optional()
      .describe('calls a script with each message, in a sandbox'),
    plugin: z
      .strictObject({
        file: text.describe('a module of JavaScript'),
        options: secret(z.unknown()).optional().describe('what its default export is called with'),
      })
      .optional()
      .describe('calls a module of the operator with each message'),
    onError: onError
      .optional()
      .describe(
        'what becomes of a message that the stage cannot handle; `tag` lets it pass with the user ' +
          'property `sluice-error`',
      ),
    trusted: z
      .boolean()
      .optional()
      .describe("the topic, QoS and retain that it gives are not checked against the publisher's rights"),
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
  name: z
    .string()
    .regex(/^[\w.-]{1,100}$/, 'a name of letters, digits, dots, dashes and underscores')
    .describe('unique; statistics and the quarantine have it'),
  on: z
    .enum(['publish', 'deliver', 'bridge'])
    .default('publish')
    .describe(
      '`publish`: before a message is routed; `deliver`: on the way to subscribers; `bridge`: on the way over the ' +
        '[bridges](../guides/bridge.md#pipelines) that name it',
    ),
  filter: topicFilter.describe('topics whose messages go through it'),
  for: z
    .strictObject({
      username: text.optional().describe('user names; `*` stands for any characters'),
      clientId: text.optional().describe('client identifiers; `*` stands for any characters'),
      listener: text.optional().describe('URLs of listeners; `*` stands for any characters'),
    })
    .optional()
    .describe('of `deliver`: for whose subscriptions; without it for all'),
  stages: z.array(stage).min(1).describe('one after the other; [Pipeline stages](pipeline.md) has an example of each'),
});

export type PipelineSettings = DeepReadonly<z.output<typeof pipeline>>;

export const pipelines = z.array(pipeline).superRefine((all, context) => {
  for (const [index, { name, on, for: whom }] of all.entries()) {
    if (all.findIndex((other) => other.name === name) < index) {
      context.addIssue({ code: 'custom', path: [index, 'name'], message: 'a name that no pipeline above has' });
    }
    if (on !== 'deliver' && whom !== undefined) {
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
  topic: z.string().optional().describe('its topic'),
  payload: z.unknown().optional().describe('text as it is, anything else as JSON'),
  payloadHex: z.string().optional().describe('its payload in hexadecimal digits'),
  contentType: z.string().optional().describe('its content type'),
  userProperties: z.record(z.string(), z.string()).optional().describe('its user properties'),
  qos: qos.optional().describe('its QoS'),
  retain: z.boolean().optional().describe('whether it is retained'),
});

const subscriber = z.strictObject({
  clientId: z.string().default('test').describe('its client identifier'),
  username: z.string().optional().describe('its user name'),
  listener: z.string().optional().describe('the URL of its listener'),
  accept: z.string().optional().describe('the format that it asks for'),
});

export const pipelineTest = z.strictObject({
  name: text.describe('for the report'),
  topic: text.describe('the topic that it is published to'),
  payload: z.unknown().optional().describe('text as it is, anything else as JSON'),
  payloadHex: z
    .string()
    .regex(/^([0-9a-fA-F]{2}|\s)*$/, 'hexadecimal digits')
    .optional()
    .describe('or hexadecimal digits'),
  payloadFile: text.optional().describe('or a file'),
  before: z
    .array(z.unknown())
    .default([])
    .describe('payloads of messages that come just before, for stages that remember something'),
  contentType: text.optional().describe('as an MQTT 5 publisher sends it'),
  userProperties: z.record(z.string(), z.string()).optional().describe('as an MQTT 5 publisher sends them'),
  clientId: z.string().default('test').describe("the publisher's client identifier"),
  username: z.string().optional().describe("the publisher's user name"),
  groups: z.array(text).default([]).describe("the publisher's groups"),
  bridgePipeline: text
    .optional()
    .describe('the pipeline of `on: bridge` that it goes through, instead of those of the broker'),
  subscriber: subscriber.optional().describe('looks at what this subscriber gets, instead of what is routed'),
  expect: z
    .union(
      [z.enum(['dropped', 'rejected', 'quarantined']), z.array(expected)],
      'a list of messages, or dropped, rejected or quarantined',
    )
    .describe('`dropped`, `rejected`, `quarantined`, or a list of messages with the fields that matter'),
});

export type PipelineTest = DeepReadonly<z.output<typeof pipelineTest>>;
