/** Each stage by itself: what it makes of a message, and what it does with one it cannot handle. */
import { decode as cborDecode, encode as cborEncode } from 'cbor-x';
import { describe, expect, test } from 'vitest';
import { aClient, aPublish, benchWith, jsonOf, PipelineBench, type StageInput } from '../../support/pipeline.ts';

async function once(stages: StageInput[], payload: string | Buffer | object, fields = {}) {
  const bench = await benchWith(stages);
  const [message] = await bench.messages(aPublish(payload, fields));
  return message;
}

describe('formats', () => {
  test('a stage that wants the value decodes by content type, and the result is written in that format again', async () => {
    const payload = Buffer.from(cborEncode({ f: 212 }));
    const message = await once([{ rename: { f: 'fahrenheit' } }], payload, { contentType: 'application/cbor' });
    expect(cborDecode(message!.payload)).toEqual({ fahrenheit: 212 });
    expect(message?.contentType).toBe('application/cbor');
  });

  test('a value that no stage changes keeps its bytes', async () => {
    const payload = '{ "t":  21.50 }';
    const bench = await benchWith([{ decode: 'json' }, { filter: 'value.t > 20' }]);
    const message = aPublish(payload);
    expect(await bench.publish(message)).toEqual({ verdict: 'keep' });
  });

  test('encode sets content type and payload format', async () => {
    const message = await once([{ convert: { from: 'cbor', to: 'json' } }], Buffer.from(cborEncode([1, 2])));
    expect(message).toMatchObject({ contentType: 'application/json', payloadFormatIndicator: true });
    expect(jsonOf(message)).toEqual([1, 2]);
  });

  test('bytes pass through compression and base64 and back', async () => {
    for (const codec of ['base64', 'hex', 'gzip', 'deflate', 'brotli'] as const) {
      const message = await once([{ encode: codec }, { decode: codec }], 'some text, some text');
      expect(message?.payload.toString()).toBe('some text, some text');
    }
  });

  test('a binary layout reads integers, bits, scaled numbers and arrays, and writes them again', async () => {
    const layout = {
      binary: {
        endian: 'big' as const,
        fields: [
          { name: 'version', type: 'uint8' as const },
          {
            name: 'flags',
            type: 'bits' as const,
            bytes: 1 as const,
            bits: [
              { name: 'alarm', at: 0 },
              { name: 'mode', at: 4, width: 3 },
            ],
          },
          { name: 'celsius', type: 'int16' as const, scale: 0.1 },
          { name: 'count', type: 'uint8' as const },
          { name: 'samples', type: 'int16' as const, endian: 'little' as const, repeat: 'count' },
          { name: 'id', type: 'uint64' as const },
          { name: 'tail', type: 'text' as const, length: 'rest' as const },
        ],
      },
    };
    const bytes = Buffer.from('02 51 ff38 02 0100 feff ffffffffffffffff 6f6b'.replaceAll(' ', ''), 'hex');
    const message = await once([{ convert: { from: layout, to: 'cbor' } }, { convert: 'json' }], bytes);
    expect(message?.payload.toString()).toBe(
      '{"version":2,"alarm":true,"mode":5,"celsius":-20,"count":2,"samples":[1,-2],"id":18446744073709551615,"tail":"ok"}',
    );
    expect((await once([{ decode: layout }, { encode: layout }], bytes))?.payload).toEqual(bytes);
  });

  test('a payload that does not decode is quarantined, with where and why', async () => {
    const bench = await benchWith([{ filter: 'topic != ""' }, { decode: 'cbor' }]);
    const message = aPublish(Buffer.from('a26161', 'hex'));
    expect(await bench.publish(message)).toEqual({ verdict: 'drop' });
    const [entry] = await bench.quarantined();
    expect(entry).toMatchObject({
      clientId: 'sensor-1',
      username: 'line-7',
      pipeline: 'test',
      stage: '2 decode',
      time: bench.now,
      message: { topic: message.topic },
    });
    expect(entry?.message.payload.equals(message.payload)).toBe(true);
    expect(entry?.reason).toContain('not CBOR');
    expect(bench.counters('2-decode')).toMatchObject({ in: 1, out: 0, failed: 1 });
  });
});

