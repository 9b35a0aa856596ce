/** Payloads as text for whoever looks on: what is read as what, and what cannot be read. */
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { CommandFailure } from '../../../src/contracts/failures.ts';
import type { Decode, PayloadView, ReadableMessage } from '../../../src/contracts/payloads.ts';
import { defaultPipelineLimits, type FormatSettings } from '../../../src/contracts/pipeline-settings.ts';
import { Decoding } from '../../../src/pipeline/decoding.ts';
import { formatFor } from '../../../src/pipeline/formats/formats.ts';
import { schemas } from '../../support/formats.ts';

const protobuf = { file: join(schemas, 'reading.proto'), type: 'plant.Reading' };
const avro = { file: join(schemas, 'reading.avsc') };
const warnings: string[] = [];
const decoding = new Decoding({
  schemas: [
    { name: 'reading', topics: ['readings/#'], protobuf },
    { name: 'reading', topics: [], avro },
  ],
  limits: defaultPipelineLimits,
  warn: (what) => warnings.push(what),
});
afterAll(() => decoding.close());

type Given = Partial<ReadableMessage> | Buffer | string;

const messageOf = (given: Given): ReadableMessage => {
  const fields = typeof given === 'string' || Buffer.isBuffer(given) ? { payload: Buffer.from(given) } : given;
  return { topic: 'a', payload: Buffer.alloc(0), contentType: undefined, payloadFormatIndicator: undefined, ...fields };
};
const read = async (decode: Decode, given: Given): Promise<PayloadView> =>
  decoding.reader(decode, 'test')(messageOf(given));

const encode = (settings: FormatSettings, value: unknown): Buffer => {
  const format = formatFor(settings, defaultPipelineLimits, []);
  if (format.kind !== 'format') throw new Error('expected a format');
  return format.encode(value, () => {});
};

const reading = { id: 7, big: 2n ** 60n, ratio: 0.5, data: Buffer.of(1, 2, 3, 4), ok: true, list: [1, -2], name: 'ä' };
const asJson = '{"id":7,"big":1152921504606846976,"ratio":0.5,"data":"AQIDBA==","ok":true,"list":[1,-2],"name":"ä"}';
const metrics = { timestamp: 1, seq: 3, metrics: [{ name: 't', type: 'Int64', value: -5 }] };

