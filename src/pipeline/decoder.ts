/**
 * Payloads as text: read in one of the pipeline's formats, and written as JSON. What is short is done on the event loop
 * within its limits, all else in a thread, where a deadline ends it; the JSON text comes back as bytes, so however much
 * is in a value, the event loop only copies its text.
 */
import type { Awaitable } from '../contracts/hooks.ts';
import { asText, type PayloadView, type ReadableMessage, undecoded } from '../contracts/payloads.ts';
import type { PipelineLimits } from '../contracts/pipeline-settings.ts';
import { matches } from '../protocol/topic.ts';
import { failureReason } from './errors.ts';
import type { Format } from './formats/format.ts';
import { KnownFormats } from './formats/formats.ts';
import { SchemaFiles } from './formats/schema-files.ts';
import { type Guess, guess, isPlainText, isSparkplug } from './guess.ts';
import { Item, type ItemTools } from './item.ts';
import { loopBytes, loopLimitsOf } from './loop-limits.ts';
import { partContext } from './part.ts';
import { type DecodingOptions, formatOfSchema, type KnownFormat } from './payload-formats.ts';
import { hereOrThere } from './thread/offloading.ts';
import { StageThread, type ThreadStage } from './thread/stage-thread.ts';

/** What is decoded at most, and the text that becomes of it: to show it takes the event loop a millisecond or two. */
export const decodedBytesMax = 1_048_576;

/** Content types of text, which is given as it is. */
const textFormats: readonly string[] = ['text', 'csv'];

type Conversion = { readonly json: string } | { readonly reason: string };

/** A format on both sides of the thread. */
interface Reading {
  readonly format: Format;
  readonly inThread: ThreadStage;
}

export class Decoder {
  readonly #limits: PipelineLimits;
  readonly #tools: ItemTools;
  readonly #files = new SchemaFiles();
  readonly #thread: StageThread;
  readonly #readings = new Map<string, Reading>();
  /** Schemas with topics, in the order of the configuration. */
  readonly #byTopic: readonly { readonly filter: string; readonly format: KnownFormat }[];

  /** Throws a PipelineError for a schema whose file cannot be used. */
  constructor({ schemas, limits, warn }: DecodingOptions) {
    this.#limits = limits;
    const loopLimits = loopLimitsOf(this.#limits);
    const formats = new KnownFormats(loopLimits, this.#files);
    this.#tools = { formats, limits: loopLimits, configured: this.#limits };
    this.#thread = new StageThread({ limits: this.#limits, warn });
    for (const [index, schema] of schemas.entries()) {
      formats.of(formatOfSchema(schema).settings, ['payloadSchemas', index]);
    }
    this.#byTopic = schemas.flatMap((schema) =>
      schema.topics.map((filter) => ({ filter, format: formatOfSchema(schema) })),
    );
  }

  /** `wanted`: null: whatever it is. */
  read(message: ReadableMessage, wanted: KnownFormat | null, reader: string): Awaitable<PayloadView> {
    const { length } = message.payload;
    const format = wanted ?? this.#declared(message);
    if (length > decodedBytesMax) {
      const text = format === null ? asText(message) : null;
      return text ?? undecoded(message, `it has ${length} bytes; payloads of up to ${decodedBytesMax} are read`);
    }
    if (format === null) return this.#guess(message, guess(message.payload), reader);
    if (textFormats.includes(format.name)) return asText(message) ?? undecoded(message, 'it is not valid UTF-8');
    const view = (read: Conversion) =>
      'json' in read ? decoded(read.json, format.name) : undecoded(message, read.reason);
    const read = this.#convert(message, format, reader);
    return read instanceof Promise ? read.then(view) : view(read);
  }

  /** What topic or publisher say it is. */
  #declared({ topic, contentType }: ReadableMessage): KnownFormat | null {
    const ruled = this.#byTopic.find(({ filter }) => matches(filter, topic));
    if (ruled !== undefined) return ruled.format;
    const format = contentType === undefined ? null : this.#tools.formats.byContentType(contentType);
    if (format !== null) return { name: format.name as KnownFormat['name'], settings: format.name as 'json' };
    return isSparkplug(topic) ? { name: 'sparkplug', settings: 'sparkplug' } : null;
  }

  /** One after the other; what is none of them is text, or bytes. */
  #guess(message: ReadableMessage, guesses: readonly Guess[], reader: string): Awaitable<PayloadView> {
    const [name, ...others] = guesses;
    if (name === undefined) {
      const text = isPlainText(message.payload) ? asText(message) : null;
      return text ?? undecoded(message, 'it is none of JSON, CBOR, MessagePack and text');
    }
    const next = (read: Conversion) => {
      // A number of one byte is everything and nothing.
      const isRight = 'json' in read && (name === 'json' || /^[[{]/.test(read.json));
      return isRight ? decoded(read.json, name) : this.#guess(message, others, reader);
    };
    const read = this.#convert(message, { name, settings: name }, reader);
    return read instanceof Promise ? read.then(next) : next(read);
  }

  #convert(message: ReadableMessage, known: KnownFormat, reader: string): Awaitable<Conversion> {
    const { format, inThread } = this.#reading(known);
    const item = new Item({ ...asPublished, ...message }, this.#tools);
    const written = (): Conversion => {
      const { bytes } = item;
      if (bytes.length <= decodedBytesMax) return { json: bytes.toString() };
      return { reason: `as JSON it has ${bytes.length} bytes; values of up to ${decodedBytesMax} are given` };
    };
    const failed = (error: unknown): Conversion => ({ reason: failureReason(error) });
    try {
      const converting = hereOrThere<unknown>(
        item.size <= loopBytes,
        () => {
          item.decode(format);
          item.encode(this.#tools.formats.default);
        },
        () => this.#thread.run(inThread, item, partContext(0, { publisher: whose(reader) })),
      );
      return converting instanceof Promise ? converting.then(written).catch(failed) : written();
    } catch (error) {
      return failed(error);
    }
  }

  #reading({ name, settings }: KnownFormat): Reading {
    let reading = this.#readings.get(name);
    if (reading === undefined) {
      const inThread = {
        settings: { convert: { from: settings, to: 'json' } },
        limits: this.#limits,
        files: this.#files,
      } as const;
      reading = { format: this.#tools.formats.of(settings) as Format, inThread };
      this.#readings.set(name, reading);
    }
    return reading;
  }

  close(): void {
    this.#thread.close();
  }
}

const decoded = (json: string, format: string): PayloadView => ({
  payload: json,
  encoding: 'json',
  format,
  decodeError: null,
});

/** What the formats do not look at. */
const asPublished = {
  qos: 0,
  retain: false,
  contentType: undefined,
  payloadFormatIndicator: undefined,
  messageExpiryInterval: undefined,
  responseTopic: undefined,
  correlationData: undefined,
  userProperties: [],
} as const;

/** The thread is shared by name. */
const whose = (reader: string) => ({ clientId: reader, username: null, listener: null });
