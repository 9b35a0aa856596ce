/** The tree of topics as it is published to: what a look at it has, and that nobody pays for it who does not look. */
import { describe, expect, test } from 'vitest';
import { TopicWatches } from '../../../src/broker/topic-watches.ts';
import { topicTree } from '../../../src/contracts/commands/topics.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { apiBroker } from '../../support/api-broker.ts';
import { ApiLines } from '../../support/api-lines.ts';
import { unique } from '../../support/wire-client.ts';

describe('topics watch', () => {
  const broker = apiBroker();
  const ndjson = { Accept: 'application/x-ndjson' };
  const watch = async (query: string, key?: string) => {
    const asked = key === undefined ? { headers: ndjson } : { headers: ndjson, key };
    return new ApiLines(await broker.open('GET', `/topics/stream?${query}`, asked));
  };
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into it
  const levelOf = (tree: any, level: string) => tree.items.find((item: { level: string }) => item.level === level);

  test('tells of topics below a prefix, how often they are published to, and their last messages', async () => {
    const base = unique('site');
    await broker.sluice.publish(`${base}/kept`, 'old', { retain: true });
    const lines = await watch(`prefix=${base}`);
    expect(topicTree.parse(await lines.next())).toMatchObject({ prefix: base, hasValues: true });
    await lines.until((tree) => levelOf(tree, 'kept')?.isRetained);

    const client = await broker.connect({ version: 5 });
    for (let i = 0; i < 4; i++) await client.publish(`${base}/hall/${i % 2}/t`, 'x', { qos: 1 });
    await client.publish(`${base}/hall`, '{"t":21.5}', { qos: 1, properties: { contentType: 'application/json' } });
    await client.publish(`other/${base}`, 'x', { qos: 1 });
    const tree = topicTree.parse(await lines.until((each) => levelOf(each, 'hall')?.own.messageRate > 0));
    expect(tree.items.map(({ level }) => level)).toEqual(['kept', 'hall']);
    expect(levelOf(tree, 'hall')).toMatchObject({
      topic: `${base}/hall`,
      isRetained: false,
      own: { messages: 1, bytes: 10 },
      below: { messages: 4, bytes: 4 },
      topicsBelow: 2,
      last: {
        payload: '{"t":21.5}',
        encoding: 'json',
        format: 'json',
        isCut: false,
        qos: 1,
        retain: false,
        publisher: { kind: 'client' },
      },
    });
    expect(levelOf(tree, 'kept')).toMatchObject({ own: { messages: 0 }, last: null });
    await lines.close();
    await client.disconnect();
  });

  test('gives no messages to viewers', async () => {
    const base = unique('secret');
    const lines = await watch(`prefix=${base}`, await broker.keyFor('viewer'));
    await lines.next();
    await broker.sluice.publish(`${base}/a`, 'for operators only');
    const tree = await lines.until((each) => levelOf(each, 'a') !== undefined);
    expect(tree.hasValues).toBe(false);
    expect(JSON.stringify(tree)).not.toContain('for operators only');
    await lines.close();
  });

  test('reads what a pipeline can read, and gives the beginning of what is long', async () => {
    const base = unique('formats');
    const lines = await watch(`prefix=${base}`);
    await lines.next();
    await broker.sluice.publish(`${base}/cbor`, Buffer.from('a1617401', 'hex'), { contentType: 'application/cbor' });
    await broker.sluice.publish(`${base}/long`, 'é'.repeat(1_000));
    await broker.sluice.publish(`${base}/bytes`, Buffer.from([0xff, 0]));
    const tree = await lines.until((each) => levelOf(each, 'bytes') !== undefined);
    expect(levelOf(tree, 'cbor').last).toMatchObject({ payload: '{"t":1}', format: 'cbor' });
    expect(levelOf(tree, 'long').last).toMatchObject({ payload: 'é'.repeat(256), bytes: 2_000, isCut: true });
    expect(levelOf(tree, 'bytes').last).toMatchObject({ payload: '/wA=', encoding: 'base64' });
    await lines.close();
  });

  test('tells 200 topics apart, and sums what comes to others; those with a text in them are looked for', async () => {
    const base = unique('many');
    const [lines, found] = [await watch(`prefix=${base}`), await watch(`prefix=${base}&contains=DEVICE-24`)];
    await lines.next();
    await found.next();
    for (let i = 0; i < 250; i++) await broker.sluice.publish(`${base}/device-${i}`, 'x');
    const tree = await lines.until((each) => each.items.length === 200 && each.others.messages === 50);
    expect(tree.others).toMatchObject({ messages: 50, bytes: 50 });
    const some = await found.until((each) => each.items.length === 11);
    expect(some.items.map(({ level }: { level: string }) => level)).toContain('device-249');
    await lines.close();
    await found.close();
  });

  test('topics tree looks for a while', async () => {
    const base = unique('once');
    const looked = broker.ask('GET', `/topics?prefix=${base}&forSeconds=1`);
    let isOver = false;
    void looked.then(() => (isOver = true));
    while (!isOver) {
      await broker.sluice.publish(`${base}/a`, 'x');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const { status, json } = await looked;
    expect(status).toBe(200);
    const [item] = topicTree.parse(json).items;
    expect(item).toMatchObject({ level: 'a', last: { payload: 'x', encoding: 'text' } });
    expect(item!.own.messageRate).toBeGreaterThan(1);
  });

  test('topics that begin with a slash are below an empty level', async () => {
    const base = unique('slash');
    const lines = await watch('prefix=');
    expect(await lines.next()).toMatchObject({ prefix: '' });
    await broker.sluice.publish(`/${base}`, 'x');
    const tree = await lines.until((each) => levelOf(each, base) !== undefined);
    expect(levelOf(tree, base)).toMatchObject({ topic: `/${base}`, own: { messages: 1 } });
    await lines.close();
  });

  test('messages decode tells what is in a payload', async () => {
    const ask = (body: object) => broker.ask('POST', '/messages/decode', { body: { topic: 'a', ...body } });
    const payload = Buffer.from('a1617401', 'hex').toString('base64');
    expect((await ask({ payload, decode: 'cbor' })).json).toMatchObject({ payload: '{"t":1}', encoding: 'json' });
    expect((await ask({ payload, decode: 'json' })).json).toMatchObject({ decodeError: expect.stringMatching(/JSON/) });
    expect((await ask({ payload, decode: 'avro:none' })).status).toBe(409);
  });
});

describe('what a look costs', () => {
  const messageTo = (topic: Topic, payload = 'x') => Message.of(topic, Buffer.from(payload));

  function watches() {
    const told = { observer: null as ((message: Message) => void) | null, now: 0 };
    const all = new TopicWatches({
      observe: (observer) => (told.observer = observer),
      now: () => told.now,
      retained: () => [][Symbol.iterator](),
      work: (step) => {
        while (step());
      },
    });
    return { told, all };
  }

  test('is nothing while nobody looks', () => {
    const { told, all } = watches();
    expect(told.observer).toBeNull();
    const abort = new AbortController();
    all.follow(null, '', abort.signal);
    expect(told.observer).not.toBeNull();
    abort.abort();
    expect(told.observer).toBeNull();
    expect(all.count).toBe(0);
  });

  test('is bounded in watches, topics, names and topics that are counted', () => {
    const { told, all } = watches();
    const abort = new AbortController();
    const { watch } = all.follow(null, '', abort.signal);
    for (let i = 1; i < 32; i++) all.follow(`${i}`, '', new AbortController().signal);
    expect(() => all.follow('one more', '', abort.signal)).toThrow(/32/);
    for (let i = 0; i < 120_000; i++) told.observer!(messageTo(Topic.of(`a/${i}`)));
    const [a] = watch.topics.values();
    expect(a).toMatchObject({ level: 'a', isCountCut: true });
    expect(a!.topicsBelow.size).toBeLessThanOrEqual(100_000);
    told.observer!(messageTo(Topic.of('x'.repeat(10_000))));
    expect(watch.others.messages).toBe(1);
    abort.abort();
    expect(a!.topicsBelow.size).toBe(0);
  });

  test('rates are the mean of the last seconds, and end', () => {
    const { told, all } = watches();
    const { watch } = all.follow('a', '', new AbortController().signal);
    const topic = Topic.of('a/b');
    for (let i = 0; i < 10; i++) told.observer!(messageTo(topic, 'four'));
    all.tick((told.now = 2_000));
    const { own } = watch.topics.get('b')!;
    expect(own).toMatchObject({ messages: 10, bytes: 40, messageRate: 5, byteRate: 20 });
    all.tick((told.now = 4_000));
    expect(own.messageRate).toBeGreaterThan(1);
    for (let i = 3; i < 40; i++) all.tick((told.now = i * 2_000));
    expect(own).toMatchObject({ messageRate: 0, byteRate: 0, messages: 10 });
  });

  test('the last message is a copy: the next one is written to the same bytes', () => {
    const { told, all } = watches();
    const { watch } = all.follow('a', '', new AbortController().signal);
    const topic = Topic.of('a/b');
    told.observer!(messageTo(topic, 'first'));
    const first = watch.topics.get('b')!.last!.opened();
    told.observer!(messageTo(topic, 'other and longer'));
    expect(first.payload.toString()).toBe('first');
    expect(watch.topics.get('b')!.last!.opened().payload.toString()).toBe('other and longer');
  });
});
