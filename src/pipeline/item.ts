/**
 * A message on its way through the stages: bytes, a value, or both. It is decoded when a stage first wants the value and
 * encoded when somebody first wants the bytes, so stages that change nothing cost no conversion.
 */
import type { MessageChange, PublishedMessage } from '../contracts/hooks.ts';
import type { PipelineLimits } from '../contracts/pipeline.ts';
import { assertMessageParts } from '../protocol/message-fields.ts';
import type { QoS, UserProperties } from '../protocol/packets.ts';
import { StageFailure } from './errors.ts';
import { assertWithin, type Format, type ReportLoss } from './formats/format.ts';
import type { KnownFormats } from './formats/formats.ts';
import type { Publishers } from './publishers.ts';

export interface ItemTools {
  readonly formats: KnownFormats;
  readonly limits: PipelineLimits;
  readonly loss: ReportLoss;
}

const noBytes = Buffer.alloc(0);

/** What stages may put beside the payload. */
export type Beside = Pick<
  Item,
  'topic' | 'qos' | 'retain' | 'contentType' | 'messageExpiryInterval' | 'userProperties'
>;

export class Item {
  topic: string;
  qos: QoS;
  retain: boolean;
  contentType: string | undefined;
  payloadFormatIndicator: boolean | undefined;
  messageExpiryInterval: number | undefined;
  userProperties: UserProperties;
  readonly original: PublishedMessage;
  /** Made of several messages: it stands for itself, and for none of them. */
  readonly isGathered: boolean;
  /** A stage that is not trusted gave it its topic, QoS or retain: the rights of who published it are to be asked. */
  isToBeAsked = false;
  /** Of what is made of several messages: who published them. */
  publishers: Publishers | null = null;
  readonly #tools: ItemTools;
  #bytes: Buffer | null;
  #value: unknown = undefined;
  #hasValue = false;
  /** What the value was decoded from, and is encoded to if nobody says otherwise. */
  #format: Format | null = null;

  constructor(original: PublishedMessage, tools: ItemTools, isGathered = false) {
    this.topic = original.topic;
    this.qos = original.qos;
    this.retain = original.retain;
    this.contentType = original.contentType;
    this.payloadFormatIndicator = original.payloadFormatIndicator;
    this.messageExpiryInterval = original.messageExpiryInterval;
    this.userProperties = original.userProperties;
    this.original = original;
    this.isGathered = isGathered;
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
    const copy = new Item(this.original, this.#tools, this.isGathered);
    copy.#takeProperties(this);
    copy.isToBeAsked = this.isToBeAsked;
    copy.publishers = this.publishers;
    copy.#bytes = this.#bytes;
    copy.#value = this.#value;
    copy.#hasValue = this.#hasValue;
    return copy;
  }

  /** For what is to be made of it and others: all but the payload, which would only take memory. */
  withoutPayload(): Item {
    const copy = new Item({ ...this.original, payload: noBytes }, this.#tools, true);
    copy.#takeProperties(this);
    return copy;
  }

  #takeProperties(other: Item): void {
    this.topic = other.topic;
    this.qos = other.qos;
    this.retain = other.retain;
    this.contentType = other.contentType;
    this.payloadFormatIndicator = other.payloadFormatIndicator;
    this.messageExpiryInterval = other.messageExpiryInterval;
    this.userProperties = other.userProperties;
    this.#format = other.#format;
  }

  /** It only removes a retained message. [MQTT5 3.3.1-6] */
  get isClearing(): boolean {
    return this.original.payload.length === 0 && this.original.retain && !this.isGathered;
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

  /** Throws a StageFailure if it cannot be sent with what stages have put beside the payload. */
  assertSendable(): void {
    const { topic, qos, retain, contentType, payloadFormatIndicator, messageExpiryInterval, userProperties } = this;
    const { original } = this;
    const isAsItCame =
      topic === original.topic &&
      qos === original.qos &&
      contentType === original.contentType &&
      messageExpiryInterval === original.messageExpiryInterval &&
      userProperties === original.userProperties;
    if (isAsItCame) return;
    const properties = { contentType, payloadFormatIndicator, messageExpiryInterval, userProperties };
    try {
      assertMessageParts({ topic, payload: noBytes, qos, retain, ...properties });
    } catch (cause) {
      throw new StageFailure((cause as Error).message, { cause });
    }
  }

  /** As it was before a stage that failed in the middle of it; the payload is as far as it came. */
  restore({ topic, qos, retain, contentType, messageExpiryInterval, userProperties }: Beside): void {
    this.topic = topic;
    this.qos = qos;
    this.retain = retain;
    this.contentType = contentType;
    this.messageExpiryInterval = messageExpiryInterval;
    this.userProperties = userProperties;
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

  /** For the quarantine, of what cannot be written as well. */
  asFarAsWritable(): PublishedMessage {
    try {
      return { ...this.original, ...this.toChange() };
    } catch {
      return { ...this.original, topic: this.topic };
    }
  }

  get hasValue(): boolean {
    return this.#hasValue;
  }

  get format(): Format | null {
    return this.#format;
  }

  decode(format: Format): void {
    const { bytes } = this;
    const { payloadBytes } = this.#tools.limits;
    if (bytes.length > payloadBytes) {
      throw new StageFailure(`the payload has ${bytes.length} bytes, more than pipelineLimits.payloadBytes allows`);
    }
    const value = format.decode(bytes);
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