describe('onError', () => {
  const bad = aPublish('{');
  const failing = (onError: 'drop' | 'reject' | 'pass' | 'tag') => benchWith([{ decode: 'json', onError }]);

  test('drop acknowledges and forgets', async () => {
    const bench = await failing('drop');
    expect(await bench.publish(bad)).toEqual({ verdict: 'drop' });
    expect(bench.quarantine.count).toBe(0);
  });

  test('reject answers 0x99 with the reason', async () => {
    const verdict = await (await failing('reject')).publish(bad);
    expect(verdict).toMatchObject({ verdict: 'reject', reasonCode: 0x99 });
    expect((verdict as { reason: string }).reason).toContain('not JSON');
  });

  test('pass lets it go on as it is', async () => {
    expect(await (await failing('pass')).publish(bad)).toEqual({ verdict: 'keep' });
  });

  test('tag lets it go on with the reason as a user property', async () => {
    const [message] = await (await failing('tag')).messages(bad);
    expect(message?.payload).toBe(bad.payload);
    expect(message?.userProperties[0]?.[0]).toBe('sluice-error');
    expect(message?.userProperties[0]?.[1]).toContain('not JSON');
  });

  test('failures are logged once per interval, with the number of the others at its end, and counted each', async () => {
    const bench = await failing('drop');
    for (let i = 0; i < 5; i++) await bench.publish(bad);
    expect(bench.warnings).toEqual(['a pipeline stage failed']);
    bench.now += 60_000;
    await bench.publish(bad);
    expect(bench.warnings.slice(1)).toEqual([
      'and 4 more such lines; the last: a pipeline stage failed',
      'a pipeline stage failed',
    ]);
    expect(bench.counters('1-decode')).toMatchObject({ in: 6, failed: 6 });
  });
});

describe('validate', () => {
  const schema = { type: 'object', required: ['t'], properties: { t: { type: 'number', maximum: 100 } } };

  test('what fits the JSON Schema passes, the rest follows onError', async () => {
    const bench = await benchWith([{ validate: { jsonSchema: schema }, onError: 'reject' }]);
    expect(await bench.publish(aPublish({ t: 20 }))).toEqual({ verdict: 'keep' });
    const verdict = await bench.publish(aPublish({ t: 200 }));
    expect(verdict).toMatchObject({ verdict: 'reject', reason: '/t must be <= 100' });
  });

  test('a schema that is none is refused with its place', async () => {
    await expect(benchWith([{ validate: { jsonSchema: { type: 'strange' } } }])).rejects.toMatchObject({
      path: ['pipelines', 0, 'stages', 0, 'validate', 'jsonSchema'],
    });
  });
});

