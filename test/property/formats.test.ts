/**
 * Between every two formats, a value that both have survives the way there and back: 64-bit integers, dates and binary
 * included. What a format lacks is written as the documented nearest thing, and counted as a loss.
 */
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ConfigInput } from '../../src/config/schema.ts';
import { readingFormats } from '../support/formats.ts';
import { aPublish, benchWith, jsonOf } from '../support/pipeline.ts';

type FormatInput = NonNullable<NonNullable<ConfigInput['pipelines']>[number]['stages'][number]['decode']>;

const formats = {
  ...readingFormats,
  text: 'text',
  binary: {
    binary: {
      endian: 'little',
      fields: [
        { name: 'id', type: 'int32' },
        { name: 'big', type: 'int64' },
        { name: 'ratio', type: 'float64' },
        { name: 'data', type: 'bytes', length: 4 },
        { name: 'bits', type: 'bits', bytes: 1, bits: [{ name: 'ok', at: 3 }] },
        { name: 'length', type: 'uint8' },
        { name: 'list', type: 'int16', repeat: 'length' },
        { name: 'name', type: 'text', length: 'rest' },
      ],
    },
  },
} as const satisfies Record<string, FormatInput>;

type Name = keyof typeof formats;

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
/** A number as JavaScript has it: beyond 2^53 a bigint. */
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(toNumber);
/** Without whole floats beyond 2^53, which JSON cannot tell from integers and gives back as those. */
const double = fc
  .double({ noNaN: true, noDefaultInfinity: true })
  .filter((value) => !Object.is(value, -0) && (!Number.isInteger(value) || Number.isSafeInteger(value)));
const number = fc.oneof(fc.maxSafeInteger(), int64, double);
/** Of whole seconds: the formats keep at least those. */
const date = fc.date({ min: new Date(0), max: new Date(2 ** 32 * 1000), noInvalidDate: true }).map((each) => {
  return new Date(Math.floor(each.getTime() / 1000) * 1000);
});
const binary = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes));

function toNumber(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

function tree(leaf: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc.letrec((tie) => ({
    value: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('value'), { maxLength: 4 }), tie('object')),
    object: fc.dictionary(
      text.filter((key) => key !== '__proto__'),
      tie('value'),
      { maxKeys: 4, noNullPrototype: true },
    ),
  })).object;
}

const plainLeaf = fc.oneof(fc.constant(null), fc.boolean(), number, text);

const record = (withBytes: boolean, withEnum: boolean) => {
  const common = {
    id: fc.integer(),
    big: int64,
    ratio: double,
    ok: fc.boolean(),
    list: fc.array(fc.integer({ min: -32_768, max: 32_767 }), { maxLength: 5 }),
    name: text.filter((each) => !each.includes('\0')),
  };
  const bytes = withBytes
    ? { data: fc.uint8Array({ minLength: 4, maxLength: 4 }).map((each) => Buffer.from(each)) }
    : {};
  const mode = withEnum ? { mode: fc.constantFrom('OFF', 'ON') } : {};
  return fc.record({ ...common, ...bytes, ...mode });
};

const metric = fc.oneof(
  fc.record({ name: text, type: fc.constant('Int32'), value: fc.integer() }),
  fc.record({ name: text, type: fc.constant('Int64'), value: int64 }),
  fc.record({
    name: text,
    type: fc.constant('UInt64'),
    value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(toNumber),
  }),
  fc.record({ name: text, type: fc.constant('Double'), value: double }),
  fc.record({ name: text, type: fc.constant('Boolean'), value: fc.boolean() }),
  fc.record({ name: text, type: fc.constant('String'), value: text }),
  fc.record({ name: text, type: fc.constant('Float'), value: fc.constant(null) }),
);

/** Kinds of values, and which formats have them. */
const shared: readonly { what: string; formats: readonly Name[]; values: fc.Arbitrary<unknown> }[] = [
  { what: 'a text', formats: ['json', 'cbor', 'msgpack', 'text'], values: text },
  { what: 'JSON-like trees with 64-bit integers', formats: ['json', 'cbor', 'msgpack'], values: tree(plainLeaf) },
  {
    what: 'trees with binary and dates',
    formats: ['cbor', 'msgpack'],
    values: tree(fc.oneof(plainLeaf, binary, date)),
  },
  { what: 'records', formats: ['json', 'cbor', 'msgpack'], values: record(false, false) },
  {
    what: 'records with binary and names',
    formats: ['cbor', 'msgpack', 'protobuf', 'avro'],
    values: record(true, true),
  },
  {
    what: 'records as raw bytes have them',
    formats: ['cbor', 'msgpack', 'binary'],
    values: record(true, false).map((each) => ({ ...each, length: each.list.length })),
  },
  {
    what: 'rows',
    formats: ['json', 'cbor', 'msgpack', 'csv'],
    values: fc.array(fc.record({ a: text.filter((each) => each !== ''), 'b c': text }), { minLength: 1, maxLength: 4 }),
  },
  {
    what: 'Sparkplug metrics',
    formats: ['json', 'cbor', 'msgpack', 'sparkplug'],
    values: fc.record({
      timestamp: fc.nat(),
      seq: fc.integer({ min: 0, max: 255 }),
      metrics: fc.array(metric, { maxLength: 3 }),
    }),
  },
];

