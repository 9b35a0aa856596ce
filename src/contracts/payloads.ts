/**
 * Payloads for readers who do not speak MQTT: what a payload may be read as, and what becomes of it. Whoever shows
 * payloads takes a reader from `PayloadDecoding`; `pipeline/decoding.ts` is the one there is.
 */
import { isUtf8 } from 'node:buffer';
import * as z from 'zod';
import { CommandFailure } from './failures.ts';
import type { Awaitable, PublishedMessage } from './hooks.ts';

/** What needs no schema. */
export const decodeNames = ['auto', 'json', 'cbor', 'msgpack', 'sparkplug', 'text', 'base64', 'hex'] as const;
export type DecodeName = (typeof decodeNames)[number];
/** `protobuf:reading`, `avro:reading`: by the schema of this name in `payloadSchemas`. */
export type SchemaDecode = `protobuf:${string}` | `avro:${string}`;
export type Decode = DecodeName | SchemaDecode;

export const decode = z
  .string()
  .regex(
    /^(?:auto|json|cbor|msgpack|sparkplug|text|base64|hex|(?:protobuf|avro):[\w.-]{1,100})$/,
    `one of ${decodeNames.join(', ')}, protobuf:NAME or avro:NAME with the name of a schema in payloadSchemas`,
  )
  .describe(
    'what payloads are read as; `auto` goes by `payloadSchemas`, Content Type, topic (Sparkplug) and the bytes ' +
      'themselves; `protobuf:NAME` and `avro:NAME` take a schema of `payloadSchemas`',
  ) as z.ZodType<Decode, Decode>;

export const payloadViewKeys = {
  payload: z.string().describe('payload, in `encoding`'),
  encoding: z
    .enum(['json', 'text', 'base64', 'hex'])
    .describe('how `payload` is to be read; `json`: JSON text of the value'),
  format: z
    .string()
    .nullable()
    .describe('what the payload was read as: `json`, `cbor`, `protobuf:NAME` …; null: its bytes are given as they are'),
  decodeError: z.string().nullable().describe('why it could not be read as was asked; null: it was'),
};
const payloadView = z.strictObject(payloadViewKeys);
export type PayloadView = Readonly<z.output<typeof payloadView>>;

/** What a reader looks at. The payload must not change until the answer is there. */
export type ReadableMessage = Pick<PublishedMessage, 'topic' | 'payload' | 'contentType' | 'payloadFormatIndicator'>;

/**
 * Reads one payload after the other. Never throws or rejects for what is in a payload: what cannot be read is given in
 * base64, with the reason. What is short is answered at once, what may take long by a promise.
 */
export type PayloadReader = (message: ReadableMessage) => Awaitable<PayloadView>;

export interface PayloadDecoding {
  /**
   * `reader`: whose work it is, `key dashboard` for example: all of one reader share the thread with others fairly.
   * Throws a CommandFailure for a schema that there is not.
   */
  reader(decode: Decode, reader: string): PayloadReader;
}

export function undecoded({ payload }: ReadableMessage, decodeError: string | null): PayloadView {
  return { payload: payload.toString('base64'), encoding: 'base64', format: null, decodeError };
}

/** Null: it is no text. */
export function asText({ payload }: ReadableMessage): PayloadView | null {
  if (!isUtf8(payload)) return null;
  return { payload: payload.toString(), encoding: 'text', format: 'text', decodeError: null };
}

/** Those that need no decoder. Undefined: it does. */
export const plainReaders: { readonly [Name in Decode]?: PayloadReader } = {
  text: (message) => asText(message) ?? undecoded(message, 'not text: the payload is not valid UTF-8'),
  base64: (message) => undecoded(message, null),
  hex: ({ payload }) => ({ payload: payload.toString('hex'), encoding: 'hex', format: null, decodeError: null }),
};

/** Of a broker that is put together without pipelines. */
export const plainDecoding: PayloadDecoding = {
  reader(wanted) {
    const read = plainReaders[wanted];
    if (read !== undefined) return read;
    throw new CommandFailure('conflict', `This broker reads payloads as text, base64 and hex only, not as ${wanted}`);
  },
};
