/**
 * The edges of the formats: what docs/reference/pipeline.md says of losses, value by value. Random values are in
 * test/property/formats.test.ts.
 */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { schemas } from '../../support/formats.ts';
import { aPublish, benchWith, type StageInput } from '../../support/pipeline.ts';

type FormatInput = NonNullable<StageInput['decode']>;

const numbers = {
  protobuf: { protobuf: { file: join(schemas, 'numbers.proto'), type: 'Numbers' } },
  avro: { avro: { file: join(schemas, 'numbers.avsc') } },
  binary: {
    binary: {
      endian: 'big',
      fields: [
        { name: 'i64', type: 'int64' },
        { name: 'f64', type: 'float64' },
        { name: 'i32', type: 'int32' },
      ],
    },
  },
} as const satisfies Record<string, FormatInput>;
const all = { json: 'json', cbor: 'cbor', msgpack: 'msgpack', ...numbers } as const satisfies Record<
  string,
  FormatInput
>;
const names = Object.keys(all) as (keyof typeof all)[];

/** JSON, through another format, and JSON again: the text, or why not. And what was counted as a loss. */
async function through(format: FormatInput, json: string | Buffer): Promise<{ text: string; lossy: number }> {
  const bench = await benchWith([{ convert: { from: 'json', to: format } }, { convert: { from: format, to: 'json' } }]);
  const [message] = await bench.messages(aPublish(json));
  const lossy = bench.counters('1-convert').lossy! + bench.counters('2-convert').lossy!;
  return { text: message?.payload.toString() ?? (await bench.quarantined())[0]!.reason, lossy };
}

describe.each(names)('%s', (name) => {
  const format = all[name];

  test.each(['9223372036854775807', '-9223372036854775808', '9007199254740993', '-9007199254740993', '0', '-1'])(
    'keeps the 64-bit integer %s',
    async (digits) => {
      const json = `{"i64":${digits},"f64":0.5,"i32":1}`;
      expect(await through(format, json)).toEqual({ text: json, lossy: 0 });
    },
  );

  test.each(['1.7976931348623157e+308', '5e-324', '-0.1', '1e+21'])('keeps the float %s', async (digits) => {
    const json = `{"i64":1,"f64":${digits},"i32":1}`;
    expect(await through(format, json)).toEqual({ text: json, lossy: 0 });
  });
});

describe.each(['protobuf', 'avro', 'binary'] as const)('%s', (name) => {
  const bench = (stages: StageInput[]) => benchWith([...stages, { encode: numbers[name] }]);

  test.each([
    ['i64', '9223372036854775808'],
    ['i64', '-9223372036854775809'],
    ['i64', '1180591620717411303424'],
    ['i32', '2147483648'],
    ['i32', '-2147483649'],
    ['i32', '1.5'],
    ['i32', '"1"'],
    ['f64', 'true'],
  ])('refuses %s: %s instead of cutting it', async (field, digits) => {
    const fields = { i64: '1', f64: '1', i32: '1', [field]: digits };
    const json = `{${Object.entries(fields).map(([key, value]) => `"${key}":${value}`)}}`;
    const made = await bench([{ decode: 'json' }]);
    expect(await made.publish(aPublish(json))).toEqual({ verdict: 'drop' });
    expect((await made.quarantined())[0]?.reason).toMatch(new RegExp(`${field}|Numbers`));
  });

  test.each(['NaN', 'Infinity', '-Infinity'])('keeps %s', async (what) => {
    const plugin = { file: join(import.meta.dirname, '../../support/plugins/number.js'), options: { f64: what } };
    const made = await bench([{ plugin }]);
    const [message] = await made.messages(aPublish({ i64: 1, i32: 1 }));
    const told = await benchWith([{ convert: { from: numbers[name], to: 'json' } }]);
    expect(message).toBeDefined();
    expect((await told.messages(message!))[0]?.payload.toString()).toContain('"f64":null');
    expect(told.counters('1-convert').lossy).toBe(1);
  });
});