describe('a payload', () => {
  test.each<[Decode, FormatSettings]>([
    ['cbor', 'cbor'],
    ['msgpack', 'msgpack'],
  ])('of %s is given as JSON text, with all digits of its numbers', async (decode, settings) => {
    const view = await read(decode, encode(settings, reading));
    expect(view).toEqual({ payload: asJson, encoding: 'json', format: decode, decodeError: null });
  });

  test.each<[Decode, FormatSettings]>([
    ['protobuf:reading', { protobuf }],
    ['avro:reading', { avro }],
  ])('of %s is read by the schema of that name', async (decode, settings) => {
    const view = await read(decode, encode(settings, { ...reading, mode: 'ON' }));
    expect(view).toMatchObject({ encoding: 'json', format: decode, decodeError: null });
    expect(view.payload).toContain('"big":1152921504606846976');
    expect(JSON.parse(view.payload)).toMatchObject({ id: 7, mode: 'ON', data: 'AQIDBA==' });
  });

  test('of Sparkplug is given as a person would write it', async () => {
    const view = await read('sparkplug', encode('sparkplug', metrics));
    expect(JSON.parse(view.payload)).toEqual(metrics);
  });

  test('is given in hexadecimal digits, in base64 or as text to who asks for that', async () => {
    const none = { format: null, decodeError: null };
    expect(await read('hex', 'hi')).toEqual({ payload: '6869', encoding: 'hex', ...none });
    expect(await read('base64', 'hi')).toEqual({ payload: 'aGk=', encoding: 'base64', ...none });
    expect(await read('text', 'hi')).toEqual({ payload: 'hi', encoding: 'text', format: 'text', decodeError: null });
  });

  test.each<[Decode, Given, RegExp]>([
    ['json', '{"a":', /^not JSON: /],
    ['json', Buffer.of(0xff), /^not JSON: the payload is not valid UTF-8$/],
    ['cbor', Buffer.of(0x82, 1), /^not CBOR: /],
    ['msgpack', Buffer.of(0xc1), /^not MessagePack: /],
    ['sparkplug', Buffer.of(0x0a, 0xff), /^not a Payload: /],
    ['protobuf:reading', Buffer.of(0xff), /^not a Reading: /],
    ['avro:reading', Buffer.of(1), /^not Avro by its schema: /],
    ['text', Buffer.of(0xff), /^not text: the payload is not valid UTF-8$/],
    ['json', Buffer.alloc(1_048_577, '1'), /^it has 1048577 bytes; payloads of up to 1048576 are read$/],
    ['json', '['.repeat(100) + ']'.repeat(100), /^the value is nested deeper than 64/],
    // Five bytes that announce four thousand million elements.
    ['msgpack', Buffer.of(0xdd, 0xff, 0xff, 0xff, 0xff), /^not MessagePack: it ends too early$/],
    ['cbor', Buffer.of(0x9a, 0xff, 0xff, 0xff, 0xff), /^not CBOR: it ends too early$/],
  ])('that cannot be read as %s is given in base64 with the reason', async (decode, given, reason) => {
    const { payload } = messageOf(given);
    const view = await read(decode, given);
    expect(view).toMatchObject({ payload: payload.toString('base64'), encoding: 'base64', format: null });
    expect(view.decodeError).toMatch(reason);
  });

  test('by a schema that there is not is refused at once', () => {
    expect(() => decoding.reader('protobuf:other', 'test')).toThrow(CommandFailure);
    expect(() => decoding.reader('avro:other', 'test')).toThrow('There is no schema avro:other');
  });
});

describe('auto', () => {
  const deep = { a: [1, 2.5, 'x'] };
  test.each<[string, Given, Partial<PayloadView>]>([
    ['JSON', '{"a": 1}', { payload: '{"a":1}', encoding: 'json', format: 'json' }],
    ['a number', '21.5', { payload: '21.5', encoding: 'json', format: 'json' }],
    ['text', 'on', { payload: 'on', encoding: 'text', format: 'text' }],
    ['text that begins as JSON', '[WARN] hot', { payload: '[WARN] hot', encoding: 'text', format: 'text' }],
    ['nothing', '', { payload: '', encoding: 'text', format: 'text' }],
    ['CBOR', encode('cbor', deep), { payload: '{"a":[1,2.5,"x"]}', encoding: 'json', format: 'cbor' }],
    ['MessagePack', encode('msgpack', deep), { payload: '{"a":[1,2.5,"x"]}', encoding: 'json', format: 'msgpack' }],
    [
      'CBOR by its Content Type',
      { payload: encode('cbor', 5), contentType: 'application/cbor' },
      { payload: '5', format: 'cbor' },
    ],
    [
      'Sparkplug by its topic',
      { topic: 'spBv1.0/plant/NDATA/edge', payload: encode('sparkplug', metrics) },
      { encoding: 'json', format: 'sparkplug' },
    ],
    ['the state of a Sparkplug host', { topic: 'spBv1.0/STATE/h', payload: Buffer.from('{}') }, { format: 'json' }],
    [
      'Protobuf by a topic of its schema',
      { topic: 'readings/1', payload: encode({ protobuf }, { id: 7 }) },
      { encoding: 'json', format: 'protobuf:reading' },
    ],
    [
      'what is not what its Content Type says',
      { payload: Buffer.from('hi'), contentType: 'application/json' },
      { payload: 'aGk=', encoding: 'base64', format: null, decodeError: expect.stringMatching(/^not JSON: /) },
    ],
    [
      'bytes',
      Buffer.of(0, 1, 2, 255),
      { encoding: 'base64', format: null, decodeError: 'it is none of JSON, CBOR, MessagePack and text' },
    ],
    ['a byte', Buffer.of(0x80), { encoding: 'base64', decodeError: expect.stringMatching(/^it is none of /) }],
  ])('finds %s', async (_, given, expected) => {
    expect(await read('auto', given)).toMatchObject({ decodeError: null, ...expected });
  });
});

