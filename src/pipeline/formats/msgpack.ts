/**
 * MessagePack, by msgpackr: dates as timestamps, whole numbers up to 64 bits. Extension types other than the timestamp
 * are refused. A field called `__proto__` is read as `__proto_`.
 */
import { Packr } from 'msgpackr';
import type { PipelineLimits } from '../../contracts/pipeline-settings.ts';
import { StageFailure } from '../errors.ts';
import { type Format, type ReportLoss, TooLarge } from './format.ts';

/** The package's types do not know `auto`: numbers where they are exact, else bigints. */
const auto = 'auto' as 'number';
const packr = new Packr({ useRecords: false, mapsAsObjects: true, int64AsType: auto, variableMapSize: true });

export function msgpack(limits: PipelineLimits): Format {
  return {
    kind: 'format',
    name: 'msgpack',
    contentType: 'application/vnd.msgpack',
    isText: false,
    decode(bytes) {
      try {
        scan(bytes, limits);
        return packr.unpack(bytes);
      } catch (error) {
        throw error instanceof TooLarge ? error : new StageFailure(`not MessagePack: ${(error as Error).message}`);
      }
    },
    encode: (value, loss) => packr.pack(without64BitOverflow(value, loss)),
  };
}

/** Whole numbers of more than 64 bits, which CBOR has and MessagePack has not, become the nearest float. */
function without64BitOverflow(value: unknown, loss: ReportLoss): unknown {
  if (typeof value === 'bigint') {
    if (BigInt.asIntN(64, value) === value || BigInt.asUintN(64, value) === value) return value;
    loss('a whole number of more than 64 bits became a float');
    return Number(value);
  }
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || value instanceof Date) return value;
  if (Array.isArray(value)) return value.map((each) => without64BitOverflow(each, loss));
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, without64BitOverflow(each, loss)]));
}

/** Bytes behind the first one of each kind of item: of the item itself, or of the length that it begins with. */
const fixedBytes: Readonly<Record<number, number>> = {
  202: 4,
  203: 8,
  204: 1,
  205: 2,
  206: 4,
  207: 8,
  208: 1,
  209: 2,
  210: 4,
  211: 8,
  212: 2,
  213: 3,
  214: 5,
  215: 9,
  216: 17,
};

/** `[bytes of the length, bytes besides what the length counts]` */
const sizedBytes: Readonly<Record<number, readonly [1 | 2 | 4, number]>> = {
  196: [1, 0],
  197: [2, 0],
  198: [4, 0],
  199: [1, 1],
  200: [2, 1],
  201: [4, 1],
  217: [1, 0],
  218: [2, 0],
  219: [4, 0],
};

const counted: Readonly<Record<number, readonly [2 | 4, 1 | 2]>> = {
  220: [2, 1],
  221: [4, 1],
  222: [2, 2],
  223: [4, 2],
};

const timestampType = 0xff;

/**
 * Throws unless all items that are announced are there, and within the limits. The package allocates an array as long
 * as five bytes say before it looks for the elements, so a small payload could take all memory; and by extension types
 * of its own a payload could refer to parts of itself.
 */
function scan(bytes: Buffer, limits: PipelineLimits): void {
  let at = 0;
  let items = 0;
  for (let left = 1; left > 0; left--) {
    if (at >= bytes.length || left > bytes.length - at) throw new Error('it ends too early');
    if (++items > limits.items) throw TooLarge.items(limits);
    const type = bytes[at++]!;
    if (type >= 0x80 && type < 0xa0) left += (type & 15) * (type < 0x90 ? 2 : 1);
    else if (type >= 0xa0 && type < 0xc0) at += type & 31;
    else if (fixedBytes[type] !== undefined) {
      if (type >= 0xd4 && type <= 0xd8) assertTimestamp(bytes[at]);
      at += fixedBytes[type];
    } else if (sizedBytes[type] !== undefined) {
      const [lengthBytes, others] = sizedBytes[type];
      if (at + lengthBytes > bytes.length) throw new Error('it ends too early');
      if (others === 1) assertTimestamp(bytes[at + lengthBytes]);
      at += lengthBytes + bytes.readUIntBE(at, lengthBytes) + others;
    } else if (counted[type] !== undefined) {
      const [lengthBytes, perElement] = counted[type];
      if (at + lengthBytes > bytes.length) throw new Error('it ends too early');
      left += bytes.readUIntBE(at, lengthBytes) * perElement;
      at += lengthBytes;
    } else if (type === 0xc1) throw new Error('0xc1 is no type');
  }
}

function assertTimestamp(extensionType: number | undefined): void {
  if (extensionType !== timestampType) throw new Error(`extension type ${extensionType} is not supported`);
}
