/**
 * Payloads in every format that a pipeline reads, with the limits that it has. What could be read must be writable
 * again, the same way each time, and as JSON, which is what most pipelines make of it.
 */
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { Encoder } from 'cbor-x';
import { Packr } from 'msgpackr';
import { defaultPipelineLimits } from '../../../src/contracts/pipeline-settings.ts';
import { StageFailure } from '../../../src/pipeline/errors.ts';
import { assertWithin } from '../../../src/pipeline/formats/format.ts';
import { formatFor } from '../../../src/pipeline/formats/formats.ts';
import { json as jsonFormat } from '../../../src/pipeline/formats/json.ts';
import { bytesOf, must, type Target, wordsOf } from '../target.ts';
import { formatSettings } from './format-settings.ts';

/** Smaller than the defaults, so that they are met. */
const limits = { ...defaultPipelineLimits, items: 10_000, payloadBytes: 1_048_576 };
const json = jsonFormat(limits);

const reading = { id: 7, big: 2n ** 60n, ratio: 0.5, data: Buffer.of(1, 2, 3, 4), ok: true, list: [1, -2], name: 'ä' };
const values: readonly unknown[] = [
  null,
  -1,
  2 ** 40,
  1.5,
  'ä text',
  [1, [2, [3]], {}],
  { a: { b: { c: [true, false, null] } }, 'long name of a field': 2n ** 63n },
  { ...reading, mode: 'ON', length: 2 },
  [
    { a: '1', b: 'x,"y"' },
    { a: '2', b: '' },
  ],
  {
    timestamp: 1_700_000_000_000,
    seq: 3,
    metrics: [
      { name: 't', type: 'Int64', value: -5 },
      { name: 'd', value: true },
    ],
  },
  Array.from({ length: 100 }, (_, index) => ({ index, text: 'same text again' })),
];

/** Everything that the packages themselves can write, which is more than the pipeline does. */
const shared = { again: [1, 2, 3] };
const exotic = [
  new Map([[1, 2]]),
  new Set([1]),
  /a+/,
  new Error('e'),
  [shared, shared],
  new Float64Array(3),
  new Date(5),
];

function foreignSeeds(name: string): Uint8Array[] {
  const encoders: Readonly<Record<string, { encode(value: unknown): Uint8Array }>> = {
    cbor: new Encoder({ structuredClone: true, useRecords: true }),
    msgpack: new Packr({ structuredClone: true, moreTypes: true, useRecords: true }),
  };
  const encoder = encoders[name];
  const packed = { gzip: gzipSync, deflate: deflateSync, brotli: brotliCompressSync }[name];
  if (packed !== undefined) return [packed('x'), packed(Buffer.alloc(100_000)), packed(JSON.stringify(values[6], hex))];
  return encoder === undefined ? [] : [...exotic, ...values].map((value) => new Uint8Array(encoder.encode(value)));
}

const hex = (_: string, value: unknown) => (typeof value === 'bigint' ? value.toString(16) : value);

const tokens: Readonly<Record<string, readonly Uint8Array[]>> = {
  json: bytesOf(
    '[',
    '{',
    '"',
    ':',
    '1e999',
    '123456789012345678901234567890',
    '\\ud800',
    '"__proto__":',
    '-0',
    '[[[[[[[[',
  ),
  // Tags: dates, big numbers, shared values, sets, regular expressions; indefinite lengths.
  cbor: [0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xd8, 0xd9, 0x5f, 0x7f, 0x9f, 0xbf, 0xff]
    .map((byte) => Buffer.of(byte))
    .concat([28, 29, 25, 27, 39, 64, 82, 51, 53].map((tag) => Buffer.of(0xd8, tag)))
    .concat(Buffer.of(0xd8, 28, 0x82), Buffer.of(0xd8, 29, 0), Buffer.of(0xd9, 1, 2), Buffer.of(0xd9, 1, 3)),
  msgpack: [0x69, 0x70, 0x78, 0x65, 0x73, 0x74, 0x72, 0xff].flatMap((type) => [
    Buffer.of(0xd4, type, 0),
    Buffer.of(0xd6, type, 0, 0, 0, 1),
    Buffer.of(0xc7, 2, type, 0, 1),
  ]),
  csv: bytesOf('"', '""', ',', '\n', '\r\n', '\ufeff', '__proto__,'),
};

export function formatTarget(name: string): Target {
  const format = formatFor(formatSettings[name]!, limits, []);
  const own = values.flatMap((value) => {
    try {
      if (format.kind === 'bytes') return [format.encode(Buffer.from(JSON.stringify(value, hex)))];
      return [format.encode(value, () => {})];
    } catch {
      return []; // not every format has every value
    }
  });
  const ignored = () => {};
  return {
    name,
    seeds: [...own, ...foreignSeeds(name)].map((bytes) => new Uint8Array(bytes)),
    tokens: tokens[name] ?? [],
    bytesMax: 300_000,
    run(input) {
      try {
        if (format.kind === 'bytes') {
          const bytes = format.decode(input);
          must(bytes.length <= limits.payloadBytes || name === 'base64', `${bytes.length} bytes are more than allowed`);
          must(format.decode(format.encode(bytes)).equals(bytes), 'what was written is not what is read');
          return `${Math.floor(Math.log2(bytes.length + 1))} binary digits of bytes`;
        }
        const value = format.decode(input);
        assertWithin(value, limits);
        // The first writing may lose what the format lacks; from there on it is the same each time.
        const written = format.encode(format.decode(format.encode(value, ignored)), ignored);
        must(format.encode(format.decode(written), ignored).equals(written), 'written twice it is not the same');
        json.encode(value, ignored);
        return shapeOf(value, 2);
      } catch (error) {
        if (error instanceof StageFailure) return wordsOf(error).split(' ').slice(0, 5).join(' ');
        throw error;
      }
    },
  };
}

function shapeOf(value: unknown, depth: number): string {
  if (typeof value !== 'object' || value === null) return typeof value;
  const name = value.constructor?.name ?? 'null';
  if (depth === 0 || ArrayBuffer.isView(value)) return name;
  return `${name}(${[
    ...new Set(
      Object.values(value)
        .slice(0, 3)
        .map((each) => shapeOf(each, depth - 1)),
    ),
  ]})`;
}
