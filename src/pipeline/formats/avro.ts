/** Avro binary, one datum by itself, by avsc, from a schema file. 64-bit numbers beyond 2^53 are bigints. */
import avro from 'avsc';
import type { PipelineLimits } from '../../contracts/pipeline-settings.ts';
import { StageFailure } from '../errors.ts';
import { type Format, TooLarge } from './format.ts';
import type { SchemaFiles } from './schema-files.ts';

const isLong = (value: unknown) => {
  return typeof value === 'bigint' ? BigInt.asIntN(64, value) === value : Number.isSafeInteger(value);
};

/** The package's own refuses numbers that a float cannot hold. */
const longType = avro.types.LongType.__with({
  fromBuffer(bytes: Buffer) {
    const value = bytes.readBigInt64LE();
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  },
  toBuffer(value: number | bigint) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    return bytes;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: isLong,
  compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
});

/** Throws an Error that says what is wrong with the file. */
export function avroFormat({ file }: { readonly file: string }, limits: PipelineLimits, files: SchemaFiles): Format {
  const schema = JSON.parse(files.read(file)) as avro.Schema;
  const type = avro.Type.forSchema(schema, { registry: { long: longType } });
  return {
    kind: 'format',
    name: 'avro',
    contentType: 'application/avro',
    isText: false,
    decode(bytes) {
      try {
        new Scan(bytes, limits).skip(type, limits.depth);
        return plain(type.fromBuffer(bytes));
      } catch (error) {
        if (error instanceof TooLarge) throw error;
        throw new StageFailure(`not Avro by its schema: ${(error as Error).message}`);
      }
    },
    encode(value) {
      let problem = '';
      const isValid = type.isValid(value, {
        errorHook: (path: string[], any: unknown, wanted: avro.Type) => {
          problem ||= `${path.join('.') || 'the value'} is ${typeof any}, not ${wanted}`;
        },
      });
      if (!isValid) throw new StageFailure(`not Avro by its schema: ${problem}`);
      return type.toBuffer(value);
    },
  };
}

/** Records come as instances of classes that the package makes. */
function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
}

/** Of types that are always as long. */
const fixedBytes: Readonly<Record<string, number>> = { null: 0, boolean: 1, float: 4, double: 8 };

/**
 * Walks over a datum before anything is made of it: the package looks for as many elements as an array announces, also
 * where the payload has long ended, so six bytes could take all memory.
 */
class Scan {
  readonly #bytes: Buffer;
  readonly #limits: PipelineLimits;
  #at = 0;
  #items = 0;

  constructor(bytes: Buffer, limits: PipelineLimits) {
    this.#bytes = bytes;
    this.#limits = limits;
  }

  skip(type: avro.Type, depthLeft: number): void {
    if (depthLeft < 0) throw TooLarge.depth(this.#limits);
    this.#count(1);
    const { typeName } = type;
    if (fixedBytes[typeName] !== undefined) return this.#advance(fixedBytes[typeName]);
    if (typeName === 'bytes' || typeName === 'string') return this.#advance(this.#readLong());
    if (type instanceof avro.types.FixedType) return this.#advance(type.size);
    if (type instanceof avro.types.LogicalType) return this.skip(type.underlyingType, depthLeft);
    if (type instanceof avro.types.RecordType) {
      for (const field of type.fields) this.skip(field.type, depthLeft - 1);
    } else if (type instanceof avro.types.ArrayType) this.#skipBlocks(type.itemsType, false, depthLeft - 1);
    else if (type instanceof avro.types.MapType) this.#skipBlocks(type.valuesType, true, depthLeft - 1);
    else if (typeName.startsWith('union:')) {
      const branch = (type as avro.types.UnwrappedUnionType).types[this.#readLong()];
      if (branch === undefined) throw new Error('a union has no such branch');
      this.skip(branch, depthLeft);
    } else this.#readLong(); // int, long, enum
  }

  #skipBlocks(type: avro.Type, hasKeys: boolean, depthLeft: number): void {
    for (let count = this.#readLong(); count !== 0; count = this.#readLong()) {
      // A negative count is followed by the block's size.
      if (count < 0) this.#readLong();
      this.#count(Math.abs(count), 0);
      for (let i = 0; i < Math.abs(count); i++) {
        if (hasKeys) this.#advance(this.#readLong());
        this.skip(type, depthLeft);
      }
    }
  }

  /** Throws if so many more are too many; counts `added` of them. */
  #count(coming: number, added = coming): void {
    if (this.#items + coming > this.#limits.items) throw TooLarge.items(this.#limits);
    this.#items += added;
  }

  #advance(length: number): void {
    if (length < 0 || length > this.#bytes.length - this.#at) throw new Error('it ends too early');
    this.#at += length;
  }

  /** Zigzag, as whole as a float is; what is beyond is too large for a length anyway. */
  #readLong(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined || scale > 2 ** 63) throw new Error('it ends too early');
      value += (byte & 127) * scale;
      if (byte < 128) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
  }
}
