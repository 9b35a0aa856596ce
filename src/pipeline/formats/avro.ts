/** Avro binary, one datum by itself, by avsc, from a schema file. 64-bit numbers beyond 2^53 are bigints. */
import { readFileSync } from 'node:fs';
import avro from 'avsc';
import { StageFailure } from '../errors.ts';
import type { Format } from './format.ts';

const isWhole = (value: unknown) => typeof value === 'bigint' || Number.isSafeInteger(value);

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
  isValid: isWhole,
  compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
});

/** Throws an Error that says what is wrong with the file. */
export function avroFormat({ file }: { readonly file: string }): Format {
  const schema = JSON.parse(readFileSync(file, 'utf8')) as avro.Schema;
  const type = avro.Type.forSchema(schema, { registry: { long: longType } });
  return {
    kind: 'format',
    name: 'avro',
    contentType: 'application/avro',
    isText: false,
    decode(bytes) {
      try {
        return plain(type.fromBuffer(bytes));
      } catch (error) {
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
