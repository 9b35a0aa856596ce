/**
 * The transform pipeline: what the broker asks of it, and what an operator may say of it. The configuration's schema
 * (`config/pipeline-schema.ts`) has the shape of the settings here; docs/reference/pipeline.md has an example of each.
 */
import type { QoS } from '../protocol/packets.ts';
import type { Awaitable, ClientIdentity, PublishedMessage, PublishVerdict } from './hooks.ts';

/** What subscribers of one class get of a message: as it is, changed, or nothing. */
export type DeliverVerdict =
  | { readonly verdict: 'keep' }
  | { readonly verdict: 'change'; readonly message: PublishedMessage }
  | { readonly verdict: 'drop' };

export interface MessagePipeline {
  /** Rises when what the pipeline does changes: answers of `concerns` and `classify` that were remembered are void. */
  readonly generation: number;
  /**
   * Whether messages to this topic go through `onPublish`, or through `onDeliver` for everybody. Remembered, so it is
   * asked once per topic.
   */
  concerns(topicName: string): boolean;
  /** Before routing, storing and acknowledging. Of a will, `client` is whose it is. */
  onPublish(client: ClientIdentity, message: PublishedMessage): Awaitable<PublishVerdict>;
  /**
   * The class of subscribers that a subscription belongs to, or null for those who get messages as they were published.
   * All of one class get the same, so it is made once for them. `accept` is the user property of that name of
   * SUBSCRIBE.
   */
  classify(client: ClientIdentity, accept: string | null): Awaitable<string | null>;
  /** The same for a subscription that has a class already; the form it asked for stays. */
  reclassify(client: ClientIdentity, subscriberClass: string | null): Awaitable<string | null>;
  /**
   * Called once per message and class, of which the empty one is that of everybody who is in none; for a retained
   * message, once per subscriber that has just come.
   */
  onDeliver(message: PublishedMessage, subscriberClass: string, isRetained: boolean): Awaitable<DeliverVerdict>;
  /**
   * Whether the pipeline made this payload, and keeps nothing of it: then it need not be copied. Absent: it says of
   * none.
   */
  gaveAway?(payload: Uint8Array): boolean;
  /** For $SYS: name and value. */
  statistics(): Iterable<[string, number]>;
}

/**
 * Whether a client may publish what configured stages made of its message: 0, or the reason code that refuses. Asked
 * where a stage that is not `trusted` changed topic, QoS or retain, under the rules as they are then.
 */
export type MayPublish = (client: ClientIdentity, topicName: string, qos: QoS, retain: boolean) => Awaitable<number>;

