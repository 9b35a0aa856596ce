/**
 * Raw bytes by a declared layout: fields one after the other, as sensors and field buses send them. Reading and writing
 * are the same list of fields, so what was read can be written again.
 */
import type { BinaryField, PipelineLimits } from '../../contracts/pipeline-settings.ts';
import { PipelineError, StageFailure } from '../errors.ts';
import type { Format } from './format.ts';

type Row = Record<string, unknown>;

interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

const numberBytes = {
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  uint64: 8,
  float32: 4,
  float64: 8,
} as const;

type NumberType = keyof typeof numberBytes;

export function binary(
  layout: { readonly endian: 'big' | 'little'; readonly fields: readonly BinaryField[] },
  limits: PipelineLimits,
  path: readonly (string | number)[],
): Format {
  for (const [index, field] of layout.fields.entries()) checkField(field, [...path, 'fields', index]);
  const fields = layout.fields.map((field) => ({ ...field, endian: field.endian ?? layout.endian }));
  return {
    kind: 'format',
    name: 'binary',
    contentType: 'application/octet-stream',
    isText: false,
    decode(bytes) {
      const cursor = { bytes, at: 0 };
      const row: Row = {};
      for (const field of fields) readField(field, cursor, row, limits);
      if (cursor.at < bytes.length) {
        throw new StageFailure(`${bytes.length - cursor.at} bytes are left after the last field of the layout`);
      }
      return row;
    },
    encode(value) {
      if (typeof value !== 'object' || value === null) throw new StageFailure('a binary layout needs an object');
      const parts: Buffer[] = [];
      for (const field of fields) writeField(field, value as Row, parts);
      return Buffer.concat(parts);
    },
  };
}

function checkField(field: BinaryField, path: readonly (string | number)[]): void {
  const isSized = field.type === 'bytes' || field.type === 'text' || field.type === 'skip';
  if (isSized && field.length === undefined) throw new PipelineError(path, `${field.type} needs a length`);
  if (field.type === 'bits' && (field.bits === undefined || field.bytes === undefined)) {
    throw new PipelineError(path, 'bits needs bytes (1, 2 or 4) and bits, the list of what is in them');
  }
  const width = (field.bytes ?? 0) * 8;
  for (const { name, at, width: bits = 1 } of field.bits ?? []) {
    if (at + bits > width) throw new PipelineError(path, `the bits of ${name} do not fit into ${width}`);
  }
}

type Field = BinaryField & { readonly endian: 'big' | 'little' };

function readField(field: Field, cursor: Cursor, row: Row, limits: PipelineLimits): void {
  if (field.repeat === undefined) {
    const value = readOne(field, cursor, row);
    if (field.type !== 'skip' && field.type !== 'bits') define(row, field.name, value);
    return;
  }
  const count = countOf(field, row);
  if (count > limits.items) throw new StageFailure(`${field.name} has more than ${limits.items} elements`);
  const values: unknown[] = [];
  while (count === -1 ? cursor.at < cursor.bytes.length : values.length < count) {
    if (values.length >= limits.items) throw new StageFailure(`${field.name} has more than ${limits.items} elements`);
    values.push(readOne(field, cursor, row));
  }
  define(row, field.name, values);
}

/** Names are the operator's, and `__proto__` is one like any other. */
function define(row: Row, name: string, value: unknown): void {
  Object.defineProperty(row, name, { value, enumerable: true, configurable: true, writable: true });
}

/** -1: as many as are left. */
function countOf({ name, repeat }: Field, row: Row): number {
  if (typeof repeat === 'number') return repeat;
  if (repeat === 'rest') return -1;
  const count = Number(row[repeat!]);
  if (!Number.isInteger(count) || count < 0)
    throw new StageFailure(`${name} repeats as ${repeat} says, which is no count`);
  return count;
}

function take(cursor: Cursor, length: number, name: string): number {
  const start = cursor.at;
  if (start + length > cursor.bytes.length) {
    throw new StageFailure(`the payload of ${cursor.bytes.length} bytes ends before ${name}`);
  }
  cursor.at += length;
  return start;
}

function readOne(field: Field, cursor: Cursor, row: Row): unknown {
  const { name, type } = field;
  if (type === 'bits') {
    const start = take(cursor, field.bytes!, name);
    const word =
      field.endian === 'big'
        ? cursor.bytes.readUIntBE(start, field.bytes!)
        : cursor.bytes.readUIntLE(start, field.bytes!);
    for (const { name: bit, at, width } of field.bits!) {
      const bits = Math.floor(word / 2 ** at) % 2 ** (width ?? 1);
      define(row, bit, width === undefined ? bits === 1 : bits);
    }
    return undefined;
  }
  if (type === 'bytes' || type === 'text' || type === 'skip') {
    const length = field.length === 'rest' ? cursor.bytes.length - cursor.at : field.length!;
    const start = take(cursor, length, name);
    const part = cursor.bytes.subarray(start, start + length);
    if (type === 'text') return part.subarray(0, lengthWithoutPadding(part)).toString();
    return type === 'bytes' ? Buffer.from(part) : undefined;
  }
  return scaled(readNumber(cursor.bytes, take(cursor, numberBytes[type], name), type, field.endian), field);
}

