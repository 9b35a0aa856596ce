/**
 * JSON. Whole numbers beyond 2^53 are read as bigints and written as digits. Binary becomes base64 text, a date ISO
 * 8601 text, and a number that is none (NaN, Infinity) null: losses all three. Of two fields of one name the last
 * counts.
 */
import { isUtf8 } from 'node:buffer';
import { isSafeNumber, parse, stringify } from 'lossless-json';
import type { PipelineLimits } from '../../contracts/pipeline-settings.ts';
import { StageFailure } from '../errors.ts';
import { loopBytes } from '../loop-limits.ts';
import { type Format, numberDigitsMax, type ReportLoss, TooLarge } from './format.ts';

/** Only a number this long can be beyond 2^53. */
const maybeLarge = /\d{16}/;

const parseNumber = (digits: string): unknown => {
  const isWhole = /^-?\d+$/.test(digits);
  if (isWhole && digits.length > numberDigitsMax) throw TooLarge.number(digits.length, 'digits');
  return isWhole && !isSafeNumber(digits) ? BigInt(digits) : Number(digits);
};

const lossless = { parseNumber, onDuplicateKey: ({ newValue }: { newValue: unknown }) => newValue };

export function json(limits: PipelineLimits): Format {
  return {
    kind: 'format',
    name: 'json',
    contentType: 'application/json',
    isText: true,
    decode(bytes) {
      if (!isUtf8(bytes)) throw new StageFailure('not JSON: the payload is not valid UTF-8');
      // Every part takes two bytes at least, and of few bytes not much can be made before its parts are counted.
      if (bytes.length > loopBytes && bytes.length > 2 * limits.items) assertItems(bytes, limits);
      const text = bytes.toString();
      try {
        const value: unknown = JSON.parse(text);
        return maybeLarge.test(text) ? parse(text, null, lossless) : value;
      } catch (error) {
        throw error instanceof TooLarge ? error : new StageFailure(`not JSON: ${(error as Error).message}`);
      }
    },
    encode(value, loss) {
      let hasLarge = false;
      const plain = jsonable(value, loss, (large) => {
        hasLarge = true;
        return large;
      });
      const text = hasLarge ? stringify(plain) : JSON.stringify(plain);
      if (text === undefined) throw new StageFailure('there is no value to write as JSON');
      return Buffer.from(text);
    },
  };
}

const [quote, backslash, comma, bracket, brace] = Buffer.from('"\\,[{');

/** Before anything is made of them. */
function assertItems(bytes: Buffer, limits: PipelineLimits): void {
  let items = 1;
  let isInText = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === quote) isInText = !isInText;
    else if (isInText && byte === backslash) at++;
    else if (!isInText && (byte === comma || byte === bracket || byte === brace)) items++;
    if (items > limits.items) throw TooLarge.items(limits);
  }
}

/**
 * The value as JSON can have it: the same object where nothing has to change. `large` says what becomes of a whole
 * number beyond 2^53.
 */
export function jsonable(value: unknown, loss: ReportLoss, large: (value: bigint) => unknown): unknown {
  if (typeof value === 'bigint') {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : large(value);
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
  if (Array.isArray(value)) return jsonableList(value, loss, large);
  let changed: Map<string, unknown> | null = null;
  for (const name in value) {
    const before = (value as Record<string, unknown>)[name];
    const after = jsonable(before, loss, large);
    if (after !== before) (changed ??= new Map()).set(name, after);
  }
  if (changed === null) return value;
  const entries = Object.entries(value);
  return Object.fromEntries(entries.map(([name, each]) => [name, changed.has(name) ? changed.get(name) : each]));
}

function jsonableList(list: readonly unknown[], loss: ReportLoss, large: (value: bigint) => unknown): unknown {
  let changed: unknown[] | null = null;
  for (let i = 0; i < list.length; i++) {
    const after = jsonable(list[i], loss, large) ?? null;
    if (after !== list[i]) (changed ??= [...list])[i] = after;
  }
  return changed ?? list;
}