/** A message that a pipeline could not handle, as its publisher sent it. */
export interface QuarantinedMessage {
  readonly message: PublishedMessage;
  /** Null if it did not come from a client that was connected. */
  readonly clientId: string | null;
  readonly username: string | null;
  readonly pipeline: string;
  /** The first digits of a hash over the pipeline's settings and the files that they name. */
  readonly version: string;
  /** Its place, from 1, and kind: `2 validate`. */
  readonly stage: string;
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

export interface QuarantineEntry extends QuarantinedMessage {
  /** Rises with every message, also over restarts. */
  readonly id: number;
}

/** Where quarantined messages are kept. `test/contract/quarantine.test.ts` holds every implementation to this. */
export interface QuarantineStore {
  readonly count: number;
  readonly bytes: number;
  /**
   * Staged with what the store commits next, so that an acknowledgement can wait for it. Returns how many of the oldest
   * had to make room.
   */
  put(message: QuarantinedMessage): number;
  /** In the order of their numbers, those above `afterId`, at most `limit`. */
  list(afterId: number, limit: number): Promise<QuarantineEntry[]>;
  get(id: number): Promise<QuarantineEntry | null>;
  remove(id: number): void;
}

// Settings

export type TextFormat = 'json' | 'cbor' | 'msgpack' | 'text' | 'csv' | 'sparkplug';
/** These turn bytes into other bytes. */
export type ByteCodecName = 'base64' | 'hex' | 'gzip' | 'deflate' | 'brotli';

export interface BinaryField {
  readonly name: string;
  readonly type:
    | 'int8'
    | 'uint8'
    | 'int16'
    | 'uint16'
    | 'int32'
    | 'uint32'
    | 'int64'
    | 'uint64'
    | 'float32'
    | 'float64'
    | 'bits'
    | 'bytes'
    | 'text'
    | 'skip';
  /** Of this field; the layout's otherwise. */
  readonly endian?: 'big' | 'little' | undefined;
  /** The number read, times `scale`, plus `offset`. Default: 1 and 0. */
  readonly scale?: number | undefined;
  readonly offset?: number | undefined;
  /** `bytes`, `text` and `skip`: how many; `rest` for all that is left. */
  readonly length?: number | 'rest' | undefined;
  /** An array of so many, or of as many as are left, or of as many as the field of this name says. */
  readonly repeat?: number | 'rest' | string | undefined;
  /** `bits`: how many bytes hold them, and name, lowest bit (0 is the least significant) and number of bits of each. */
  readonly bytes?: 1 | 2 | 4 | undefined;
  readonly bits?:
    | readonly { readonly name: string; readonly at: number; readonly width?: number | undefined }[]
    | undefined;
}

export interface CsvSettings {
  readonly delimiter: string;
  /** The first line names the columns. Without it, `columns` do, or rows are arrays. */
  readonly header: boolean;
  readonly columns?: readonly string[] | undefined;
}

export type FormatSettings =
  | TextFormat
  | ByteCodecName
  | { readonly protobuf: { readonly file: string; readonly type: string } }
  | { readonly avro: { readonly file: string } }
  | { readonly csv: CsvSettings }
  | { readonly binary: { readonly endian: 'big' | 'little'; readonly fields: readonly BinaryField[] } };

/**
 * What becomes of a message that a stage could not handle. `tag` lets it pass with the user property `sluice-error`.
 */
export type OnError = 'drop' | 'reject' | 'pass' | 'tag' | 'quarantine';

export type Aggregation = 'count' | 'mean' | 'min' | 'max' | 'sum' | 'first' | 'last' | `p${number}`;

export interface SetSettings {
  /** Path to value; texts may hold `${…}`. */
  readonly fields?: Readonly<Record<string, unknown>> | undefined;
  readonly userProperties?: Readonly<Record<string, string>> | undefined;
  readonly contentType?: string | undefined;
  readonly qos?: QoS | undefined;
  readonly retain?: boolean | undefined;
  readonly messageExpirySeconds?: number | undefined;
}

/** One stage: one of these, what to do if it fails, and whether the rules are to be asked about what it makes. */
export interface StageSettings {
  readonly decode?: FormatSettings | undefined;
  readonly encode?: FormatSettings | undefined;
  /** Without `from`, the content type tells, else JSON. */
  readonly convert?: { readonly from?: FormatSettings | undefined; readonly to: FormatSettings } | undefined;
  readonly validate?:
    | {
        /** A file, or the schema itself. */
        readonly jsonSchema?: string | Readonly<Record<string, unknown>> | undefined;
        readonly protobuf?: { readonly file: string; readonly type: string } | undefined;
        readonly avro?: { readonly file: string } | undefined;
      }
    | undefined;
  /** A JSONata expression; its result is the new value. */
  readonly map?: string | undefined;
  /** A CEL expression, or JSONata. Messages for which it is not true are dropped. */
  readonly filter?: { readonly cel?: string | undefined; readonly jsonata?: string | undefined } | undefined;
  readonly set?: SetSettings | undefined;
  /** Path to new path. */
  readonly rename?: Readonly<Record<string, string>> | undefined;
  readonly pick?: readonly string[] | undefined;
  readonly omit?: readonly string[] | undefined;
  readonly units?:
    | Readonly<Record<string, { readonly from: string; readonly to: string; readonly decimals?: number | undefined }>>
    | undefined;
  /** A template for the whole topic, or a regular expression and what takes the place of what it matches. */
  readonly topic?: string | { readonly match: string; readonly to: string } | undefined;
  readonly throttle?: { readonly seconds: number } | undefined;
  readonly deadband?:
    | {
        readonly field: string;
        readonly absolute?: number | undefined;
        readonly percent?: number | undefined;
        /** One passes after so long, whatever its value. */
        readonly maxSeconds?: number | undefined;
      }
    | undefined;
  readonly 'on-change'?: { readonly fields?: readonly string[] | undefined } | undefined;
  readonly aggregate?:
    | { readonly seconds: number; readonly fields: Readonly<Record<string, readonly Aggregation[]>> }
    | undefined;
  readonly dedupe?: { readonly seconds: number; readonly field?: string | undefined } | undefined;
  readonly batch?: { readonly messages: number; readonly seconds: number } | undefined;
  readonly script?: { readonly file: string; readonly timeoutMs: number; readonly memoryBytes: number } | undefined;
  readonly plugin?: { readonly file: string; readonly options?: unknown } | undefined;
  readonly onError?: OnError | undefined;
  /**
   * The topic, QoS and retain that the stage gives a message are the operator's word: its publisher's rights are not
   * asked for.
   */
  readonly trusted?: boolean | undefined;
}

export const stageKinds = [
  'decode',
  'encode',
  'convert',
  'validate',
  'map',
  'filter',
  'set',
  'rename',
  'pick',
  'omit',
  'units',
  'topic',
  'throttle',
  'deadband',
  'on-change',
  'aggregate',
  'dedupe',
  'batch',
  'script',
  'plugin',
] as const satisfies readonly (keyof StageSettings)[];

/** Those that can give a message another topic, QoS or retain. */
export const redirectingKinds = [
  'topic',
  'set',
  'script',
  'plugin',
] as const satisfies readonly (keyof StageSettings)[];

export interface PipelineSettings {
  readonly name: string;
  /** `publish`: before routing, storing and acknowledging. `deliver`: per class of subscribers. */
  readonly on: 'publish' | 'deliver';
  readonly filter: string;
  /** `deliver`: for whose subscriptions; `*` stands for any characters. Absent: for all. */
  readonly for?:
    | {
        readonly username?: string | undefined;
        readonly clientId?: string | undefined;
        readonly listener?: string | undefined;
      }
    | undefined;
  readonly stages: readonly StageSettings[];
}

export interface PipelineLimits {
  /** How deep values may be nested. */
  readonly depth: number;
  /** Fields and elements of one value, in all. */
  readonly items: number;
  /** What is decoded, what decompressing or encoding may give, and what the batches of a stage hold. */
  readonly payloadBytes: number;
  /** Topics of which each thinning stage remembers something. */
  readonly topicStates: number;
  /**
   * How long a step of a program, or a plugin, may take to answer; then the message counts as one that it cannot
   * handle.
   */
  readonly stepSeconds: number;
  /**
   * How long a stage may take for one message in the stage thread, of the processor's time; then it has failed for that
   * message.
   */
  readonly stageMs: number;
  readonly quarantineMessages: number;
  readonly quarantineBytes: number;
}

export const defaultPipelineLimits: PipelineLimits = Object.freeze({
  depth: 64,
  items: 100_000,
  payloadBytes: 16_777_216,
  topicStates: 10_000,
  stepSeconds: 10,
  stageMs: 1_000,
  quarantineMessages: 10_000,
  quarantineBytes: 67_108_864,
});