for (const { what, formats: names, values } of shared) {
  describe(what, () => {
    for (const from of names) {
      for (const to of names) {
        test(`${from} to ${to} and back`, async () => {
          const there = await benchWith([{ convert: { from: formats[from], to: formats[to] } }]);
          const back = await benchWith([{ convert: { from: formats[to], to: formats[from] } }]);
          await fc.assert(
            fc.asyncProperty(values, async (value) => {
              const payload = await encoded(formats[from], value);
              const [converted] = await there.messages(aPublish(payload));
              const [returned] = await back.messages(aPublish(converted!.payload));
              expect(await decoded(formats[from], returned!.payload)).toEqual(value);
              expect(await decoded(formats[to], converted!.payload)).toEqual(value);
            }),
            { numRuns: 60 },
          );
        });
      }
    }
  });
}

/** A plugin reads and writes the value itself, so that no format has to be trusted for the other. */
const benches = new Map<string, ReturnType<typeof benchWith>>();
const slot: { value: unknown } = ((globalThis as { slot?: { value: unknown } }).slot ??= { value: undefined });
const give = join(import.meta.dirname, '../support/plugins/give.js');
const take = join(import.meta.dirname, '../support/plugins/take.js');

function bench(key: string, make: () => ReturnType<typeof benchWith>) {
  let found = benches.get(key);
  if (found === undefined) benches.set(key, (found = make()));
  return found;
}

async function encoded(format: FormatInput, value: unknown): Promise<Buffer> {
  slot.value = value;
  const made = await bench(`encode ${JSON.stringify(format)}`, () =>
    benchWith([{ plugin: { file: give } }, { encode: format }]),
  );
  const [message] = await made.messages(aPublish('null'));
  if (message === undefined) throw new Error((await made.quarantined()).at(-1)?.reason);
  return message.payload;
}

async function decoded(format: FormatInput, payload: Buffer): Promise<unknown> {
  const made = await bench(`decode ${JSON.stringify(format)}`, () =>
    benchWith([{ decode: format }, { plugin: { file: take } }]),
  );
  await made.messages(aPublish(payload));
  return slot.value;
}

describe('losses', () => {
  test('JSON writes binary as base64, dates as text, NaN as null, and says so', async () => {
    const payload = await encoded('cbor', { b: Buffer.from('hi'), d: new Date(0), n: Number.NaN, ok: 1 });
    const made = await benchWith([{ convert: { from: 'cbor', to: 'json' } }]);
    const [message] = await made.messages(aPublish(payload));
    expect(jsonOf(message)).toEqual({ b: 'aGk=', d: '1970-01-01T00:00:00.000Z', n: null, ok: 1 });
    expect(made.counters('1-convert')).toMatchObject({ lossy: 3 });
  });

  test('a field that a .proto file does not have is left out, and counted', async () => {
    const made = await benchWith([{ convert: { from: 'json', to: formats.protobuf } }]);
    await made.messages(aPublish({ id: 1, strange: 2 }));
    expect(made.counters('1-convert')).toMatchObject({ out: 1, lossy: 1 });
  });

  test('MessagePack writes whole numbers of more than 64 bits as floats, and says so', async () => {
    const made = await benchWith([{ convert: { from: 'cbor', to: 'msgpack' } }]);
    await made.messages(aPublish(await encoded('cbor', { n: 2n ** 70n })));
    expect(made.counters('1-convert')).toMatchObject({ out: 1, lossy: 1 });
  });
});

test('what is not of a format fails, whatever the bytes', async () => {
  const all = await Promise.all(
    Object.values(formats).map((format) => benchWith([{ decode: format }, { encode: 'json' }])),
  );
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (bytes) => {
      // It passes or fails; it never throws out of the pipeline.
      for (const each of all) await each.publish(aPublish(Buffer.from(bytes)));
    }),
    { numRuns: 300 },
  );
});