/** Texts of a fixed length end in NULs. */
function lengthWithoutPadding(text: Buffer): number {
  let length = text.length;
  while (length > 0 && text[length - 1] === 0) length--;
  return length;
}

function scaled(number: number | bigint, { scale, offset }: Field): number | bigint {
  if (scale === undefined && offset === undefined) return number;
  // 12 digits: a double's own noise (21.3 read as 21.300000000000001) is not the sensor's.
  return Number((Number(number) * (scale ?? 1) + (offset ?? 0)).toPrecision(12));
}

function readNumber(bytes: Buffer, at: number, type: NumberType, endian: 'big' | 'little'): number | bigint {
  const isBig = endian === 'big';
  switch (type) {
    case 'int8':
      return bytes.readInt8(at);
    case 'uint8':
      return bytes.readUInt8(at);
    case 'int16':
      return isBig ? bytes.readInt16BE(at) : bytes.readInt16LE(at);
    case 'uint16':
      return isBig ? bytes.readUInt16BE(at) : bytes.readUInt16LE(at);
    case 'int32':
      return isBig ? bytes.readInt32BE(at) : bytes.readInt32LE(at);
    case 'uint32':
      return isBig ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at);
    case 'int64':
      return small(isBig ? bytes.readBigInt64BE(at) : bytes.readBigInt64LE(at));
    case 'uint64':
      return small(isBig ? bytes.readBigUInt64BE(at) : bytes.readBigUInt64LE(at));
    case 'float32':
      return isBig ? bytes.readFloatBE(at) : bytes.readFloatLE(at);
    case 'float64':
      return isBig ? bytes.readDoubleBE(at) : bytes.readDoubleLE(at);
  }
}

const small = (value: bigint): number | bigint => {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
};

function writeField(field: Field, row: Row, parts: Buffer[]): void {
  if (field.repeat === undefined) return void parts.push(writeOne(field, row[field.name], row));
  const values = row[field.name];
  if (!Array.isArray(values)) throw new StageFailure(`${field.name} must be an array`);
  const wanted = field.repeat === 'rest' ? values.length : countOf(field, row);
  if (values.length !== wanted)
    throw new StageFailure(`${field.name} must have ${wanted} elements, not ${values.length}`);
  for (const value of values) parts.push(writeOne(field, value, row));
}

function writeOne(field: Field, value: unknown, row: Row): Buffer {
  const { name, type, endian } = field;
  if (type === 'bits') {
    let word = 0;
    for (const { name: bit, at, width = 1 } of field.bits!) {
      const bits = Number(row[bit] ?? 0);
      if (!Number.isInteger(bits) || bits < 0 || bits >= 2 ** width)
        throw new StageFailure(`${bit} does not fit into its bits`);
      word += bits * 2 ** at;
    }
    const bytes = Buffer.alloc(field.bytes!);
    if (endian === 'big') bytes.writeUIntBE(word, 0, field.bytes!);
    else bytes.writeUIntLE(word, 0, field.bytes!);
    return bytes;
  }
  if (type === 'skip') return Buffer.alloc(field.length === 'rest' ? 0 : field.length!);
  if (type === 'bytes' || type === 'text') {
    const bytes = type === 'text' ? Buffer.from(String(value ?? '')) : value;
    if (!(bytes instanceof Uint8Array)) throw new StageFailure(`${name} must be binary`);
    if (field.length === 'rest') return Buffer.from(bytes);
    const isTooLong = bytes.length > field.length! || (type === 'bytes' && bytes.length < field.length!);
    if (isTooLong) throw new StageFailure(`${name} has ${bytes.length} bytes, and the layout ${field.length}`);
    return Buffer.concat([bytes, Buffer.alloc(field.length! - bytes.length)]);
  }
  if (typeof value !== 'number' && typeof value !== 'bigint') throw new StageFailure(`${name} must be a number`);
  return writeNumber(unscaled(value, field), type, endian, name);
}

function unscaled(value: number | bigint, { scale, offset, type }: Field): number | bigint {
  if (scale === undefined && offset === undefined) return value;
  const raw = (Number(value) - (offset ?? 0)) / (scale ?? 1);
  return type.startsWith('float') ? raw : Math.round(raw);
}

function writeNumber(value: number | bigint, type: NumberType, endian: 'big' | 'little', name: string): Buffer {
  const bytes = Buffer.alloc(numberBytes[type]);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const isLittle = endian === 'little';
  if (type === 'float32') view.setFloat32(0, Number(value), isLittle);
  else if (type === 'float64') view.setFloat64(0, Number(value), isLittle);
  else {
    const bits = numberBytes[type] * 8;
    const isSigned = type.startsWith('int');
    if (typeof value === 'number' && !Number.isInteger(value)) throw new StageFailure(`${name} must be a whole number`);
    const whole = BigInt(value);
    if ((isSigned ? BigInt.asIntN(bits, whole) : BigInt.asUintN(bits, whole)) !== whole) {
      throw new StageFailure(`${name} is ${value}, which ${type} cannot hold`);
    }
    for (let i = 0; i < bits / 8; i++) {
      const byte = Number((whole >> BigInt(8 * i)) & 255n);
      bytes[isLittle ? i : bits / 8 - 1 - i] = byte;
    }
  }
  return bytes;
}
