// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders of the pipeline
/**
 * What is too long for the event loop runs in the stage thread; and whatever becomes of that thread costs one message.
 */
import { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { encode as toCbor } from 'cbor-x';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { createMessage } from '../../../src/broker/create-message.ts';
import { aClient, aPublish, jsonOf, PipelineBench, type StageInput } from '../../support/pipeline.ts';

const open: PipelineBench[] = [];
afterEach(() => Promise.all(open.splice(0).map((bench) => bench.pipelines.close())));

type Limits = ConstructorParameters<typeof PipelineBench>[0];
type StartWorker = ConstructorParameters<typeof PipelineBench>[1];

async function benchWith(stages: StageInput[], limits: Limits = {}, startWorker?: StartWorker): Promise<PipelineBench> {
  const bench = new PipelineBench(limits, startWorker);
  open.push(bench);
  await bench.configure({ name: 'test', filter: '#', stages });
  return bench;
}

/** Rounds of the event loop until it is settled. */
async function roundsUntil(answer: unknown): Promise<number> {
  let rounds = 0;
  let isPending = true;
  Promise.resolve(answer).finally(() => (isPending = false));
  while (isPending) {
    await new Promise(setImmediate);
    rounds++;
  }
  return rounds;
}

const many = (count: number) => Array.from({ length: count }, (_, index) => index);
/** A text on which `^(a+)+$` backtracks for years. */
const hopeless = { text: `${'a'.repeat(60)}!` };
const bomb = Buffer.alloc(16_777_216);

const long: [what: string, stage: StageInput, payload: Buffer | object][] = [
  ['a bomb of brotli', { decode: 'brotli' }, brotliCompressSync(bomb)],
  ['a bomb of gzip', { decode: 'gzip' }, gzipSync(bomb)],
  ['a large payload that is read', { convert: { from: 'json', to: 'cbor' } }, many(50_000)],
  ['uniqueItems', { validate: { jsonSchema: { uniqueItems: true } } }, many(3_000).map((n) => ({ n }))],
  [
    'a pattern that backtracks',
    { validate: { jsonSchema: { properties: { text: { pattern: '^(a+)+$' } } } } },
    hopeless,
  ],
  [
    'alternatives that refer to themselves',
    { validate: { jsonSchema: { anyOf: [{ $ref: '#/$defs/a' }], $defs: { a: {} } } } },
    { a: 1 },
  ],
  ['exists in exists', { filter: 'value.exists(x, value.exists(y, x + y == -1))' }, many(2_000)],
  ['matches that backtracks', { filter: 'value.text.matches("^(a+)+$")' }, hopeless],
  [
    'a pattern that the message brings',
    { filter: 'value.text.matches(value.pattern)' },
    { text: 'a', pattern: '^(a+)+$' },
  ],
  ['$distinct', { map: '$distinct($)' }, many(5_000).map((n) => ({ n }))],
  ['a regular expression in JSONata', { map: '$match(text, /^(a+)+$/)' }, hopeless],
  ['a list that is made of a number', { map: '$count([1..n])' }, { n: 100_000 }],
  ['many steps of JSONata on a small value', { map: '$sum(a.$sum($$.a))' }, { a: many(100) }],
  [
    'a field of a large payload',
    { set: { fields: { x: 1 } } },
    Object.fromEntries(many(5_000).map((n) => [`f${n}`, n])),
  ],
  ['a fingerprint of a large payload', { 'on-change': {} }, many(50_000)],
];

describe('the event loop serves others while a message meets', () => {
  test.each(long)('%s', async (_what, stage, payload) => {
    const bench = await benchWith([stage], { stageMs: 300 });
    expect(await roundsUntil(bench.publish(aPublish(payload)))).toBeGreaterThan(3);
    expect(bench.pipelines.thread.isStarted).toBe(true);
  });
});

test.each(long.filter(([what]) => what.includes('backtracks') || what.includes('regular')))(
  '%s ends with its time, fails for that message, and is told with the stage',
  async (_what, stage, payload) => {
    const bench = await benchWith([stage], { stageMs: 100 });
    const [bad, good] = await Promise.all([
      bench.publish(aPublish(payload)),
      bench.publish(aPublish({ text: 'aaa' }, { topic: 'other' })),
    ]);
    expect(bad).toEqual({ verdict: 'drop' });
    expect(good.verdict).not.toBe('reject');
    const [entry, ...others] = await bench.quarantined();
    expect(others).toEqual([]);
    expect(entry?.reason).toMatch(/longer than 100 ms|takes longer/);
    expect(bench.warnings).toContain('a pipeline stage failed');
  },
);

test('short messages stay on the event loop, and no thread is begun', async () => {
  const stages: StageInput[] = [
    { decode: 'json' },
    { validate: { jsonSchema: { required: ['f'], properties: { id: { pattern: '^dev-[0-9]+$' } } } } },
    { filter: 'value.f > 1 && value.id.matches("^dev-[0-9]+$")' },
    { set: { fields: { line: '${topic[1]}' } } },
    { topic: { match: '^factory/(\\d+)/', to: 'plant/$1/' }, trusted: true },
    { convert: { to: 'cbor' } },
    { encode: 'gzip' },
    { decode: 'gzip' },
  ];
  const bench = await benchWith(stages);
  const verdict = bench.pipelines.onPublish(aClient, aPublish({ f: 2, id: 'dev-7' }));
  expect(verdict).toMatchObject({ verdict: 'change', change: { topic: 'plant/7/temperature' } });
  const mapped = await benchWith([{ map: '{ "c": (f - 32) * 5 / 9, "n": $count(list), "line": $levels[1] }' }]);
  await mapped.publish(aPublish({ f: 70, list: [1, 2] }));
  expect([bench, mapped].map(({ pipelines }) => pipelines.thread.isStarted)).toEqual([false, false]);
});

test('what the stage thread makes is what the event loop makes', async () => {
  const stages: StageInput[] = [
    { decode: 'cbor' },
    { set: { fields: { 'meta.line': '${topic[1]}' }, userProperties: { by: '${clientId}' } } },
    { filter: 'value.n < 10' },
    { convert: { to: 'json' } },
  ];
  const results = [];
  for (const padding of ['x', 'x'.repeat(10_000)]) {
    const bench = await benchWith(stages);
    const value = { n: 1, bytes: Buffer.from('ab'), large: 2n ** 60n, padding };
    const [message] = await bench.messages(aPublish(Buffer.from(toCbor(value))));
    expect(bench.pipelines.thread.isStarted).toBe(padding.length > 1);
    results.push({ ...message, payload: message?.payload.toString().replaceAll(padding, 'x') });
    // Binary in JSON is counted, wherever it was written.
    expect(bench.counters('4-convert')).toMatchObject({ in: 1, out: 1, lossy: 1 });
  }
  expect(results[1]).toEqual(results[0]);
});

test('a large message that no stage changes keeps its bytes', async () => {
  const bench = await benchWith([
    { validate: { jsonSchema: {} } },
    { filter: 'size(value) > 1' },
    { dedupe: { seconds: 1 } },
  ]);
  const message = aPublish(Buffer.from(` ${JSON.stringify(many(10_000))} `));
  expect(await bench.publish(message)).toEqual({ verdict: 'keep' });
  expect(await bench.publish(message)).toEqual({ verdict: 'drop' });
});

test('what the thread made of a large message need not be copied; what others made must be', async () => {
  const bench = await benchWith([{ decode: 'gzip' }]);
  const [large] = await bench.messages(aPublish(gzipSync(Buffer.alloc(100_000, 7))));
  const [small] = await bench.messages(aPublish(gzipSync(Buffer.alloc(10))));
  const others = Buffer.alloc(100_000);
  expect([large!.payload, small!.payload, others].map((each) => bench.pipelines.gaveAway(each))).toEqual([
    true,
    false,
    false,
  ]);
  const [given, copied] = [true, false].map((isOurs) => {
    return createMessage('t', large!, 0, { topicBytes: 100, topicLevels: 10 }, undefined, isOurs);
  });
  expect([given!.bytes.buffer === large!.payload.buffer, copied!.bytes.buffer === large!.payload.buffer]).toEqual([
    true,
    false,
  ]);
  expect([given!.payload.equals(copied!.payload), given!.size]).toEqual([true, copied!.size]);
  const labelled = createMessage(
    't',
    { ...large!, contentType: 'x' },
    0,
    { topicBytes: 100, topicLevels: 10 },
    undefined,
    true,
  );
  expect([labelled.payload.equals(large!.payload), labelled.properties.length > 0]).toEqual([true, true]);
});

test('a large batch is made in the stage thread, and waits in quarantine as it was made', async () => {
  const stages: StageInput[] = [{ batch: { messages: 3, seconds: 60 } }, { validate: { jsonSchema: { maxItems: 2 } } }];
  const bench = await benchWith(stages);
  const values = many(3).map((n) => ({ n, text: 'x'.repeat(20_000) }));
  for (const value of values) await bench.publish(aPublish(value));
  const [entry] = await bench.quarantined();
  expect(JSON.parse(entry!.message.payload.toString())).toEqual(values);
  const whole = await benchWith([{ batch: { messages: 1_500, seconds: 60 } }]);
  for (const n of many(1_499)) await whole.publish(aPublish({ n }));
  const [message] = await whole.messages(aPublish({ n: 1_499 }));
  expect(jsonOf(message)).toEqual(many(1_500).map((n) => ({ n })));
  expect(message?.contentType).toBe('application/json');
});

test('a subscriber’s format is written in the stage thread for a large message, once for all who ask for it', async () => {
  const bench = await benchWith([{ set: {} }]);
  const subscriberClass = await bench.pipelines.classify(aClient, 'application/cbor');
  const verdict = bench.pipelines.onDeliver(aPublish(many(20_000)), subscriberClass!, false);
  expect(await roundsUntil(verdict)).toBeGreaterThan(3);
  expect(await verdict).toMatchObject({ verdict: 'change', message: { contentType: 'application/cbor' } });
  const odd = aPublish(Buffer.from('{'.repeat(10_000)));
  expect(await bench.pipelines.onDeliver(odd, subscriberClass!, false)).toEqual({ verdict: 'keep' });
});

const folder = mkdtempSync(join(tmpdir(), 'sluice-stage-thread-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a schema file is the one that was loaded, whatever is in its place when the thread begins', async () => {
  const file = join(folder, 'schema.json');
  writeFileSync(file, JSON.stringify({ maxItems: 20_000 }));
  const bench = await benchWith([{ validate: { jsonSchema: file } }]);
  writeFileSync(file, 'not JSON');
  expect(await bench.publish(aPublish(many(10_000)))).toEqual({ verdict: 'keep' });
});

test('a reload, and a stop, wait for what is in the stage thread', async () => {
  const bench = await benchWith([{ convert: { from: 'json', to: 'cbor' } }]);
  const before = bench.publish(aPublish(many(10_000)));
  await bench.configure({ name: 'test', filter: '#', stages: [{ convert: { from: 'json', to: 'msgpack' } }] });
  const behind = bench.publish(aPublish(many(10_000)));
  await bench.pipelines.close();
  expect(await before).toMatchObject({ verdict: 'change', change: { contentType: 'application/cbor' } });
  expect(await behind).toMatchObject({ verdict: 'change', change: { contentType: 'application/vnd.msgpack' } });
});

/** A worker that answers as a test says. */
class FakeWorker extends EventEmitter {
  readonly #answer: (worker: FakeWorker, batch: { jobs: readonly unknown[] }) => void;
  isTerminated = false;

  constructor(answer: FakeWorker['say']) {
    super();
    this.#answer = answer;
    setImmediate(() => this.emit('message', { ready: true }));
  }

  say(_worker: FakeWorker, _batch: { jobs: readonly unknown[] }): void {}

  postMessage(batch: { jobs: readonly unknown[] }): void {
    setImmediate(() => this.#answer(this, batch));
  }

  async terminate(): Promise<number> {
    this.isTerminated = true;
    return 1;
  }

  ref(): void {}
  unref(): void {}
}

const kept = { outcome: true, item: { ...aPublish(''), content: null, isGathered: false, losses: 0 } };
const answerAll = (worker: FakeWorker, { jobs }: { jobs: readonly unknown[] }) =>
  worker.emit('message', { answers: jobs.map(() => kept) });

describe.each<[what: string, first: FakeWorker['say'], reason: RegExp]>([
  ['ends', (worker) => worker.emit('exit', 1), /it ended/],
  ['throws', (worker) => worker.emit('error', new Error('no memory')), /no memory/],
  ['answers nonsense', (worker) => worker.emit('message', { answers: [42] }), /none/],
  ['answers what nobody asked', (worker) => worker.emit('message', { answers: [kept, kept, kept, kept] }), /none/],
  ['answers half of an item', (worker) => worker.emit('message', { answers: [{ outcome: true, item: {} }] }), /none/],
])('a thread that %s', (_what, first, reason) => {
  test('costs the message that it was in, and another one takes its place', async () => {
    const workers: FakeWorker[] = [];
    const bench = await benchWith([{ validate: { jsonSchema: {} } }], {}, (_file, data) => {
      const { marks } = data as { marks: SharedArrayBuffer };
      const worker = new FakeWorker((self, batch) => {
        // It is in the second one.
        Atomics.store(new Int32Array(marks), 1, 1);
        if (workers.length > 1) answerAll(self, batch);
        else first(self, batch);
      });
      workers.push(worker);
      return worker as unknown as Worker;
    });
    const messages = many(3).map((n) => aPublish(Buffer.from(`${n}${' '.repeat(5_000)}`), { topic: `t/${n}` }));
    const verdicts = await Promise.all(messages.map((message) => bench.publish(message)));
    expect(verdicts.map(({ verdict }) => verdict === 'drop')).toEqual([false, true, false]);
    const [entry] = await bench.quarantined();
    expect([entry?.message.topic, entry?.reason]).toEqual(['t/1', expect.stringMatching(reason)]);
    expect(workers.map(({ isTerminated }) => isTerminated)).toEqual([true, false]);
    // What the first one says late is heard by nobody.
    workers[0]!.emit('message', { answers: [kept] });
    expect(await bench.publish(messages[0]!)).toMatchObject({ verdict: expect.stringMatching('keep|change') });
  });
});

test.each<[what: string, stage: StageInput]>([
  ['CEL', { filter: 'size(value.map(x, value.map(y, y + x))) == 3' }],
  ['JSONata', { map: '$count($map($, function($v) { [$v..1000000] }))' }],
])('a message for which %s takes all memory costs itself', async (_what, stage) => {
  const bench = await benchWith([stage], { stageMs: 60_000 });
  await bench.publish(aPublish(many(90_000)));
  const [entry] = await bench.quarantined();
  expect(entry?.reason).toMatch(/too much memory|longer than 100 ms|maximum sequence length/);
  await bench.messages(aPublish([999_998, 999_999, 1_000_000]));
  expect(await bench.quarantined()).toHaveLength(1);
});
