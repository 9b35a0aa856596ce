/**
 * Protocol Buffers, by protobufjs, from `.proto` files. Field names are as the file writes them; enumerations are their
 * names; 64-bit numbers beyond 2^53 are bigints; fields that are absent have their default.
 */
import Long from 'long';
import protobuf from 'protobufjs';
import type { PipelineLimits } from '../../contracts/pipeline-settings.ts';
import { StageFailure } from '../errors.ts';
import { type Format, type ReportLoss, TooLarge } from './format.ts';
import { ProtobufScan } from './protobuf-scan.ts';
import type { SchemaFiles } from './schema-files.ts';

/** Two bytes can be a message with all its fields, which the package takes microseconds for. */
const protobufLoopBytes = 512;

/** Throws an Error that says what is wrong with the file or the name. */
export function protobufFormat(
  { file, type }: { readonly file: string; readonly type: string },
  limits: PipelineLimits,
  files: SchemaFiles,
): Format {
  return formatOf('protobuf', files.loadProto(file).lookupType(type), true, limits);
}

export function formatOf(name: string, type: protobuf.Type, hasDefaults: boolean, limits: PipelineLimits): Format {
  const scan = new ProtobufScan(hasDefaults, limits);
  return {
    kind: 'format',
    name,
    contentType: 'application/protobuf',
    isText: false,
    loopBytes: protobufLoopBytes,
    decode(bytes) {
      try {
        scan.check(type, bytes);
        const message = type.decode(bytes);
        return fromLongs(type.toObject(message, { enums: String, defaults: hasDefaults }));
      } catch (error) {
        if (error instanceof TooLarge) throw error;
        throw new StageFailure(`not a ${type.name}: ${(error as Error).message}`);
      }
    },
    encode(value, loss) {
      const prepared = prepare(type, value, '', loss);
      const problem = type.verify(prepared);
      if (problem !== null) throw new StageFailure(`not a ${type.name}: ${problem}`);
      return Buffer.from(type.encode(type.fromObject(prepared)).finish());
    },
  };
}

/** Absent messages are null after reading, and stay absent. */
function fromLongs(value: unknown): unknown {
  if (Long.isLong(value)) {
    const { unsigned } = value;
    const whole = BigInt.asUintN(64, BigInt(value.toString()));
    const number = unsigned ? whole : BigInt.asIntN(64, whole);
    return number >= Number.MIN_SAFE_INTEGER && number <= Number.MAX_SAFE_INTEGER ? Number(number) : number;
  }
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(fromLongs);
  const entries = Object.entries(value).filter(([, each]) => each !== null && each !== undefined);
  return Object.fromEntries(entries.map(([name, each]) => [name, fromLongs(each)]));
}

type Fields = Record<string, unknown>;

/** Bits of whole numbers, and whether they have a sign. The package writes what does not fit without its upper bits. */
const wholeTypes: Readonly<Record<string, readonly [bits: 32 | 64, isSigned: boolean]>> = {
  int32: [32, true],
  sint32: [32, true],
  sfixed32: [32, true],
  uint32: [32, false],
  fixed32: [32, false],
  int64: [64, true],
  sint64: [64, true],
  sfixed64: [64, true],
  uint64: [64, false],
  fixed64: [64, false],
};

/**
 * The value as the package wants it: enumerations by number, large numbers as Longs. Throws a StageFailure for what
 * does not fit.
 */
function prepare(type: protobuf.Type, value: unknown, path: string, loss: ReportLoss): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new StageFailure(`not a ${type.name}: ${path || 'the value'} must be an object`);
  }
  const prepared: Fields = {};
  for (const [name, each] of Object.entries(value)) {
    const field = Object.hasOwn(type.fields, name) ? type.fields[name] : undefined;
    const at = path === '' ? name : `${path}.${name}`;
    if (field === undefined) loss(`the field ${at} is not in ${type.name}`);
    else if (each !== null && each !== undefined) prepared[name] = prepareField(field.resolve(), each, at, loss);
  }
  return prepared;
}

function prepareField(field: protobuf.Field, value: unknown, path: string, loss: ReportLoss): unknown {
  if (field.repeated && Array.isArray(value)) {
    return value.map((each, index) => prepareOne(field, each, `${path}.${index}`, loss));
  }
  if (field.map && typeof value === 'object' && value !== null) {
    const entries = Object.entries(value);
    return Object.fromEntries(entries.map(([key, each]) => [key, prepareOne(field, each, `${path}.${key}`, loss)]));
  }
  return prepareOne(field, value, path, loss);
}

function prepareOne(field: protobuf.Field, value: unknown, path: string, loss: ReportLoss): unknown {
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Type) return prepare(resolvedType, value, path, loss);
  if (resolvedType instanceof protobuf.Enum) {
    return typeof value === 'string' && Object.hasOwn(resolvedType.values, value) ? resolvedType.values[value] : value;
  }
  const whole = wholeTypes[field.type];
  if (whole === undefined || (typeof value !== 'bigint' && !Number.isInteger(value))) return value;
  const [bits, isSigned] = whole;
  const number = BigInt(value as number | bigint);
  if ((isSigned ? BigInt.asIntN(bits, number) : BigInt.asUintN(bits, number)) !== number) {
    throw new StageFailure(`${path} is ${number}, which ${field.type} cannot hold`);
  }
  return bits === 64 ? Long.fromString(number.toString(), !isSigned) : Number(number);
}
