/**
 * What a message may be made of: the one place that says so, for what does not come out of a PUBLISH that the decoder
 * has checked. Stages, scripts, hooks and programs give texts, numbers and bytes of any kind, and subscribers must
 * never see a packet that is malformed because of them.
 */
import { ProtocolError } from './errors.ts';
import type { QoS, UserProperties } from './packets.ts';
import { ReasonCode } from './reason-codes.ts';
import { assertTopicName, type TopicLimits } from './topic.ts';

/** All but the payload's size; what is undefined is absent. */
export interface MessageParts {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos?: QoS | undefined;
  readonly retain?: boolean | undefined;
  readonly messageExpiryInterval?: number | undefined;
  readonly payloadFormatIndicator?: boolean | undefined;
  readonly contentType?: string | undefined;
  readonly responseTopic?: string | undefined;
  readonly correlationData?: Uint8Array | undefined;
  readonly userProperties?: UserProperties | undefined;
}

/** A length on the wire has two bytes. [MQTT5 1.5.4] */
const textBytesMax = 65_535;
/**
 * A packet has 268,435,455 bytes at most; this leaves room for topic, alias and identifiers of subscriptions. [MQTT5
 * 2.1.4]
 */
const messageBytesMax = 268_000_000;

/** Throws a ProtocolError that says which part cannot be published, and why. */
export function assertMessageParts(parts: MessageParts, limits?: TopicLimits): void {
  const { topic, payload, qos, retain, responseTopic } = parts;
  if (typeof topic !== 'string') throw wrong('topic', 'is no text');
  assertTopicName(topic, limits);
  if (!(payload instanceof Uint8Array)) throw wrong('payload', 'is neither a Buffer nor a Uint8Array');
  if (qos !== undefined && qos !== 0 && qos !== 1 && qos !== 2) throw wrong('QoS', 'is neither 0, 1 nor 2');
  assertBoolean('retain', retain);
  assertBoolean('payloadFormatIndicator', parts.payloadFormatIndicator);
  assertSeconds(parts.messageExpiryInterval);
  assertText('contentType', parts.contentType);
  assertText('responseTopic', responseTopic);
  if (responseTopic !== undefined) assertTopicName(responseTopic); // [MQTT5 3.3.2-14]
  assertBytes('correlationData', parts.correlationData);
  assertUserProperties(parts.userProperties);
  const bytes = payload.length + propertiesBytes(parts);
  if (bytes > messageBytesMax) throw wrong('message', `has ${bytes} bytes, more than a packet can hold`);
}

const wrong = (part: string, why: string) => new ProtocolError(ReasonCode.MalformedPacket, `The ${part} ${why}`);

function assertBoolean(part: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') throw wrong(part, 'is neither true nor false');
}

/** [MQTT5 3.3.2.3.3] */
function assertSeconds(value: unknown): void {
  if (value === undefined) return;
  const isFourBytes = Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffffffff;
  if (!isFourBytes) throw wrong('messageExpiryInterval', 'is no number of whole seconds');
}

/** Text as the wire has it. [MQTT5 1.5.4-1] [MQTT5 1.5.4-2] */
function assertText(part: string, value: unknown): void {
  if (value === undefined) return;
  if (typeof value !== 'string') throw wrong(part, 'is no text');
  if (value.includes('\0')) throw wrong(part, 'holds U+0000');
  if (!value.isWellFormed()) throw wrong(part, 'holds half of a surrogate pair, which UTF-8 cannot');
  // A character of UTF-16 has three bytes at most.
  if (value.length * 3 > textBytesMax && Buffer.byteLength(value) > textBytesMax) {
    throw wrong(part, `has more than ${textBytesMax} bytes`);
  }
}

function assertBytes(part: string, value: unknown): void {
  if (value === undefined) return;
  if (!(value instanceof Uint8Array)) throw wrong(part, 'is neither a Buffer nor a Uint8Array');
  if (value.length > textBytesMax) throw wrong(part, `has more than ${textBytesMax} bytes`);
}

function assertUserProperties(pairs: unknown): void {
  if (pairs === undefined) return;
  if (!Array.isArray(pairs)) throw wrong('userProperties', 'are no list of pairs');
  for (const pair of pairs as unknown[]) {
    if (!Array.isArray(pair) || pair.length !== 2) throw wrong('userProperties', 'are no list of pairs');
    const [name, value] = pair as unknown[];
    if (name === undefined || value === undefined) throw wrong('userProperties', 'are no list of pairs');
    assertText('name of a user property', name);
    assertText('value of a user property', value);
  }
}

function propertiesBytes({ userProperties = [] }: MessageParts): number {
  // The others are bounded each, and leave room.
  let bytes = 4 * textBytesMax;
  for (const [name, value] of userProperties) bytes += 5 + Buffer.byteLength(name) + Buffer.byteLength(value);
  return bytes;
}
