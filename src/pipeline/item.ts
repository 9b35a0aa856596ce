/**
 * A message on its way through the stages: bytes, a value, or both. It is decoded when a stage first wants the value
 * and encoded when somebody first wants the bytes, so stages that change nothing cost no conversion.
 *
 * A value that is too large for the event loop is packed there: only the stage thread looks into it.
 */
import type { MessageChange, PublishedMessage } from '../contracts/hooks.ts';
import type { PipelineLimits } from '../contracts/pipeline-settings.ts';
import { assertMessageParts } from '../protocol/message-fields.ts';
import type { QoS, UserProperties } from '../protocol/packets.ts';
import { StageFailure } from './errors.ts';
import { assertWithin, type Format, TooLarge, weigh } from './formats/format.ts';
import type { KnownFormats } from './formats/formats.ts';
import { loopValueBytes, type ValueLimits } from './loop-limits.ts';
import {
  arrivedBytes,
  ownBytes,
  type PackedContent,
  type PackedItem,
  type PackedValue,
  pack,
  packedBytes,
  unpack,
} from './packed.ts';
import type { Publishers } from './publishers.ts';

export interface ItemTools {
  readonly formats: KnownFormats;
  readonly limits: ValueLimits;
  /** Those of the configuration: what a value may have that only passes by here. */
  readonly configured: PipelineLimits;
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
  /** There is no writing what was gathered, as it is now. */
  isUnwritable = false;
  /** A stage that is not trusted gave it its topic, QoS or retain: the rights of who published it are to be asked. */
  isToBeAsked = false;
  /** Of what is made of several messages: who published them. */
  publishers: Publishers | null = null;
  readonly #tools: ItemTools;
  #bytes: Buffer | null;
  #value: unknown = undefined;
  #hasValue = false;
  /** In the place of a value that is too large for this thread. */
  #packed: PackedValue | null = null;
  /** About how much memory the value takes, where there are no bytes. */
  #valueBytes = 0;
  /** What formats lacked something for, since somebody asked. */
  #losses = 0;
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

