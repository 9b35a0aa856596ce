/** What stages hold back: how it goes on, what it may take, and what happens to it when it cannot go on. */
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { aClient, aPublish, benchWith, jsonOf, PipelineBench } from '../../support/pipeline.ts';

const count = { aggregate: { seconds: 1, fields: { t: ['count' as const] } } };

test('one that is refused behind the stage that held it costs only itself', async () => {
  const bench = await benchWith([
    { aggregate: { seconds: 1, fields: { t: ['max'] } } },
    { validate: { jsonSchema: { properties: { t: { properties: { max: { maximum: 10 } } } } } }, onError: 'reject' },
  ]);
  for (const [topic, t] of [
    ['a', 11],
    ['b', 1],
  ] as const) {
    await bench.publish(aPublish({ t }, { topic }));
  }
  await bench.tick(1);
  expect(bench.emitted.map(({ topic }) => topic)).toEqual(['b']);
  expect(bench.counters('2-validate')).toMatchObject({ in: 2, out: 1, failed: 1 });
});

test('it goes on through the pipelines behind, whether its time came or its number was reached', async () => {
  const bench = new PipelineBench();
  await bench.configure(
    { name: 'before', filter: '#', stages: [{ set: { fields: { before: true } } }] },
    { name: 'gather', filter: '#', stages: [{ batch: { messages: 2, seconds: 1 } }] },
    { name: 'behind', filter: '#', stages: [{ map: '{ "n": $count($) }' }] },
  );
  await bench.publish(aPublish({}));
  const [full] = await bench.messages(aPublish({}));
  expect(jsonOf(full)).toEqual({ n: 2 });
  await bench.publish(aPublish({}));
  await bench.tick(1);
  expect(bench.emitted.map(jsonOf)).toEqual([{ n: 1 }]);
});

test('what was made of several messages waits in quarantine as it was made, and as nobody else’s', async () => {
  const bench = await benchWith([
    { batch: { messages: 2, seconds: 1 } },
    { validate: { jsonSchema: { type: 'object' } } },
  ]);
  for (const n of [1, 2]) await bench.publish(aPublish({ n }));
  const [entry] = await bench.quarantined();
  expect([entry?.message.payload.toString(), entry?.clientId]).toEqual(['[{"n":1},{"n":2}]', null]);
});

test('a batch takes as much memory as the limit says, however small its messages came', async () => {
  const limits = { payloadBytes: 100_000 };
  const gather = { batch: { messages: 100, seconds: 1 } };
  const bench = await benchWith(
    [{ decode: 'gzip' }, { decode: 'json' }, gather, { map: '$map($, $length)[]' }],
    limits,
  );
  const payload = gzipSync(JSON.stringify('x'.repeat(40_000)));
  for (const topic of ['a', 'b'])
    expect(await bench.publish(aPublish(payload, { topic }))).toEqual({ verdict: 'drop' });
  const [early] = await bench.messages(aPublish(payload, { topic: 'b' }));
  expect([early?.topic, jsonOf(early)]).toEqual(['a', [40_000]]);
  await bench.tick(1);
  expect(bench.emitted.map((each) => [each.topic, jsonOf(each)])).toEqual([['b', [40_000, 40_000]]]);
});

test('a batch that was asked for early leaves its room to the next one', async () => {
  const bench = await benchWith([{ batch: { messages: 100, seconds: 1 } }], { payloadBytes: 1_000 });
  for (const size of [600, 700]) {
    expect(await bench.publish(aPublish({ text: 'x'.repeat(size) }))).toEqual({ verdict: 'drop' });
    await bench.pipelines.flush();
  }
  expect(bench.emitted).toHaveLength(2);
  expect(await bench.quarantined()).toEqual([]);
});

test.each([
  ['batch', { batch: { messages: 100, seconds: 1 } }],
  ['window', count],
])('a clock that was set back holds no %s open', async (_what, stage) => {
  const bench = await benchWith([stage]);
  await bench.publish(aPublish({ t: 1 }));
  await bench.tick(-3_600);
  expect(bench.emitted).toHaveLength(1);
});

test('a window keeps what it needs of its first message, and not the payload', async () => {
  const bench = await benchWith([count]);
  await bench.publish(aPublish({ t: 1, ballast: 'x' }, { userProperties: [['site', 'north']], qos: 1, retain: true }));
  await bench.tick(1);
  expect(bench.emitted[0]).toMatchObject({ qos: 1, retain: true, userProperties: [['site', 'north']] });
  expect(jsonOf(bench.emitted[0])).toMatchObject({ count: 1, t: { count: 1 } });
});

