/** Payloads that are small to send and long to work on. The stages are what an operator would write. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import type { Attacker } from '../attacker.ts';
import * as p from '../packets.ts';
import type { Needs, Row } from '../row.ts';

const pipeline = (stages: readonly object[], others: object = {}): Needs => {
  return () => ({ pipelines: [{ name: 'attacked', filter: 'in/#', stages }], ...others });
};

function scripted(source: string, settings: object = {}): Needs {
  return (folder, isShort) => {
    const file = join(folder, 'script.js');
    writeFileSync(file, source);
    return pipeline([{ script: { file, ...settings } }])(folder, isShort);
  };
}

/** The same payload some times, and whether all are answered. */
async function send(attacker: Attacker, times: number, payload: Buffer | string, seconds = 30): Promise<void> {
  const client = await attacker.connect({ clientId: 'publisher' });
  attacker.fact(`${times} × ${Buffer.byteLength(payload)} bytes`);
  const startedAt = performance.now();
  await client.writeAll(times, (i) => p.publish('in/a', payload, { qos: 1, id: i + 1 }), 8_192);
  const refused = () => [...client.refusals.values()].reduce((sum, each) => sum + each, 0);
  attacker.must(
    await client.until(() => client.acknowledged + refused() >= times || client.isClosed, seconds),
    `${client.acknowledged + refused()} of ${times} were answered`,
  );
  attacker.fact(`${client.acknowledged} acknowledged in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
}

const numbers = (count: number) => JSON.stringify(Array.from({ length: count }, (_, i) => i));

const payloads: readonly {
  readonly name: string;
  readonly needs: Needs;
  readonly times: number;
  readonly payload: (attacker: Attacker) => Buffer | string;
}[] = [
  {
    name: 'brotli: 30 messages of 30 bytes that become 16 MB',
    needs: pipeline([{ decode: 'brotli' }]),
    times: 30,
    payload: () => brotliCompressSync(Buffer.alloc(16_000_000)),
  },
  {
    name: 'gzip: 30 messages of 15 kB that become 15 MB',
    needs: pipeline([{ decode: 'gzip' }]),
    times: 30,
    payload: () => gzipSync(Buffer.alloc(15_000_000)),
  },
  {
    name: 'gzip in gzip, 16 MB',
    needs: pipeline([{ decode: 'gzip' }, { decode: 'gzip' }, { encode: 'gzip' }]),
    times: 30,
    payload: () => gzipSync(gzipSync(Buffer.alloc(16_000_000))),
  },
  {
    name: 'JSON Schema: uniqueItems, 349 kB',
    needs: pipeline([{ validate: { jsonSchema: { uniqueItems: true } } }]),
    times: 1,
    payload: (attacker) => {
      return JSON.stringify(Array.from({ length: attacker.size(3_000, 30_000) }, (_, i) => ({ a: i })));
    },
  },
  {
    name: 'JSON Schema: a pattern that backtracks, 45 B',
    needs: pipeline([{ validate: { jsonSchema: { properties: { s: { pattern: '^(a+)+$' } } } } }]),
    times: 1,
    payload: (attacker) => JSON.stringify({ s: `${'a'.repeat(attacker.size(22, 34))}!` }),
  },
  {
    name: 'JSON Schema: anyOf of 30 patterns over 50,000 texts',
    needs: pipeline([
      {
        validate: {
          jsonSchema: {
            items: { anyOf: Array.from({ length: 30 }, (_, i) => ({ type: 'string', pattern: `^x*${i}$` })) },
          },
        },
      },
    ]),
    times: 3,
    payload: (attacker) => JSON.stringify(new Array(attacker.size(5_000, 50_000)).fill('x'.repeat(10))),
  },
  {
    name: 'CEL: exists in exists, 109 kB',
    needs: pipeline([{ filter: 'value.exists(a, value.exists(b, a + b < 0))' }]),
    times: 1,
    payload: (attacker) => numbers(attacker.size(1_000, 20_000)),
  },
  {
    name: 'CEL: a regular expression that backtracks, 45 B',
    needs: pipeline([{ filter: `value.s.matches('^(a+)+$')` }]),
    times: 1,
    payload: (attacker) => JSON.stringify({ s: `${'a'.repeat(attacker.size(22, 34))}!` }),
  },
  {
    name: 'JSONata: $distinct, 559 kB',
    needs: pipeline([{ map: '$distinct($)' }]),
    times: 1,
    payload: (attacker) => numbers(attacker.size(5_000, 95_000)),
  },
  {
    name: 'JSONata: a sort of 95,000 numbers, 10 times',
    needs: pipeline([{ map: '$sort($, function($l, $r) { $l < $r })' }]),
    times: 10,
    payload: (attacker) => numbers(attacker.size(5_000, 95_000)),
  },
  {
    name: 'JSONata: a regular expression that backtracks, 45 B',
    needs: pipeline([{ map: '$match(s, /^(a+)+$/)' }]),
    times: 1,
    payload: (attacker) => JSON.stringify({ s: `${'a'.repeat(attacker.size(22, 34))}!` }),
  },
  {
    name: 'JSON of 1 MB through rename, units and set, 20 times',
    needs: pipeline([{ set: { fields: { 'a.b': 1 } } }, { pick: ['a'] }, { encode: 'cbor' }]),
    times: 20,
    payload: () => JSON.stringify({ a: { c: Array.from({ length: 90_000 }, (_, i) => i * 12_345) } }),
  },
  {
    name: 'CSV of 1 MB to JSON, 20 times',
    needs: pipeline([{ convert: { from: 'csv', to: 'json' } }]),
    times: 20,
    payload: () => `a,b,c\n${'123,456,789\n'.repeat(33_000)}`,
  },
  {
    name: 'whole numbers beyond 2^53 in JSON of 1 MB, 10 times',
    needs: pipeline([{ decode: 'json' }, { encode: 'msgpack' }]),
    times: 10,
    payload: () => `[${new Array(45_000).fill('12345678901234567890').join(',')}]`,
  },
];

export const pipelines: readonly Row[] = [
  ...payloads.map(({ name, needs, times, payload }): Row => {
    return {
      name,
      needs,
      run: (attacker) => send(attacker, attacker.size(Math.min(2, times), times), payload(attacker)),
    };
  }),
  {
    name: 'five subscribers with accept, 30 messages of 529 kB of JSON',
    isInShortForm: true,
    async run(attacker) {
      const formats = ['application/cbor', 'application/msgpack', 'text/csv', 'text/plain', 'application/json'];
      for (const [i, accept] of formats.entries()) {
        const client = await attacker.connect({ clientId: `accepting-${i}` });
        await client.subscribe(['in/#'], 0, [p.property.user('accept', accept)]);
      }
      const client = await attacker.connect({ clientId: 'publisher' });
      const payload = JSON.stringify(Array.from({ length: 22_000 }, (_, i) => ({ a: i, b: 'text' })));
      const times = attacker.size(3, 30);
      const properties = [p.property.contentType('application/json')];
      await client.writeAll(times, (i) => p.publish('in/a', payload, { qos: 1, id: i + 1, properties }));
      attacker.must(await client.until(() => client.acknowledged === times, 60), 'not acknowledged in 60 s');
      attacker.fact(`${times} × ${payload.length} bytes`);
    },
  },
  {
    name: 'a script that keeps payloads, memoryBytes 16 MiB',
    needs: scripted('const kept = []; export default ({ payload }) => { kept.push(payload); return true; };'),
    run: (attacker) => send(attacker, attacker.size(100, 1_000), JSON.stringify('x'.repeat(1_000_000))),
  },
  {
    name: 'a script that keeps texts it repeats, memoryBytes 16 MiB',
    needs: scripted(`const kept = []; export default () => { kept.push('y'.repeat(1e6)); return true; };`),
    run: (attacker) => send(attacker, attacker.size(100, 1_000), '1'),
  },
  {
    name: 'a script that makes 10,000 messages of each, 20 times',
    needs: scripted(
      'export default ({ topic }) => Array.from({ length: 10000 }, (_, i) => ({ topic: topic + "/" + i, payload: i }));',
    ),
    run: (attacker) => send(attacker, attacker.size(2, 20), '1'),
  },
  {
    name: 'a script that makes 1,000 messages of each, 100 times, for an absent session',
    needs: scripted(
      'export default ({ topic }) => Array.from({ length: 1000 }, (_, i) => ({ topic: topic + "/" + i, payload: i }));',
    ),
    prepare: (attacker) => attacker.absentSessions(1, 'absent', () => ['in/#']),
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      const count = attacker.size(5, 100);
      await client.writeAll(count, (i) => p.publish('in/a', '1', { qos: 1, id: i + 1 }));
      attacker.must(await client.until(() => client.acknowledged === count, 60), 'not acknowledged in 60 s');
    },
  },
  {
    name: 'a script in an endless loop, 100 messages',
    needs: scripted('export default () => { for (;;); };'),
    run: (attacker) => send(attacker, attacker.size(5, 100), '1'),
  },
  {
    name: '100,000 messages of 3 B into quarantine',
    isInShortForm: true,
    needs: pipeline([{ decode: 'json' }]),
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      await client.writeAll(attacker.size(2_000, 100_000), () => p.publish('in/a', '{{{'));
      await attacker.untilServed(client);
    },
  },
  {
    name: '64 messages of 1 MB into quarantine, and 10,000 small ones that displace them',
    needs: pipeline([{ validate: { jsonSchema: { type: 'number' } } }]),
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      await client.writeAll(attacker.size(10, 64), () => p.publish('in/a', JSON.stringify('x'.repeat(1_000_000))));
      await client.writeAll(attacker.size(1_000, 10_000), () => p.publish('in/a', '"x"'));
      await attacker.untilServed(client);
    },
  },
  {
    name: 'windows of 10,000 topics that end at one time',
    needs: pipeline([{ aggregate: { seconds: 3, fields: { t: ['mean', 'p95'] } } }]),
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      await client.writeAll(attacker.size(500, 10_000), (i) => p.publish(`in/${i}`, '{"t":21}'));
      await attacker.delay(4);
    },
  },
  {
    name: 'a stage that remembers 10,000 topics, and 100,000 of them',
    needs: pipeline([{ dedupe: { seconds: 60 } }, { 'on-change': {} }]),
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      await client.writeAll(attacker.size(2_000, 100_000), (i) => p.publish(`in/${i}`, '{"t":21}'));
      await attacker.untilServed(client);
    },
  },
];