  /** In a worker: what came there. */
  static unpacked(packed: PackedItem, tools: ItemTools): Item {
    const { content, losses, userProperties, ...beside } = packed;
    const original = {
      ...beside,
      userProperties: userProperties ?? [],
      payload: noBytes,
      responseTopic: undefined,
      correlationData: undefined,
    };
    const item = new Item(original, tools, packed.isGathered).become(packed);
    item.#unpack();
    return item;
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
    copy.#packed = this.#packed;
    copy.#valueBytes = this.#valueBytes;
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
    if (this.#packed !== null) return unpack(this.#packed);
    if (!this.#hasValue) this.decode(this.#format ?? this.#guess());
    return this.#value;
  }

  #guess(): Format {
    const { formats } = this.#tools;
    return (this.contentType !== undefined && formats.byContentType(this.contentType)) || formats.default;
  }

  set value(value: unknown) {
    this.#valueBytes = weigh(value, this.#tools.limits);
    this.#format ??= this.#guess();
    this.#value = value;
    this.#hasValue = true;
    this.#packed = null;
    this.#bytes = null;
  }

  /** A value that was made here nevertheless, by whom nobody bounds. */
  setAnyValue(value: unknown): void {
    try {
      this.value = value;
    } catch (error) {
      if (!(error instanceof TooLarge)) throw error;
      assertWithin(value, this.#tools.configured);
      this.packed = pack(value);
    }
  }

  /** A value of which this thread knows nothing but how large it is. */
  set packed(value: PackedValue) {
    this.#format ??= this.#guess();
    this.#value = undefined;
    this.#hasValue = false;
    this.#packed = value;
    this.#bytes = null;
  }

  get isPacked(): boolean {
    return this.#packed !== null;
  }

  get isWritten(): boolean {
    return this.#bytes !== null;
  }

  /** What was gathered goes out as it was written. */
  label(): void {
    this.contentType = this.#format!.contentType;
    this.payloadFormatIndicator = this.#format!.isText ? true : undefined;
  }

  /** What it was published with. */
  revertPayload(): void {
    this.#bytes = this.original.payload;
    this.#value = undefined;
    this.#hasValue = false;
    this.#packed = null;
    this.#format = null;
  }

  /** Characters of what an expression may look at beside the payload. */
  get besideSize(): number {
    let size = this.topic.length + (this.contentType?.length ?? 0);
    for (const [name, value] of this.userProperties) size += name.length + value.length;
    return size;
  }

  /** Bytes that a stage has to do with that looks into it. */
  get size(): number {
    if (this.#packed !== null) return Math.max(packedBytes(this.#packed), loopValueBytes);
    return this.#bytes === null ? this.#valueBytes : this.#bytes.length;
  }

  get bytes(): Buffer {
    if (this.#bytes === null) this.encode(this.#format ?? this.#tools.formats.default);
    return this.#bytes!;
  }

  /** Without a format the next stage that wants the value finds out. */
  set bytes(bytes: Buffer) {
    const { payloadBytes } = this.#tools.limits;
    if (bytes.length > payloadBytes) {
      throw TooLarge.payload(`became ${bytes.length}`);
    }
    this.#bytes = bytes;
    this.#value = undefined;
    this.#hasValue = false;
    this.#packed = null;
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
    return this.#hasValue || this.#packed !== null;
  }

  get format(): Format | null {
    return this.#format;
  }

  decode(format: Format): void {
    const { bytes } = this;
    const { payloadBytes } = this.#tools.limits;
    if (bytes.length > payloadBytes) {
      throw TooLarge.payload(`has ${bytes.length}`);
    }
    this.#assertShort(format, bytes.length);
    const value = format.decode(bytes);
    // Its bytes are within the limits already.
    assertWithin(value, this.#tools.limits);
    this.#value = value;
    this.#hasValue = true;
    this.#format = format;
  }

  encode(format: Format): void {
    if (this.#packed !== null) throw new TooLarge('the value is too large to be written here');
    const value = this.value;
    this.#assertShort(format, this.size);
    let losses = 0;
    const bytes = format.encode(value, () => losses++);
    this.#losses += losses;
    this.bytes = bytes;
    this.#value = value;
    this.#hasValue = true;
    this.#format = format;
    this.contentType = format.contentType;
    this.payloadFormatIndicator = format.isText ? true : undefined;
  }

  #assertShort({ loopBytes }: Format, bytes: number): void {
    const isLoop = this.#tools.limits.valueBytes === loopValueBytes;
    if (isLoop && loopBytes !== undefined && bytes > loopBytes) throw new TooLarge(`${bytes} bytes are too many here`);
  }

  /** All of it, as bytes. Throws a StageFailure if the value cannot be encoded. */
  toChange(): MessageChange {
    const payload = this.bytes;
    const { topic, qos, retain, contentType, payloadFormatIndicator, messageExpiryInterval, userProperties } = this;
    return { topic, payload, qos, retain, contentType, payloadFormatIndicator, messageExpiryInterval, userProperties };
  }

  /** What formats lacked something for since this was asked last. */
  takeLosses(): number {
    const losses = this.#losses;
    this.#losses = 0;
    return losses;
  }

  // Between threads

  /** `known`: what the other side has of it. */
  toPacked(known: Item | null = null): PackedItem {
    const { topic, qos, retain, contentType, payloadFormatIndicator, messageExpiryInterval, userProperties } = this;
    return {
      topic,
      qos,
      retain,
      contentType,
      payloadFormatIndicator,
      messageExpiryInterval,
      userProperties: userProperties === known?.userProperties ? null : userProperties,
      content: this.#contentBeyond(known),
      isGathered: this.isGathered,
      losses: this.takeLosses(),
    };
  }

  #contentBeyond(known: Item | null): PackedContent | null {
    const format = this.#format === null ? null : this.#tools.formats.settingsOf(this.#format);
    const isKnown =
      known !== null && this.#bytes === known.#bytes && (this.#bytes !== null || this.#value === known.#value);
    if (isKnown) return this.#format === known.#format ? null : { bytes: null, value: null, format };
    const bytes = this.#bytes === null ? null : ownBytes(this.#bytes);
    // What was gathered was not decoded from its bytes, which may have less in them.
    if (bytes !== null && !(this.isGathered && this.hasValue)) return { bytes, value: null, format };
    return { bytes, value: this.#packed === null ? pack(this.#value) : copyOf(this.#packed), format };
  }

  #unpack(): void {
    if (this.#packed === null) return;
    this.#value = unpack(this.#packed);
    this.#hasValue = true;
    this.#packed = null;
  }

  /** In the stage thread: what was gathered has no bytes that it came in, and the quarantine must have some. */
  writeIfGathered(): void {
    if (!this.isGathered || this.#bytes !== null) return;
    const { contentType, payloadFormatIndicator } = this;
    try {
      this.bytes;
    } catch {
      // It is kept without them.
    }
    this.contentType = contentType;
    this.payloadFormatIndicator = payloadFormatIndicator;
  }

  /** Becomes what the other side made of it. */
  become(packed: PackedItem): this {
    this.topic = packed.topic;
    this.qos = packed.qos;
    this.retain = packed.retain;
    this.contentType = packed.contentType;
    this.payloadFormatIndicator = packed.payloadFormatIndicator;
    this.messageExpiryInterval = packed.messageExpiryInterval;
    this.userProperties = packed.userProperties ?? this.userProperties;
    this.#losses += packed.losses;
    if (packed.content === null) return this;
    const { bytes, value, format } = packed.content;
    this.#format = format === null ? null : (this.#tools.formats.of(format) as Format);
    this.#hasValue = false;
    if (bytes === null && value === null) return this;
    this.#value = undefined;
    this.#bytes = bytes === null ? null : arrivedBytes(bytes);
    this.#packed = value;
    if (value !== null && packedBytes(value) <= loopValueBytes) this.#tryToUnpack(value);
    return this;
  }

  /** A small value need not stay packed. */
  #tryToUnpack(packed: PackedValue): void {
    const value = unpack(packed);
    try {
      this.value = value;
    } catch (error) {
      if (!(error instanceof TooLarge)) throw error;
    }
  }
}

/** It stays here as well, in case the other thread ends. */
const copyOf = ({ parts, isList }: PackedValue): PackedValue => ({ parts: parts.map(ownBytes), isList });