describe('map and filter', () => {
  test('map gives the value of a JSONata expression, which sees the message around the value', async () => {
    const message = await once(
      [{ map: '{ "c": $round((f - 32) / 1.8, 1), "line": $levels[1], "by": $clientId, "at": $timestamp }' }],
      { f: 70 },
    );
    expect(jsonOf(message)).toEqual({ c: 21.1, line: '7', by: 'sensor-1', at: Date.parse('2026-01-02T03:04:05Z') });
  });

  test('an expression that recurses or loops without end fails within its limits', async () => {
    const bench = await benchWith([{ map: '($f := function($n) { 1 + $f($n + 1) }; $f(0))' }]);
    expect(await bench.publish(aPublish({}))).toEqual({ verdict: 'drop' });
    const endless = await benchWith([{ map: '($f := function($n) { $f($n + 1) }; $f(0))' }]);
    expect(await endless.publish(aPublish({}))).toEqual({ verdict: 'drop' });
    expect((await endless.quarantined())[0]?.reason).toMatch(/deep|longer/);
  });

  test.each([
    ['value.t > 20 && topic.startsWith("factory/")', { t: 21 }, true],
    ['value.t * 2 + 1 > 42.5', { t: 20.5 }, false],
    ['value.t * 2 + 1 > 41', { t: 20.5 }, true],
    ['levels[1] == "7" && clientId == "sensor-1" && qos == 1', {}, true],
    ['has(value.t) && value.t > 1', {}, false],
    ['userProperties.unit == "C"', {}, true],
  ])('the CEL filter %s on %o is %s', async (filter, payload, passes) => {
    const bench = await benchWith([{ filter }]);
    const verdict = await bench.publish(aPublish(payload, { userProperties: [['unit', 'C']] }));
    expect(verdict).toEqual({ verdict: passes ? 'keep' : 'drop' });
  });

  test('a JSONata filter passes what is true and nothing else', async () => {
    const bench = await benchWith([{ filter: { jsonata: 't > 20' } }]);
    expect(await bench.publish(aPublish({ t: 21 }))).toEqual({ verdict: 'keep' });
    expect(await bench.publish(aPublish({ t: 1 }))).toEqual({ verdict: 'drop' });
    expect(await bench.publish(aPublish({}))).toEqual({ verdict: 'drop' });
  });

  test.each([
    [{ filter: 'value.t >' }, 'filter'],
    [{ map: '{ "a": ' }, 'map'],
    [{ set: { fields: { a: `\${nothing}` } } }, 'set'],
    [{ units: { t: { from: 'fahrenheit', to: 'meter' } } }, 'units'],
  ])('%o is refused at start, with its place', async (stage, kind) => {
    const place = ['pipelines', 0, 'stages', 0, kind];
    await expect(benchWith([stage])).rejects.toMatchObject({ path: expect.arrayContaining(place) });
  });
});

test('a JSONata expression that does not end costs its own message, and not those that come with it', async () => {
  const bench = await benchWith([{ map: '($f := function($n) { $f($n + 1) }; bad ? $f(0) : t)' }]);
  const verdicts = await Promise.all([{ bad: true }, { t: 1 }, { t: 2 }].map((each) => bench.publish(aPublish(each))));
  expect(verdicts.map(({ verdict }) => verdict)).toEqual(['drop', 'change', 'change']);
  expect((await bench.quarantined()).map(({ reason }) => reason)).toEqual(['JSONata: it takes longer than 100 ms']);
});

test('messages that come together count their JSONata each for itself', async () => {
  const bench = await benchWith([{ map: '($f := function($n) { $n = 0 ? 0 : 1 + $f($n - 1) }; $f(n))' }]);
  const made = await Promise.all(Array.from({ length: 10 }, () => bench.messages(aPublish({ n: 25 }))));
  expect(made.map(([message]) => jsonOf(message))).toEqual(Array.from({ length: 10 }, () => 25));
});