test('what a changed pipeline had held back is published when another one takes its place', async () => {
  const bench = await benchWith([{ batch: { messages: 10, seconds: 60 } }]);
  await bench.publish(aPublish({ n: 1 }));
  await bench.configure({ name: 'test', filter: '#', stages: [{ batch: { messages: 20, seconds: 60 } }] });
  expect(bench.emitted.map(jsonOf)).toEqual([[{ n: 1 }]]);
});

test('a message that clears a retained one passes every stage, and only its topic changes', async () => {
  const bench = await benchWith([
    { decode: 'cbor' },
    count,
    { script: { file: 'test/support/plugins/script.js' } },
    { topic: `clear/\${topic}` },
    { encode: 'json' },
  ]);
  const [message] = await bench.messages(aPublish('', { topic: 'a', retain: true }));
  expect(message).toMatchObject({ topic: 'clear/a', retain: true, payload: Buffer.alloc(0), contentType: undefined });
  await bench.pipelines.close();
});

test('more publishers than are remembered are taken for nobody, so the batch goes nowhere that they would be asked about', async () => {
  const redirect = { topic: 'elsewhere' };
  const bench = await benchWith([{ batch: { messages: 1_000, seconds: 1 } }, redirect]);
  const refused: unknown[] = [];
  bench.pipelines.onRefused = (each) => void refused.push(each);
  const publishOf = async (count: number) => {
    for (let i = 0; i < count; i++) await bench.publish(aPublish({ i }), { ...aClient, clientId: `c${i}` });
    await bench.tick(1);
  };
  await publishOf(100);
  expect(bench.emitted.map(({ topic }) => topic)).toEqual(['elsewhere']);
  await publishOf(101);
  expect(bench.emitted).toHaveLength(1);
  expect(refused).toEqual([expect.objectContaining({ pipeline: 'test', topic: 'elsewhere' })]);
});

test('when its time comes, those who published it are asked under the rules as they are then, also behind other pipelines', async () => {
  const bench = new PipelineBench();
  let isAllowed = true;
  const asked: unknown[] = [];
  bench.pipelines.mayPublish = async ({ clientId }, topic, qos, retain) => {
    asked.push([clientId, topic, qos, retain]);
    return isAllowed ? 0 : 0x87;
  };
  const refused: string[] = [];
  bench.pipelines.onRefused = ({ pipeline, topic }) => void refused.push(`${pipeline} ${topic}`);
  await bench.configure(
    { name: 'gather', filter: '#', stages: [{ batch: { messages: 10, seconds: 1 } }] },
    { name: 'redirect', filter: '#', stages: [{ topic: 'elsewhere' }] },
  );
  await bench.publish(aPublish({ n: 1 }));
  await bench.publish(aPublish({ n: 2 }), { ...aClient, clientId: 'other' });
  await bench.tick(1);
  expect(asked).toEqual([
    ['sensor-1', 'elsewhere', 1, false],
    ['other', 'elsewhere', 1, false],
  ]);
  isAllowed = false;
  await bench.publish(aPublish({ n: 3 }));
  await bench.tick(1);
  expect(bench.emitted).toHaveLength(1);
  expect(refused).toEqual(['gather factory/7/temperature']);
});

test('a replay is in the name of who published the message then; of what nobody is known to have published, nothing is asked', async () => {
  const bench = await benchWith([{ decode: 'json' }, { topic: 'elsewhere' }]);
  const asked: unknown[] = [];
  bench.pipelines.mayPublish = ({ clientId, username }) => {
    asked.push([clientId, username]);
    return 0x87;
  };
  await bench.publish(aPublish('no JSON'));
  const [entry] = await bench.quarantined();
  const repaired = { ...entry!, message: aPublish({}) };
  expect(await bench.pipelines.replay(repaired)).toEqual({ outcome: 'rejected', messages: [] });
  expect(asked).toEqual([['sensor-1', 'line-7']]);
  bench.pipelines.mayPublish = () => 0;
  expect((await bench.pipelines.replay(repaired)).outcome).toBe('published');
  expect((await bench.pipelines.replay({ ...repaired, clientId: null })).outcome).toBe('rejected');
});
