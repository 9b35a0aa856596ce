/**
 * What a payload can be: a value in some format, or bytes under some coding.
 *
 * Values are what JavaScript has for them: objects, arrays, strings, numbers, bigints for whole numbers beyond 2^53, Buffers for
 * binary, Dates, booleans, null. A format that lacks one of these writes the nearest thing it has and calls it a loss.
 */
import type { PipelineLimits } from '../../contracts/pipeline.ts';
import { StageFailure } from '../errors.ts';

export type ReportLoss = (what: string) => void;

export interface Format {
  readonly kind: 'format';
  readonly name: string;
  /** Set on what is encoded. */
  readonly contentType: string;
  /** Encoded payloads are UTF-8 text: Payload Format Indicator 1. [MQTT5 3.3.2.3.2] */
  readonly isText: boolean;
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

/** Throws if a value is nested deeper, or has more parts, than the limits allow. */
export function assertWithin(value: unknown, limits: PipelineLimits): void {
  if (count(value, limits.depth, limits) > limits.items) {
    throw new StageFailure(`the value has more than ${limits.items} parts (pipelineLimits.items)`);
  }
}

function count(value: unknown, depthLeft: number, limits: PipelineLimits): number {
  if (typeof value !== 'object' || value === null) return 1;
  if (value instanceof Uint8Array || value instanceof Date) return 1;
  if (depthLeft === 0) throw new StageFailure(`the value is nested deeper than ${limits.depth} (pipelineLimits.depth)`);
  let parts = 1;
  if (Array.isArray(value)) {
    if (value.length > limits.items) return value.length;
    for (const each of value) parts += count(each, depthLeft - 1, limits);
  } else for (const name in value) parts += count((value as Record<string, unknown>)[name], depthLeft - 1, limits);
  return parts;
}