describe('fields', () => {
  test('set puts fields, user properties and what the publisher asked for', async () => {
    const message = await once(
      [
        {
          set: {
            fields: { 'meta.line': `\${topic[1]}`, 'meta.at': `\${timestamp}`, copy: `\${value.t}`, site: 'north' },
            userProperties: { by: `\${clientId} of \${username}` },
            qos: 0,
            retain: true,
            messageExpirySeconds: 60,
          },
        },
      ],
      { t: 21 },
      { userProperties: [['by', 'x']] },
    );
    expect(jsonOf(message)).toEqual({
      t: 21,
      meta: { line: '7', at: '2026-01-02T03:04:05.000Z' },
      copy: 21,
      site: 'north',
    });
    expect(message).toMatchObject({
      userProperties: [['by', 'sensor-1 of line-7']],
      qos: 0,
      retain: true,
      messageExpiryInterval: 60,
    });
  });

  test('rename, pick and omit follow paths', async () => {
    const value = { a: { b: 1, c: 2 }, d: [1, 2], e: 5 };
    expect(jsonOf(await once([{ rename: { 'a.b': 'x.y' } }], value))).toEqual({
      a: { c: 2 },
      d: [1, 2],
      e: 5,
      x: { y: 1 },
    });
    expect(jsonOf(await once([{ pick: ['a.c', 'e', 'none'] }], value))).toEqual({ a: { c: 2 }, e: 5 });
    expect(jsonOf(await once([{ omit: ['a.c', 'd.0', 'none'] }], value))).toEqual({ a: { b: 1 }, d: [2], e: 5 });
  });

  test('__proto__ is a field like any other', async () => {
    const message = await once([{ rename: { a: 'b' } }], '{"__proto__":{"x":1},"a":2}');
    expect(message?.payload.toString()).toBe('{"__proto__":{"x":1},"b":2}');
    const set = await once([{ set: { fields: { '__proto__.x': 1 } } }], {});
    expect(set?.payload.toString()).toBe('{"__proto__":{"x":1}}');
    expect(({} as { x?: number }).x).toBeUndefined();
  });

  test('units converts, with as many decimals as wanted', async () => {
    const units = { t: { from: 'fahrenheit', to: 'celsius', decimals: 1 }, p: { from: 'bar', to: 'kilopascal' } };
    expect(jsonOf(await once([{ units }], { t: 70, p: 1.5, x: 1 }))).toEqual({ t: 21.1, p: 150, x: 1 });
  });

  test('topic is written anew by template or by pattern', async () => {
    expect((await once([{ topic: `plant/\${topic[2]}/\${value.id}` }], { id: 'x9' }))?.topic).toBe(
      'plant/temperature/x9',
    );
    expect((await once([{ topic: { match: '^factory/(\\d+)/', to: 'line-$1/' } }], {}))?.topic).toBe(
      'line-7/temperature',
    );
  });

  const oneLevel = `\${value.id} stands for one level of a topic, and`;
  test.each<[unknown, string]>([
    ['+', `${oneLevel} "+" holds "+"`],
    ['x/#', `${oneLevel} "x/#" holds "/"`],
    ['a/b', `${oneLevel} "a/b" holds "/"`],
    ['#', `${oneLevel} "#" holds "#"`],
    ['a\0', `${oneLevel} "a\\u0000" holds "\\u0000"`],
    ['', `${oneLevel} there is nothing in it`],
    [null, `${oneLevel} there is nothing in it`],
    [undefined, `${oneLevel} there is nothing in it`],
    [{ a: '/' }, `${oneLevel} "{\\"a\\":\\"/\\"}" holds "/"`],
  ])('%j in the place of a placeholder is no level, and the message waits in quarantine', async (id, reason) => {
    const bench = await benchWith([{ topic: `a/x-\${value.id}` }]);
    expect(await bench.publish(aPublish({ id }))).toEqual({ verdict: 'drop' });
    expect((await bench.quarantined())[0]?.reason).toBe(reason);
  });

  test('a value does not lead to topics that begin with $, and a client id fills one level as well', async () => {
    const bench = await benchWith([{ topic: `\${value.id}/x` }, { topic: `\${topic}/\${clientId}` }]);
    await bench.publish(aPublish({ id: '$foo' }));
    await bench.publish(aPublish({ id: 'ok' }), { ...aClient, clientId: 'sensor/1' });
    expect((await bench.quarantined()).map(({ reason }) => reason)).toEqual([
      `${oneLevel} "$foo" begins with "$"`,
      `\${clientId} stands for one level of a topic, and "sensor/1" holds "/"`,
    ]);
    expect((await bench.messages(aPublish({ id: 'ok' })))[0]?.topic).toBe('ok/x/sensor-1');
  });

  test('a topic that is none fails', async () => {
    const bench = await benchWith([{ topic: { match: '^.*$', to: 'a/+' } }]);
    expect(await bench.publish(aPublish({}))).toEqual({ verdict: 'drop' });
    expect((await bench.quarantined())[0]?.reason).toContain('cannot be a topic');
  });
});

