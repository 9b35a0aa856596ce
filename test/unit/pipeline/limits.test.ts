/** Payloads made to take more than they are worth: each stops at what is declared, before it is built in memory. */
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { schemas } from '../../support/formats.ts';
import { aClient, aPublish, benchWith, type StageInput } from '../../support/pipeline.ts';

const avro: StageInput = { decode: { avro: { file: join(schemas, 'tree.avsc') } } };
const proto = (type: string, file = 'numbers.proto'): StageInput => {
  return { decode: { protobuf: { file: join(schemas, file), type } } };
};
const many = (n: number) => Array.from({ length: n }, () => 1);

/** Some end in the middle of something, which only who reads on would find. */
const payloads: readonly [what: string, stage: StageInput, payload: Buffer, reason: string][] = [
  ['a decompression bomb', { decode: 'gzip' }, gzipSync(Buffer.alloc(10_000_000)), 'decompresses to more than 100000'],
  ['a large payload', { decode: 'text' }, Buffer.alloc(100_001), 'the payload has 100001 bytes'],
  ['deep nesting in JSON', { decode: 'json' }, Buffer.from(`${'['.repeat(500)}${']'.repeat(500)}`), 'deeper than 8'],
  ['deep nesting in CBOR', { decode: 'cbor' }, Buffer.alloc(500, 0x81), 'deeper than 8'],
  ['deep nesting of tags in CBOR', { decode: 'cbor' }, Buffer.alloc(500, 0xc2), 'deeper than 8'],
  ['deep nesting in MessagePack', { decode: 'msgpack' }, Buffer.from(`${'91'.repeat(500)}01`, 'hex'), 'deeper than 8'],
  ['deep nesting in Avro', avro, Buffer.from(`${'02'.repeat(500)}00`, 'hex'), 'deeper than 8'],
  ['many parts in JSON', { decode: 'json' }, Buffer.from(JSON.stringify(many(2_000))), 'more than 1000 parts'],
  ['many empty lists in JSON', { decode: 'json' }, Buffer.from(`[${'[],'.repeat(2_000)}1]`), 'more than 1000 parts'],
  ['many lists in CBOR', { decode: 'cbor' }, Buffer.from(`9f${'8101'.repeat(2_000)}ff`, 'hex'), 'more than 1000 parts'],
  [
    'many parts in MessagePack',
    { decode: 'msgpack' },
    Buffer.from(`dc07d0${'01'.repeat(2_000)}`, 'hex'),
    'more than 1000',
  ],
  ['many rows in CSV', { decode: 'csv' }, Buffer.from(`a\n${'1\n'.repeat(2_000)}"`), 'more than 1000 parts'],
  ['many cells in CSV', { decode: 'csv' }, Buffer.from(`${','.repeat(2_000)}"`), 'more than 1000 parts'],
  ['rows without a field in common, to CSV', { encode: 'csv' }, strangers(30, 20), 'more than 1000 parts'],
  ['an array of 100 million in CBOR', { decode: 'cbor' }, Buffer.from('9a05f5e10001', 'hex'), 'it ends too early'],
  ['a text of 2^63 bytes in CBOR', { decode: 'cbor' }, Buffer.from('7b800000000000000061', 'hex'), 'not CBOR'],
  [
    'an array of 100 million in MessagePack',
    { decode: 'msgpack' },
    Buffer.from('dd05f5e10001', 'hex'),
    'ends too early',
  ],
  ['an array of 100 million in Avro', avro, Buffer.from('80a8d6b90702', 'hex'), 'more than 1000 parts'],
  [
    'many metrics in Sparkplug',
    { decode: 'sparkplug' },
    Buffer.from(`${'1200'.repeat(2_000)}12`, 'hex'),
    'more than 1000 parts',
  ],
  [
    'deep nesting in Sparkplug',
    { decode: 'sparkplug' },
    Buffer.concat([nestedTemplates(20), Buffer.of(0x12)]),
    'deeper than 8',
  ],
  ['many messages in Protobuf', proto('Plant'), Buffer.from(`${'0a00'.repeat(700)}0a`, 'hex'), 'more than 1000 parts'],
  [
    'a packed list in Protobuf',
    proto('Reading', 'reading.proto'),
    Buffer.concat([packedList(2_000), Buffer.of(0x32)]),
    'more than 1000 parts',
  ],
  [
    'a list in Protobuf',
    proto('Reading', 'reading.proto'),
    Buffer.from(`${'3001'.repeat(2_000)}30`, 'hex'),
    'more than 1000 parts',
  ],
  ['a map in Protobuf', proto('Plant'), Buffer.from(`${'1a021200'.repeat(700)}1a`, 'hex'), 'more than 1000 parts'],
  ['a value in CBOR that contains itself', { decode: 'cbor' }, Buffer.from('d81c81d81d00', 'hex'), 'tag 28'],
  ['a value in CBOR that doubles with every step', { decode: 'cbor' }, doubling(), 'tag 28'],
  ['a record in CBOR that is compiled', { decode: 'cbor' }, Buffer.from('d869830181616101', 'hex'), 'tag 105'],
  ['a reference in MessagePack', { decode: 'msgpack' }, Buffer.from('d66900000001', 'hex'), 'extension type 105'],
  [
    'a number of 10,000 digits in JSON',
    { decode: 'json' },
    Buffer.from('9'.repeat(10_000)),
    'a number of 10000 digits',
  ],
  [
    'a big number of 10,000 bytes in CBOR',
    { decode: 'cbor' },
    Buffer.concat([Buffer.from('c2592710', 'hex'), Buffer.alloc(10_000, 0x55)]),
    'a number of 10000 bytes',
  ],
  ['a record in MessagePack', { decode: 'msgpack' }, Buffer.from('d4724092a161a162', 'hex'), 'extension type 114'],
];