describe('large payloads', () => {
  const large = {
    list: Array.from({ length: 10_000 }, (_, index) => ({ index, text: 'a text that is the same in all' })),
  };

  test.each<[Decode, FormatSettings]>([
    ['auto', 'json'],
    ['auto', 'cbor'],
    ['msgpack', 'msgpack'],
  ])('are read as %s while the event loop turns', async (decode, settings) => {
    const payload = encode(settings, large);
    expect(payload.length).toBeGreaterThan(400_000);
    let turns = 0;
    const counting = setInterval(() => turns++, 0);
    const view = decoding.reader(decode, 'test')(messageOf(payload));
    expect(view).toBeInstanceOf(Promise);
    const { payload: text, format } = await view;
    clearInterval(counting);
    expect(format).toBe(settings);
    expect(JSON.parse(text)).toEqual(large);
    expect(turns).toBeGreaterThan(0);
  });

  test('whose text would be longer than what is read at most are given as they are', async () => {
    const view = await read('cbor', encode('cbor', { bytes: Buffer.alloc(900_000) }));
    expect(view).toMatchObject({ encoding: 'base64', format: null });
    expect(view.decodeError).toMatch(/^as JSON it has 1200\d+ bytes; values of up to 1048576 are given$/);
  });
});

describe('hostile payloads', () => {
  const decodes: readonly Decode[] = [
    ...(['auto', 'json', 'cbor', 'msgpack', 'sparkplug', 'text', 'protobuf:reading', 'avro:reading'] as const),
  ];
  const valid = [
    encode('cbor', reading),
    encode('msgpack', reading),
    encode('json', reading),
    encode('sparkplug', metrics),
    encode({ protobuf }, { ...reading, mode: 'ON' }),
    encode({ avro }, { ...reading, mode: 'ON' }),
  ];
  /** Some bytes of a valid one are others, or missing, or there twice. */
  const spoilt = fc
    .tuple(fc.constantFrom(...valid), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat())
    .map(([payload, changes, cut]) => {
      const bytes = Buffer.concat([payload, payload.subarray(0, cut % 3)]);
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
      return bytes.subarray(0, bytes.length - (cut % 5));
    });
  const bytes = fc.uint8Array({ maxLength: 64 }).map((each) => Buffer.from(each));

  test.each(decodes)('read as %s become JSON text, text, or all their bytes with a reason', async (decode) => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(bytes, spoilt), async (payload) => {
        const view = await read(decode, payload);
        if (view.encoding === 'json') JSON.parse(view.payload);
        else {
          const encoding = view.encoding === 'text' ? 'utf8' : view.encoding;
          expect(Buffer.from(view.payload, encoding)).toEqual(payload);
          expect(view.decodeError === null).toBe(view.encoding === 'text');
        }
      }),
      { numRuns: 300 },
    );
  });
});

test('what waits when the broker ends is given as it is', async () => {
  const ending = new Decoding({ schemas: [], limits: defaultPipelineLimits, warn: () => {} });
  const reader = ending.reader('json', 'test');
  const payload = Buffer.from(JSON.stringify({ text: 'x'.repeat(10_000) }));
  await reader(messageOf('{}'));
  const waiting = reader(messageOf(payload));
  ending.close();
  expect(await waiting).toMatchObject({ payload: payload.toString('base64'), encoding: 'base64' });
});