describe('thinning', () => {
  const at = (bench: PipelineBench, payload: object, topic = 'a') => bench.publish(aPublish(payload, { topic }));
  const keep = { verdict: 'keep' };
  const drop = { verdict: 'drop' };

  test('throttle lets one pass per topic and interval', async () => {
    const bench = await benchWith([{ throttle: { seconds: 10 } }]);
    expect(await at(bench, {})).toEqual(keep);
    bench.now += 9_999;
    expect(await at(bench, {})).toEqual(drop);
    expect(await at(bench, {}, 'b')).toEqual(keep);
    bench.now += 1;
    expect(await at(bench, {})).toEqual(keep);
  });

  test('deadband lets pass what moved far enough from what passed last', async () => {
    const bench = await benchWith([{ deadband: { field: 't', absolute: 1, maxSeconds: 60 } }]);
    expect(await at(bench, { t: 20 })).toEqual(keep);
    expect(await at(bench, { t: 20.6 })).toEqual(drop);
    expect(await at(bench, { t: 20.9 })).toEqual(drop);
    expect(await at(bench, { t: 21 })).toEqual(keep);
    bench.now += 60_000;
    expect(await at(bench, { t: 21 })).toEqual(keep);
  });

  test('a deadband in percent is one of the value that passed last', async () => {
    const bench = await benchWith([{ deadband: { field: 't', percent: 10 } }]);
    expect(await at(bench, { t: 50 })).toEqual(keep);
    expect(await at(bench, { t: 54 })).toEqual(drop);
    expect(await at(bench, { t: 55 })).toEqual(keep);
  });

  test('on-change compares the payload, or some of its fields', async () => {
    const all = await benchWith([{ 'on-change': {} }]);
    expect(await at(all, { a: 1 })).toEqual(keep);
    expect(await at(all, { a: 1 })).toEqual(drop);
    expect(await at(all, { a: 2 })).toEqual(keep);
    const some = await benchWith([{ 'on-change': { fields: ['a'] } }]);
    expect(await at(some, { a: 1, n: 1 })).toEqual(keep);
    expect(await at(some, { a: 1, n: 2 })).toEqual(drop);
  });

  test('dedupe drops what came before within its time', async () => {
    const bench = await benchWith([{ dedupe: { seconds: 5, field: 'id' } }]);
    expect(await at(bench, { id: 1 })).toEqual(keep);
    expect(await at(bench, { id: 2 })).toEqual(keep);
    expect(await at(bench, { id: 1, retry: true })).toEqual(drop);
    bench.now += 5_000;
    expect(await at(bench, { id: 1 })).toEqual(keep);
  });

  test('aggregate gives a summary of each window, whether or not more comes', async () => {
    const bench = await benchWith([
      { aggregate: { seconds: 60, fields: { t: ['mean', 'min', 'max', 'last', 'p50'] } } },
    ]);
    for (const t of [1, 2, 3, 10]) expect(await at(bench, { t })).toEqual(drop);
    await bench.tick(59);
    expect(bench.emitted).toEqual([]);
    await bench.tick(1);
    expect(bench.emitted.map(({ topic }) => topic)).toEqual(['a']);
    expect(jsonOf(bench.emitted[0])).toEqual({
      from: '2026-01-02T03:04:05.000Z',
      to: '2026-01-02T03:05:05.000Z',
      count: 4,
      t: { mean: 4, min: 1, max: 10, last: 10, p50: 2 },
    });
    await bench.tick(60);
    expect(bench.emitted).toHaveLength(1);
  });

  test('what a window holds goes through the stages behind it', async () => {
    const bench = await benchWith([
      { aggregate: { seconds: 1, fields: { t: ['max'] } } },
      { filter: 'value.t.max > 5.0' },
      { topic: `summary/\${topic}` },
    ]);
    await at(bench, { t: 1 }, 'low');
    await at(bench, { t: 9 }, 'high');
    await bench.tick(1);
    expect(bench.emitted.map(({ topic }) => topic)).toEqual(['summary/high']);
  });

  test('batch gathers so many messages, or those of so long', async () => {
    const bench = await benchWith([{ batch: { messages: 3, seconds: 10 } }]);
    for (const n of [1, 2]) expect(await at(bench, { n })).toEqual(drop);
    const [full] = await bench.messages(aPublish({ n: 3 }, { topic: 'a' }));
    expect(jsonOf(full)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    await at(bench, { n: 4 });
    await bench.tick(10);
    expect(jsonOf(bench.emitted[0])).toEqual([{ n: 4 }]);
  });

  test('topics are remembered up to the limit: the one that was heard of least recently goes', async () => {
    const bench = await benchWith([{ throttle: { seconds: 10 } }], { topicStates: 2 });
    for (const topic of ['a', 'b', 'c']) expect(await at(bench, {}, topic)).toEqual(keep);
    expect(await at(bench, {}, 'c')).toEqual(drop);
    expect(await at(bench, {}, 'a')).toEqual(keep);
  });

  test('a topic that was heard of again stays, and one in the middle may go', async () => {
    const bench = await benchWith([{ 'on-change': {} }], { topicStates: 3 });
    for (const topic of ['a', 'b', 'c']) expect(await at(bench, {}, topic)).toEqual(keep);
    for (const topic of ['b', 'a']) expect(await at(bench, {}, topic)).toEqual(drop);
    expect(await at(bench, {}, 'd')).toEqual(keep);
    for (const topic of ['b', 'a', 'd']) expect(await at(bench, {}, topic)).toEqual(drop);
    for (const topic of ['c', 'b']) expect(await at(bench, {}, topic)).toEqual(keep);
    expect(await at(bench, {}, 'd')).toEqual(drop);
  });

  test('a window that has to make room is published early, and what is held at the end as well', async () => {
    const bench = await benchWith([{ batch: { messages: 10, seconds: 10 } }], { topicStates: 1 });
    await at(bench, { n: 1 }, 'a');
    const [displaced] = await bench.messages(aPublish({ n: 2 }, { topic: 'b' }));
    expect([displaced?.topic, jsonOf(displaced)]).toEqual(['a', [{ n: 1 }]]);
    await bench.pipelines.close();
    expect(bench.emitted.map((message) => [message.topic, jsonOf(message)])).toEqual([['b', [{ n: 2 }]]]);
  });
});

describe('several pipelines', () => {
  test('those that match follow each other, each by the topic that the message has by then', async () => {
    const bench = new PipelineBench();
    await bench.configure(
      { name: 'first', filter: 'raw/#', stages: [{ topic: { match: '^raw/', to: 'clean/' } }] },
      { name: 'second', filter: 'clean/#', stages: [{ set: { fields: { seen: true } } }] },
      { name: 'third', filter: 'raw/#', stages: [{ set: { fields: { never: true } } }] },
    );
    const [message] = await bench.messages(aPublish({}, { topic: 'raw/a' }));
    expect([message?.topic, jsonOf(message)]).toEqual(['clean/a', { seen: true }]);
  });

  test('a topic that no pipeline wants is none of their concern', async () => {
    const bench = new PipelineBench();
    await bench.configure({ name: 'p', filter: 'a/+', stages: [{ decode: 'json' }] });
    expect([bench.pipelines.concerns('a/b'), bench.pipelines.concerns('b')]).toEqual([true, false]);
  });
});

describe('the quarantine', () => {
  test('is bounded: the oldest make room, counted', async () => {
    const bench = await benchWith([{ decode: 'json' }], { quarantineMessages: 2 });
    for (const payload of ['{1', '{2', '{3']) await bench.publish(aPublish(payload));
    const entries = await bench.quarantined();
    expect(entries.map(({ message }) => message.payload.toString())).toEqual(['{2', '{3']);
    const dropped = bench.pipelines.metrics.find(({ name }) => name === 'sluice_quarantine_dropped_total');
    expect([...dropped!.samples()]).toEqual([{ labels: {}, value: 1 }]);
  });
});