/** `[a, a]`, where `a` is `[b, b]`, and so on 30 times: a hundred bytes, a billion parts. */
function doubling(): Buffer {
  let hex = '01';
  for (let i = 0; i < 30; i++) hex = `82d81c${hex}d81d${i.toString(16).padStart(2, '0')}`;
  return Buffer.from(hex, 'hex');
}

function packedList(elements: number): Buffer {
  const length = Buffer.from([0x32, (elements & 127) | 128, elements >> 7]);
  return Buffer.concat([length, Buffer.alloc(elements, 1)]);
}

/** A metric with a template with a metric, and so on. */
function nestedTemplates(depth: number): Buffer {
  let inner = Buffer.alloc(0);
  const sized = (tag: number[], bytes: Buffer) => Buffer.from([...tag, bytes.length, ...bytes]);
  for (let i = 0; i < depth; i++) inner = sized([0x12], sized([0x92, 0x01], inner));
  return inner;
}

/** Objects that have no field in common: 600 fields make a table of 18,000 cells. */
function strangers(rows: number, fields: number): Buffer {
  const row = (number: number) => Object.fromEntries(many(fields).map((value, field) => [`${number}.${field}`, value]));
  return Buffer.from(JSON.stringify(many(rows).map((_, index) => row(index))));
}

describe.each(payloads)('%s', (_what, stage, payload, reason) => {
  test('stops at what is declared', async () => {
    const bench = await benchWith([stage], { depth: 8, items: 1_000, payloadBytes: 100_000 });
    expect(await bench.publish(aPublish(payload))).toEqual({ verdict: 'drop' });
    expect((await bench.quarantined())[0]?.reason).toContain(reason);
  });
});

test('what has just as many parts as it may have is taken', async () => {
  const limits = { depth: 8, items: 1_000, payloadBytes: 100_000 };
  const list = await benchWith([proto('Reading', 'reading.proto')], limits);
  // The message, and its eight fields.
  expect(await list.publish(aPublish(packedList(1_000 - 1 - 8)))).toEqual({ verdict: 'keep' });
  const lines = await benchWith([proto('Plant')], limits);
  // The message, its list and its map; of each line itself and its state.
  expect(await lines.publish(aPublish(Buffer.from('0a00'.repeat(498), 'hex')))).toEqual({ verdict: 'keep' });
});

test('a text that is almost all NUL takes no longer than another', async () => {
  const fields = [{ name: 't', type: 'text' as const, length: 'rest' as const }];
  const bench = await benchWith([{ decode: { binary: { fields } } }, { encode: 'json' }]);
  const times = ['x', '\0'].map((filling) => async () => {
    const payload = Buffer.from(`${filling.repeat(200_000)}x`);
    const { user } = process.cpuUsage();
    await bench.publish(aPublish(payload));
    return process.cpuUsage({ user, system: 0 }).user;
  });
  const [plain, padded] = [await times[0]!(), await times[1]!()];
  // It took half a minute, where the other took a millisecond.
  expect(padded).toBeLessThan(plain + 2_000_000);
  const [message] = await bench.messages(aPublish(Buffer.from('ab\0\0')));
  expect(message?.payload.toString()).toBe('{"t":"ab"}');
});

test('a client that asks for formats that there are not fills no log', async () => {
  const bench = await benchWith([{ decode: 'json' }]);
  const ask = (format: string) => bench.pipelines.classify(aClient, format);
  for (let i = 0; i < 100; i++) expect(await ask(`x/${'y'.repeat(60_000)}`)).toBeNull();
  expect(bench.warnings).toHaveLength(1);
  expect(bench.warnings[0]!.length).toBeLessThan(2_000);
  bench.now += 60_000;
  await ask('x/z');
  expect(bench.warnings).toHaveLength(3);
  expect(bench.warnings[1]).toMatch(/^and 99 more such lines; the last: accept: /);
  expect(bench.warnings[1]!.length).toBeLessThan(2_000);
});

test('what a stage makes of a value stays within the limits as well', async () => {
  const limits = { depth: 8, items: 1_000, payloadBytes: 100_000 };
  const parts = await benchWith([{ map: '[1..2000]' }], limits);
  await parts.publish(aPublish({}));
  expect((await parts.quarantined())[0]?.reason).toContain('more than 1000 parts');
  const bytes = await benchWith([{ map: '$pad("", 200000)' }], limits);
  await bytes.publish(aPublish({}));
  expect((await bytes.quarantined())[0]?.reason).toContain('became 200002 bytes');
});

test('sets, maps, typed arrays, tags and undefined in CBOR become plain values', async () => {
  const bench = await benchWith([{ convert: { from: 'cbor', to: 'json' } }]);
  const hex = `a5 61 61 d9 0102 82 01 02  61 62 d9 0103 a1 01 02  61 63 d8 45 44 0100 0200  61 64 d9 d9f7 05  61 65 f7`;
  const [message] = await bench.messages(aPublish(Buffer.from(hex.replaceAll(' ', ''), 'hex')));
  expect(message?.payload.toString()).toBe('{"a":[1,2],"b":{"1":2},"c":[1,2],"d":5,"e":null}');
});
