/**
 * A message on its way through the stages: bytes, a value, or both. It is decoded when a stage first wants the value and
 * encoded when somebody first wants the bytes, so stages that change nothing cost no conversion.
 */
import type { MessageChange, PublishedMessage } from '../contracts/hooks.ts';
import type { PipelineLimits } from '../contracts/pipeline.ts';
import type { QoS, UserProperties } from '../protocol/packets.ts';
import { StageFailure } from './errors.ts';
import { assertWithin, type Format, type ReportLoss } from './formats/format.ts';
import type { KnownFormats } from './formats/formats.ts';

export interface ItemTools {
  readonly formats: KnownFormats;
  readonly limits: PipelineLimits;
  readonly loss: ReportLoss;
}

export class Item {
  topic: string;
  qos: QoS;
  retain: boolean;
  contentType: string | undefined;
  payloadFormatIndicator: boolean | undefined;
  messageExpiryInterval: number | undefined;
  userProperties: UserProperties;
  readonly original: PublishedMessage;
  readonly #tools: ItemTools;
  #bytes: Buffer | null;
  #value: unknown = undefined;
  #hasValue = false;
  /** What the value was decoded from, and is encoded to if nobody says otherwise. */
  #format: Format | null = null;

  constructor(original: PublishedMessage, tools: ItemTools) {
    this.topic = original.topic;
    this.qos = original.qos;
    this.retain = original.retain;
    this.contentType = original.contentType;
    this.payloadFormatIndicator = original.payloadFormatIndicator;
    this.messageExpiryInterval = original.messageExpiryInterval;
    this.userProperties = original.userProperties;
    this.original = original;
    this.#tools = tools;
    this.#bytes = original.payload;
  }

  /** The same with another value: for stages that make several of one. */
  with(value: unknown): Item {
    const copy = this.copy();
    copy.value = value;
    return copy;
  }

  copy(): Item {
    const copy = new Item(this.original, this.#tools);
    const { topic, qos, retain, contentType, payloadFormatIndicator, messageExpiryInterval, userProperties } = this;
    Object.assign(copy, {
      topic,
      qos,
      retain,
      contentType,
      payloadFormatIndicator,
      messageExpiryInterval,
      userProperties,
    });
    copy.#bytes = this.#bytes;
    copy.#value = this.#value;
    copy.#hasValue = this.#hasValue;
    copy.#format = this.#format;
    return copy;
  }

  /** Decoded by what came before, else by content type, else as JSON. Throws a StageFailure. */
  get value(): unknown {
    if (!this.#hasValue) this.decode(this.#guess());
    return this.#value;
  }

  #guess(): Format {
    const { formats } = this.#tools;
    return (this.contentType !== undefined && formats.byContentType(this.contentType)) || formats.default;
  }

  set value(value: unknown) {
    assertWithin(value, this.#tools.limits);
    this.#format ??= this.#guess();
    this.#value = value;
    this.#hasValue = true;
    this.#bytes = null;
  }

  get bytes(): Buffer {
    if (this.#bytes === null) this.encode(this.#format ?? this.#tools.formats.default);
    return this.#bytes!;
  }

  /** Without a format the next stage that wants the value finds out. */
  set bytes(bytes: Buffer) {
    const { payloadBytes } = this.#tools.limits;
    if (bytes.length > payloadBytes) {
      throw new StageFailure(`the payload became ${bytes.length} bytes, more than pipelineLimits.payloadBytes allows`);
    }
    this.#bytes = bytes;
    this.#value = undefined;
    this.#hasValue = false;
    this.#format = null;
  }

  /** Something about it is not as it was published. */
  get isChanged(): boolean {
    const { original } = this;
    return (
      this.#bytes !== original.payload ||
      this.topic !== original.topic ||
      this.qos !== original.qos ||
      this.retain !== original.retain ||
      this.contentType !== original.contentType ||
      this.payloadFormatIndicator !== original.payloadFormatIndicator ||
      this.messageExpiryInterval !== original.messageExpiryInterval ||
      this.userProperties !== original.userProperties
    );
  }

  get hasValue(): boolean {
    return this.#hasValue;
  }

  get format(): Format | null {
    return this.#format;
  }

  decode(format: Format): void {
    const value = format.decode(this.bytes);
    assertWithin(value, this.#tools.limits);
    this.#value = value;
    this.#hasValue = true;
    this.#format = format;
  }

  encode(format: Format): void {
    const value = this.value;
    const bytes = format.encode(value, this.#tools.loss);
    this.bytes = bytes;
    this.#value = value;
    this.#hasValue = true;
    this.#format = format;
    this.contentType = format.contentType;
    this.payloadFormatIndicator = format.isText ? true : undefined;
  }

  /** All of it, as bytes. Throws a StageFailure if the value cannot be encoded. */
  toChange(): MessageChange {
    const payload = this.bytes;
    const { topic, qos, retain, contentType, payloadFormatIndicator, messageExpiryInterval, userProperties } = this;
    return { topic, payload, qos, retain, contentType, payloadFormatIndicator, messageExpiryInterval, userProperties };
  }
}
