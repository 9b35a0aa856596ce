/**
 * Protocol Buffers, by protobufjs, from `.proto` files. Field names are as the file writes them; enumerations are their names;
 * 64-bit numbers beyond 2^53 are bigints; fields that are absent have their default.
 */
import Long from 'long';
import protobuf from 'protobufjs';
import { StageFailure } from '../errors.ts';
import type { Format } from './format.ts';

/** Throws an Error that says what is wrong with the file or the name. */
export function protobufFormat({ file, type }: { readonly file: string; readonly type: string }): Format {
  const root = new protobuf.Root().loadSync(file, { keepCase: true });
  return formatOf('protobuf', root.lookupType(type), true);
}

export function formatOf(name: string, type: protobuf.Type, hasDefaults: boolean): Format {
  return {
    kind: 'format',
    name,
    contentType: 'application/protobuf',
    isText: false,
    decode(bytes) {
      try {
        const message = type.decode(bytes);
        return fromLongs(type.toObject(message, { enums: String, defaults: hasDefaults }));
      } catch (error) {
        throw new StageFailure(`not a ${type.name}: ${(error as Error).message}`);
      }
    },
    encode(value, loss) {
      if (typeof value !== 'object' || value === null) throw new StageFailure(`a ${type.name} must be an object`);
      const strange = Object.keys(value).find((field) => type.fields[field] === undefined);
      if (strange !== undefined) loss(`the field ${strange} is not in ${type.name}`);
      const plain = toLongs(value) as Record<string, unknown>;
      try {
        const problem = type.verify(withEnumNumbers(type, plain));
        if (problem !== null) throw new StageFailure(`not a ${type.name}: ${problem}`);
        return Buffer.from(type.encode(type.fromObject(plain)).finish());
      } catch (error) {
        if (error instanceof StageFailure) throw error;
        throw new StageFailure(`not a ${type.name}: ${(error as Error).message}`);
      }
    },
  };
}

/** `verify` knows enumerations by number only. */
function withEnumNumbers(type: protobuf.Type, value: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(value).map(([name, each]) => {
    const resolved = type.fields[name]?.resolve().resolvedType;
    if (resolved instanceof protobuf.Enum && typeof each === 'string') return [name, resolved.values[each] ?? each];
    return [name, each];
  });
  return Object.fromEntries(entries);
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

function toLongs(value: unknown): unknown {
  if (typeof value === 'bigint') return Long.fromString(value.toString(), value > 0x7fffffffffffffffn);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(toLongs);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, toLongs(each)]));
}
