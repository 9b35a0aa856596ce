/**
 * An item between the broker's thread and another one. A value travels as bytes that only the other side reads: making
 * a large one anew would keep the event loop as long as the stage that was to be kept off it.
 */
import { deserialize, serialize } from 'node:v8';
import type { FormatSettings } from '../contracts/pipeline-settings.ts';
import type { QoS, UserProperties } from '../protocol/packets.ts';

/** A value, or a list in pieces of several elements each. */
export interface PackedValue {
  readonly parts: readonly Uint8Array[];
  readonly isList: boolean;
}

export interface PackedItem {
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly contentType: string | undefined;
  readonly payloadFormatIndicator: boolean | undefined;
  readonly messageExpiryInterval: number | undefined;
  /** Null: they are as they were. */
  readonly userProperties: UserProperties | null;
  /** Null: it is as it was. */
  readonly content: PackedContent | null;
  readonly isGathered: boolean;
  /** What formats lacked something for. */
  readonly losses: number;
}

/** Without bytes and value: they are as they were, and only the format is known better. */
export interface PackedContent {
  readonly bytes: Uint8Array | null;
  readonly value: PackedValue | null;
  /** What the value was decoded from, or is to be decoded from. */
  readonly format: FormatSettings | null;
}

export const pack = (value: unknown): PackedValue => ({ parts: [serialize(value)], isList: false });

export function unpack({ parts, isList }: PackedValue): unknown {
  if (!isList) return deserialize(parts[0]!);
  const all: unknown[] = [];
  for (const part of parts) for (const each of deserialize(part) as unknown[]) all.push(each);
  return all;
}

export function packedBytes({ parts }: PackedValue): number {
  let bytes = 0;
  for (const { length } of parts) bytes += length;
  return bytes;
}

/** What need not be copied on its way, as nobody uses it here any more. */
export function transferable({ content }: PackedItem): ArrayBuffer[] {
  if (content === null) return [];
  const all = [...(content.bytes === null ? [] : [content.bytes]), ...(content.value?.parts ?? [])];
  return all.filter(isWhole).map(({ buffer }) => buffer as ArrayBuffer);
}

/** Small Buffers share their memory. */
const isWhole = ({ byteLength, buffer }: Uint8Array) => byteLength === buffer.byteLength;

/** What is smaller is copied sooner than it is kept in memory of its own. */
const largeBytes = 16_384;

const arrived = new WeakSet<Uint8Array>();

/** These bytes came from another thread, and nobody changes them here. */
export function arrivedBytes(bytes: Uint8Array): Buffer {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (buffer.length >= largeBytes && isWhole(buffer)) arrived.add(buffer);
  return buffer;
}

export const hasArrived = (bytes: Uint8Array): boolean => arrived.has(bytes);

/** Bytes that may be transferred. */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}
