/**
 * Payloads as whoever looks on reads them. Whatever they are: no error, and the event loop is held by the short ones
 * only. JSON text is JSON, and what could not be read comes whole.
 *
 * Input: a byte that picks what it is read as, one that picks topic and Content Type, and the payload.
 */
import { join } from 'node:path';
import type { Decode } from '../../../src/contracts/payloads.ts';
import { defaultPipelineLimits } from '../../../src/contracts/pipeline-settings.ts';
import { Decoding } from '../../../src/pipeline/decoding.ts';
import { schemas } from '../../support/formats.ts';
import { must, type Target, wordsOf } from '../target.ts';
import { formatSettings } from './format-settings.ts';
import { formatTarget } from './formats.ts';

const decodes: readonly Decode[] = [
  ...(['auto', 'json', 'cbor', 'msgpack', 'sparkplug', 'text', 'base64', 'hex'] as const),
  ...(['protobuf:reading', 'avro:reading'] as const),
];
const topics = ['a', 'spBv1.0/g/NDATA/e', 'spBv1.0/STATE/h', 'readings/1'];
const contentTypes = [undefined, 'application/json', 'application/cbor', 'text/csv', 'a/b+json', 'no type'];

export async function payloads(): Promise<Target> {
  const decoding = new Decoding({
    schemas: [
      {
        name: 'reading',
        topics: ['readings/#'],
        protobuf: { file: join(schemas, 'reading.proto'), type: 'plant.Reading' },
      },
      { name: 'reading', topics: [], avro: { file: join(schemas, 'reading.avsc') } },
    ],
    limits: { ...defaultPipelineLimits, items: 10_000 },
    warn: () => {},
  });
  await decoding.check();
  const targets = Object.keys(formatSettings).map((name) => formatTarget(name));
  return {
    name: 'payloads',
    seeds: targets.flatMap(({ seeds }) =>
      seeds.flatMap((seed, index) => [
        Buffer.from([0, index % 24, ...seed]),
        Buffer.from([index % decodes.length, 0, ...seed]),
      ]),
    ),
    tokens: targets.flatMap(({ tokens }) => tokens),
    bytesMax: 100_000,
    async run(input) {
      const [pick = 0, about = 0] = input;
      const payload = input.subarray(2);
      const decode = decodes[pick % decodes.length]!;
      const topic = topics[about % topics.length]!;
      const contentType = contentTypes[Math.floor(about / topics.length) % contentTypes.length];
      const message = { topic, payload, contentType, payloadFormatIndicator: undefined };
      const view = await decoding.reader(decode, 'fuzz')(message);
      if (view.encoding === 'json') JSON.parse(view.payload);
      else {
        const encoding = view.encoding === 'text' ? 'utf8' : view.encoding;
        must(Buffer.from(view.payload, encoding).equals(payload), 'it is not the payload');
        must(view.decodeError === null || view.encoding === 'base64', 'a reason beside what was read');
      }
      const why =
        view.decodeError === null ? '' : wordsOf(new Error(view.decodeError)).split(' ').slice(0, 5).join(' ');
      return `${decode} ${view.encoding} ${view.format} ${why}`;
    },
    close: () => decoding.close(),
  };
}