describe.each(['cbor', 'msgpack'] as const)('%s', (format) => {
  test.each([
    '18446744073709551615',
    '9007199254740992',
    '[]',
    '{}',
    '""',
    '[[],{},""]',
    '{"":null}',
    '{"a":{"a":{}}}',
  ])('keeps %s', async (json) => {
    expect(await through(format, json)).toEqual({ text: json, lossy: 0 });
  });

  test('reads a field called __proto__ under another name, and pollutes nothing', async () => {
    expect((await through(format, '{"__proto__":{"x":1},"a":1}')).text).toBe('{"__proto_":{"x":1},"a":1}');
    expect(({} as { x?: number }).x).toBeUndefined();
  });

  test('keeps text in every script, and beyond the basic plane', async () => {
    const json = JSON.stringify({ ключ: '温度 21 °C 🌡️ \u0000\u007f\u2028', '👩‍👧': 'é e\u0301' });
    expect(await through(format, json)).toEqual({ text: json, lossy: 0 });
  });
});

test('more than 64 bits are exact in CBOR, and a float in MessagePack, which is counted', async () => {
  expect(await through('cbor', '[1180591620717411303424]')).toEqual({ text: '[1180591620717411303424]', lossy: 0 });
  expect(await through('msgpack', '[1180591620717411303424]')).toEqual({ text: '[1.1805916207174113e+21]', lossy: 1 });
});

test.each([
  ['{"a":1,"a":2}', '{"a":2}'],
  ['{"a":1,"a":18446744073709551615}', '{"a":18446744073709551615}'],
  ['{"a":18446744073709551615,"a":2}', '{"a":2}'],
  ['{"__proto__":{"x":18446744073709551615}}', '{"__proto__":{"x":18446744073709551615}}'],
])('JSON %s is read as %s', async (json, read) => {
  const bench = await benchWith([{ decode: 'json' }, { encode: 'json' }]);
  expect((await bench.messages(aPublish(json)))[0]?.payload.toString()).toBe(read);
});

test('Protobuf knows enumerations by name also within messages and lists, and leaves out what its file has not', async () => {
  const format = { protobuf: { file: join(schemas, 'numbers.proto'), type: 'Plant' } };
  const json = '{"lines":[{"state":"ON"},{"state":"OFF"}],"by_name":{"a":{"state":"ON"}},"main":{"state":"ON"}}';
  expect(await through(format, json)).toEqual({ text: json, lossy: 0 });
  const strange = '{"lines":[{"state":"ON","colour":1}]}';
  expect(await through(format, strange)).toMatchObject({ text: expect.not.stringContaining('colour'), lossy: 1 });
  expect((await through(format, '{"main":{"state":"BROKEN"}}')).text).toContain('main.state');
});

test('a JSON Schema sees what JSON would have of a date, of binary, and of a large number', async () => {
  const properties = { d: { type: 'string' }, b: { type: 'string' }, n: { type: 'integer' } };
  const bench = await benchWith([{ decode: 'cbor' }, { validate: { jsonSchema: { properties } } }]);
  const payload = Buffer.from('a36164c11a514b67b06162420102616e1b7fffffffffffffff', 'hex');
  expect(await bench.publish(aPublish(payload))).toEqual({ verdict: 'keep' });
});

test('Sparkplug metrics without a type, as data messages have them, and arrays are written as they were read', async () => {
  const bench = await benchWith([{ decode: 'sparkplug' }, { set: { fields: { seq: 9 } } }, { encode: 'sparkplug' }]);
  const read = await benchWith([{ convert: { from: 'sparkplug', to: 'json' } }]);
  // Alias 1 with int_value 7; alias 2 with an Int16Array; alias 3 with a DateTime.
  const metrics = [
    '12 04 10 01 50 07',
    '12 0b 10 02 20 17 82 01 04 01 00 02 00',
    '12 0b 10 03 20 0d 58 80 d0 95 ff bc 31',
  ];
  const payload = (seq: number) => Buffer.from(`${metrics.join('')}18 0${seq}`.replaceAll(' ', ''), 'hex');
  expect((await bench.messages(aPublish(payload(1))))[0]?.payload).toEqual(payload(9));
  expect(JSON.parse((await read.messages(aPublish(payload(1))))[0]!.payload.toString())).toEqual({
    metrics: [
      { alias: 1, field: 'int_value', value: 7 },
      { alias: 2, type: 'Int16Array', value: 'AQACAA==' },
      { alias: 3, type: 'DateTime', value: expect.stringMatching(/^2023-/) },
    ],
    seq: 1,
  });
  const back = await benchWith([
    { convert: { from: 'sparkplug', to: 'json' } },
    { convert: { from: 'json', to: 'sparkplug' } },
  ]);
  expect((await back.messages(aPublish(payload(1))))[0]?.payload).toEqual(payload(1));
});
