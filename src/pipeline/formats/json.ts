/**
 * JSON. Whole numbers beyond 2^53 are read as bigints and written as digits. Binary becomes base64 text, a date ISO 8601 text, and a
 * number that is none (NaN, Infinity) null: losses all three.
 */
import { isUtf8 } from 'node:buffer';
import { isSafeNumber, parse, stringify } from 'lossless-json';
import { StageFailure } from '../errors.ts';
import type { Format, ReportLoss } from './format.ts';

/** Only a number this long can be beyond 2^53. */
const maybeLarge = /\d{16}/;

const parseNumber = (digits: string): unknown => {
  const isWhole = /^-?\d+$/.test(digits);
  return isWhole && !isSafeNumber(digits) ? BigInt(digits) : Number(digits);
};

export const json: Format = {
  kind: 'format',
  name: 'json',
  contentType: 'application/json',
  isText: true,
  decode(bytes) {
    if (!isUtf8(bytes)) throw new StageFailure('not JSON: the payload is not valid UTF-8');
    const text = bytes.toString();
    try {
      const value: unknown = JSON.parse(text);
      return maybeLarge.test(text) ? parse(text, null, parseNumber) : value;
    } catch (error) {
      throw new StageFailure(`not JSON: ${(error as Error).message}`);
    }
  },
  encode(value, loss) {
    const plain = jsonable(value, loss);
    const text = hasBigint ? stringify(plain) : JSON.stringify(plain);
    if (text === undefined) throw new StageFailure('there is no value to write as JSON');
    return Buffer.from(text);
  },
};

/** Set by the last call of `jsonable`. */
let hasBigint = false;

/** The value as JSON can have it: the same object where nothing has to change. */
export function jsonable(value: unknown, loss: ReportLoss): unknown {
  hasBigint = false;
  return convert(value, loss);
}

function convert(value: unknown, loss: ReportLoss): unknown {
  if (typeof value === 'bigint') {
    if (value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER) return Number(value);
    hasBigint = true;
    return value;
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    loss('a number that is not finite became null');
    return null;
  }
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) {
    loss('binary became base64 text');
    return Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64');
  }
  if (value instanceof Date) {
    loss('a date became text');
    return Number.isNaN(value.getTime()) ? null : value.toISOString();
  }
  if (Array.isArray(value)) {
    const converted = value.map((each) => convert(each, loss) ?? null);
    return converted.every((each, index) => each === value[index]) ? value : converted;
  }
  let copy: [string, unknown][] | null = null;
  for (const name in value) {
    const before = (value as Record<string, unknown>)[name];
    const after = convert(before, loss);
    if (after !== before) (copy ??= []).push([name, after]);
  }
  if (copy === null) return value;
  const changed = new Map(copy);
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, changed.has(name) ? changed.get(name) : each]),
  );
}
