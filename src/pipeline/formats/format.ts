/**
 * What a payload can be: a value in some format, or bytes under some coding.
 *
 * Values are what JavaScript has for them: objects, arrays, strings, numbers, bigints for whole numbers beyond 2^53,
 * Buffers for binary, Dates, booleans, null. A format that lacks one of these writes the nearest thing it has and calls
 * it a loss.
 */
import type { PipelineLimits } from '../../contracts/pipeline-settings.ts';
import { StageFailure } from '../errors.ts';
import type { ValueLimits } from '../loop-limits.ts';

export type ReportLoss = (what: string) => void;

export interface Format {
  readonly kind: 'format';
  readonly name: string;
  /** Set on what is encoded. */
  readonly contentType: string;
  /** Encoded payloads are UTF-8 text: Payload Format Indicator 1. [MQTT5 3.3.2.3.2] */
  readonly isText: boolean;
  /** Where it takes longer than others: bytes that are read or written on the event loop at most. */
  readonly loopBytes?: number;
  /** Throws if the bytes are not of this format. */
  decode(bytes: Buffer): unknown;
  /** Throws if the format has nothing for the value. */
  encode(value: unknown, loss: ReportLoss): Buffer;
}

export interface ByteCodec {
  readonly kind: 'bytes';
  readonly name: string;
  readonly contentType: string | null;
  readonly isText: boolean;
  decode(bytes: Buffer): Buffer;
  encode(bytes: Buffer): Buffer;
}

/** More of it, or deeper, than the limits allow. */
export class TooLarge extends StageFailure {
  static items({ items }: PipelineLimits): TooLarge {
    return new TooLarge(`the value has more than ${items} parts (pipelineLimits.items)`);
  }

  static payload(what: string): TooLarge {
    return new TooLarge(`the payload ${what} bytes, more than pipelineLimits.payloadBytes allows`);
  }

  static number(size: number, unit: 'bytes' | 'digits'): TooLarge {
    const most = unit === 'bytes' ? numberBytesMax : numberDigitsMax;
    return new TooLarge(`a number of ${size} ${unit}; ${most} are taken`);
  }

  static depth({ depth }: PipelineLimits): TooLarge {
    return new TooLarge(`the value is nested deeper than ${depth} (pipelineLimits.depth)`);
  }
}

/**
 * Whole numbers have at most so many bytes, or digits: arithmetic with larger ones, and writing them down, takes a time
 * that grows faster than they do. No unit, counter or key is that long.
 */
export const numberBytesMax = 256;
export const numberDigitsMax = 617;

/** What a number, a property or a small object takes in memory, about. */
const partBytes = 16;

/** Throws TooLarge if a value is nested deeper, or has more parts, than the limits allow; as soon as it is known. */
export function assertWithin(value: unknown, limits: PipelineLimits): void {
  countParts(value, limits.depth, limits.items, limits);
}

/** How many parts there may be besides those of the value. */
function countParts(value: unknown, depthLeft: number, itemsLeft: number, limits: PipelineLimits): number {
  let left = itemsLeft - 1;
  if (left < 0) throw TooLarge.items(limits);
  if (typeof value !== 'object' || value === null) return left;
  if (value instanceof Uint8Array || value instanceof Date) return left;
  if (depthLeft === 0) throw TooLarge.depth(limits);
  if (Array.isArray(value)) for (const each of value) left = countParts(each, depthLeft - 1, left, limits);
  else for (const name in value) left = countParts((value as Fields)[name], depthLeft - 1, left, limits);
  return left;
}

/** About how much memory a value takes. Throws TooLarge for one beyond the limits; as soon as it is known. */
export function weigh(value: unknown, limits: ValueLimits): number {
  const bytesBefore = Math.min(limits.valueBytes, bytesMax);
  bytesLeft = bytesBefore;
  countDown(value, limits.depth, limits.items, limits);
  return bytesBefore - bytesLeft;
}

/** A small integer for V8, as long as `items` is one. */
const bytesMax = 2 ** 30;
/** What the value may take besides what has been counted. */
let bytesLeft = 0;

/** The same as `countParts`, and counts bytes. */
function countDown(value: unknown, depthLeft: number, itemsLeft: number, limits: ValueLimits): number {
  let left = itemsLeft - 1;
  if (left < 0) throw TooLarge.items(limits);
  let bytes = bytesLeft - partBytes;
  if (typeof value === 'string') bytes -= value.length;
  bytesLeft = bytes;
  if (bytes < 0) throw new TooLarge(`the value takes more than ${limits.valueBytes} bytes of memory`);
  if (typeof value !== 'object' || value === null) return left;
  if (value instanceof Uint8Array) {
    bytesLeft -= value.length;
    return left;
  }
  if (value instanceof Date) return left;
  if (depthLeft === 0) throw TooLarge.depth(limits);
  if (Array.isArray(value)) for (const each of value) left = countDown(each, depthLeft - 1, left, limits);
  else {
    for (const name in value) {
      bytesLeft -= name.length;
      left = countDown((value as Fields)[name], depthLeft - 1, left, limits);
    }
  }
  return left;
}

type Fields = Record<string, unknown>;
