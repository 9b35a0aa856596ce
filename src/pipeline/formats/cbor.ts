/**
 * CBOR (RFC 8949), by cbor-x: dates as tag 1, whole numbers beyond 2^53 as 64-bit integers or big numbers.
 *
 * Sets and typed arrays are read as arrays, maps as objects, `undefined` as null, and tags that stand for nothing else
 * are passed by. Strings of indefinite length are not supported. A field called `__proto__` is read as `__proto_`.
 */
import { Encoder, setSizeLimits, Tag } from 'cbor-x';
import type { PipelineLimits } from '../../contracts/pipeline-settings.ts';
import { StageFailure } from '../errors.ts';
import { assertWithin, type Format, numberBytesMax, TooLarge } from './format.ts';

const encoder = new Encoder({ useRecords: false, mapsAsObjects: true, tagUint8Array: false, variableMapSize: true });

export function cbor(limits: PipelineLimits): Format {
  // An array of a declared length is allocated before its elements are read. The package has one limit for all.
  setSizeLimits({ maxArraySize: limits.items, maxMapSize: limits.items, maxObjectSize: limits.items });
  return {
    kind: 'format',
    name: 'cbor',
    contentType: 'application/cbor',
    isText: false,
    decode(bytes) {
      try {
        const hasTags = scan(bytes, limits);
        const value: unknown = encoder.decode(bytes);
        if (!hasTags) return value;
        assertWithin(value, limits);
        return plain(value);
      } catch (error) {
        throw error instanceof TooLarge ? error : new StageFailure(`not CBOR: ${(error as Error).message}`);
      }
    },
    encode: (value) => encoder.encode(value),
  };
}

/**
 * Tags by which the package refers to other parts of the payload: a value could contain itself, or grow without bound.
 */
const referringTags = new Set([6, 14, 15, 27, 28, 29, 51, 105, 0xdff9, 0xdffe]);

/** Whole numbers as bytes, 0 upwards and -1 downwards: by far shorter than the texts they could be. */
const bigNumberTags = new Set([2, 3]);

/**
 * Looks at the heads of all items before anything is made of them. Throws if there are more, or deeper ones, than the
 * limits allow. Returns whether there are tags or simple values, which JavaScript may have no plain value for.
 */
function scan(bytes: Buffer, limits: PipelineLimits): boolean {
  let at = 0;
  let items = 0;
  let hasTags = false;
  const readLength = (info: number): number => {
    if (info < 24) return info;
    const size = 2 ** (info - 24);
    if (info > 27 || at + size > bytes.length) throw new Error('it ends too early');
    at += size;
    return size === 8 ? Number(bytes.readBigUInt64BE(at - 8)) : bytes.readUIntBE(at - size, size);
  };
  const skip = (depthLeft: number, isNumber = false): void => {
    if (at >= bytes.length) throw new Error('it ends too early');
    if (++items > limits.items) throw TooLarge.items(limits);
    if (depthLeft < 0) throw TooLarge.depth(limits);
    const major = bytes[at]! >> 5;
    const info = bytes[at++]! & 31;
    const isIndefinite = info === 31 && (major === 4 || major === 5);
    const length = isIndefinite ? Number.POSITIVE_INFINITY : readLength(info);
    if (isNumber && length > numberBytesMax) throw TooLarge.number(length, 'bytes');
    if (major === 2 || major === 3) at += length;
    else if (major === 4 || major === 5) {
      const parts = major === 4 ? length : 2 * length;
      if (!isIndefinite && parts > bytes.length - at) throw new Error('it ends too early');
      for (let i = 0; i < parts; i++) {
        if (isIndefinite && bytes[at] === 0xff) {
          at++;
          break;
        }
        skip(depthLeft - 1);
      }
    } else if (major === 6) {
      if (referringTags.has(length)) throw new Error(`tag ${length} is not supported`);
      hasTags = true;
      skip(depthLeft - 1, bigNumberTags.has(length));
    } else if (major === 7 && (info < 20 || info === 23 || info === 24)) hasTags = true;
  };
  skip(limits.depth);
  return hasTags;
}

/** What is left of values that only JavaScript and CBOR have. */
function plain(value: unknown): unknown {
  if (value === undefined) return null;
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || value instanceof Date) return value;
  if (value instanceof Tag) return plain(value.value);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, each]) => [String(key), plain(each)]));
  if (value instanceof Set || ArrayBuffer.isView(value))
    return Array.from(value as unknown as Iterable<unknown>, plain);
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
}
