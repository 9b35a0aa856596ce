/** Messages as a stream of events over HTTP: whose they are, what is acknowledged, and what a slow reader misses. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import type { StreamEvent } from '../../../src/contracts/commands/messages.ts';
import { apiBroker } from '../../support/api-broker.ts';
import { unique } from '../../support/wire-client.ts';

const broker = apiBroker({
  authorization: {
    default: 'allow',
    rules: [{ deny: 'subscribe', topics: ['secret/#'], for: { username: 'ada' } }],
  },
});

/** Reads line by line; the first one says that it is open. */
class Lines {
  readonly response: IncomingMessage;
  readonly #events: AsyncGenerator<StreamEvent>;

  constructor(response: IncomingMessage) {
    this.response = response;
    this.#events = this.#read();
  }

  async *#read(): AsyncGenerator<StreamEvent> {
    let text = '';
    for await (const chunk of this.response) {
      text += chunk;
      for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
        yield JSON.parse(text.slice(0, end)) as StreamEvent;
        text = text.slice(end + 1);
      }
    }
  }

  async next(): Promise<StreamEvent> {
    const { value, done } = await this.#events.next();
    if (done === true) throw new Error('the stream has ended');
    return value;
  }

  async close(): Promise<void> {
    if (this.response.closed) return;
    const closed = once(this.response, 'close');
    this.response.destroy();
    await closed;
  }
}

async function stream(query: string, asked = {}): Promise<Lines> {
  const headers = { Accept: 'application/x-ndjson' };
  const lines = new Lines(await broker.open('GET', `/messages/stream?${query}`, { headers, ...asked }));
  expect(await lines.next()).toMatchObject({ event: 'opened' });
  return lines;
}

const filterOf = (...filters: string[]) => filters.map((filter) => `filter=${encodeURIComponent(filter)}`).join('&');

describe('messages stream', () => {
  test('gives messages of several filters with their properties, retained ones first', async () => {
    const base = unique('stream');
    await broker.sluice.publish(`${base}/kept`, 'old', { retain: true });
    const lines = await stream(`${filterOf(`${base}/kept`, `${base}/+/x`)}&decode=base64`);
    expect(await lines.next()).toMatchObject({ message: { topic: `${base}/kept`, retain: true } });
    await broker.sluice.publish(`${base}/1/x`, Buffer.from([255]), { contentType: 'a/b', qos: 1 });
    expect(await lines.next()).toEqual({
      event: 'message',
      message: {
        ...{ topic: `${base}/1/x`, payload: '/w==', qos: 1, retain: false, contentType: 'a/b' },
        ...{ messageExpirySeconds: null, payloadFormatIndicator: null, responseTopic: null, correlationData: null },
        userProperties: [],
        ...{ encoding: 'base64', format: null, decodeError: null },
      },
      number: null,
      count: null,
      reason: null,
    });
    await lines.close();
  });

  test('reads payloads as they are asked to be read, and gives what cannot be read with the reason', async () => {
    const topic = unique('decode');
    const lines = await stream(`${filterOf(topic)}&decode=auto`);
    const payloads = [Buffer.from('{"t": 21}'), Buffer.of(0xa1, 0x61, 0x74, 0x15), Buffer.of(0, 1, 255)];
    for (const payload of payloads) await broker.sluice.publish(topic, payload, { qos: 1 });
    expect((await lines.next()).message).toMatchObject({ payload: '{"t":21}', encoding: 'json', format: 'json' });
    expect((await lines.next()).message).toMatchObject({ payload: '{"t":21}', encoding: 'json', format: 'cbor' });
    expect((await lines.next()).message).toMatchObject({
      ...{ payload: 'AAH/', encoding: 'base64', format: null },
      decodeError: 'it is none of JSON, CBOR, MessagePack and text',
    });
    await lines.close();
  });

  test.each(['protobuf:other', 'avro:other', 'xml', 'protobuf:../../etc/passwd'])(
    'begins with no decoding that there is not, such as %s',
    async (decode) => {
      const { status } = await broker.ask('GET', `/messages/stream?${filterOf('a')}&decode=${decode}`);
      expect(status).toBe(decode.endsWith('other') ? 409 : 400);
    },
  );

  test('comes as server-sent events to who asks for them', async () => {
    const topic = unique('sse');
    const headers = { Accept: 'text/event-stream' };
    const response = await broker.open('GET', `/messages/stream?${filterOf(topic)}`, { headers });
    expect(response.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    let text = '';
    for await (const chunk of response) {
      const wasOpened = text.includes('"opened"');
      text += chunk;
      if (!wasOpened && text.includes('"opened"')) await broker.sluice.publish(topic, 'x');
      if (text.includes(topic)) break;
    }
    expect(text).toMatch(/^:\n\ndata: \{"event":"opened".*\n\ndata: \{"event":"message".*\n\n$/);
  });

  test('goes by the rules of the user, at its begin and after', async () => {
    const key = await broker.keyFor('publisher', 'ada');
    expect((await broker.ask('GET', `/messages/stream?${filterOf('secret/a')}`, { key })).status).toBe(403);
    const topic = unique('open');
    const lines = await stream(filterOf('+/b', '+'), { key });
    await broker.sluice.publish('secret/b', 'x');
    await broker.sluice.publish(topic, 'y');
    expect(await lines.next()).toMatchObject({ message: { topic } });
    await lines.close();
    const viewer = await broker.keyFor('viewer');
    expect((await broker.ask('GET', `/messages/stream?${filterOf('a')}`, { key: viewer })).status).toBe(403);
  });

  test('leaves no session behind without a name', async () => {
    const lines = await stream(filterOf('a'));
    const sessions = async () => (await broker.sluice.command('clients list', { clientIdPrefix: '\0' })).items;
    expect(await sessions()).toHaveLength(1);
    await lines.close();
    await expect.poll(sessions).toEqual([]);
  });
});

describe('a stream with a name', () => {
  const acknowledge = (name: string, upTo: number) => broker.ask('POST', '/messages/ack', { body: { name, upTo } });

  test('goes on where it was, also after a restart, with what was not acknowledged', async () => {
    const [name, topic] = [unique('named'), unique('topic')];
    const query = `${filterOf(topic)}&name=${name}`;
    const first = await stream(query);
    for (const payload of ['1', '2', '3']) await broker.sluice.publish(topic, payload, { qos: 1 });
    const got = [await first.next(), await first.next(), await first.next()];
    expect(got.map(({ message }) => message!.payload)).toEqual(['1', '2', '3']);
    expect((await acknowledge(name, got[1]!.number!)).json).toEqual({ count: 2 });
    await first.close();
    await broker.sluice.publish(topic, '4', { qos: 1 });
    await broker.restart();
    await broker.sluice.publish(topic, '5', { qos: 1 });
    const second = await stream(query);
    const again = [await second.next(), await second.next(), await second.next()];
    expect(again.map(({ message }) => message!.payload)).toEqual(['3', '4', '5']);
    expect(again[0]!.number).toBe(got[2]!.number);
    expect((await acknowledge(name, again[2]!.number!)).json).toEqual({ count: 3 });
    expect((await acknowledge(name, again[2]!.number!)).json).toEqual({ count: 0 });
    await second.close();
    const third = await stream(query);
    await broker.sluice.publish(topic, '6', { qos: 1 });
    expect(await third.next()).toMatchObject({ message: { payload: '6' } });
    await third.close();
  });

  test('holds nobody up when the broker stops, and loses nothing', async () => {
    const [name, topic] = [unique('named'), unique('topic')];
    const query = `${filterOf(topic)}&name=${name}`;
    const open = await stream(query);
    await broker.sluice.publish(topic, 'x', { qos: 1 });
    await open.next();
    const begun = performance.now();
    await broker.restart();
    // It would wait for ten seconds.
    expect(performance.now() - begun).toBeLessThan(9_000);
    const again = await stream(query);
    expect(await again.next()).toMatchObject({ message: { payload: 'x' } });
    await again.close();
  });

  test('takes the place of the one before it', async () => {
    const [name, topic] = [unique('named'), unique('topic')];
    const query = `${filterOf(topic)}&name=${name}`;
    const first = await stream(query);
    const second = await stream(query);
    expect(await first.next()).toMatchObject({ event: 'ended', reason: 'another stream took its name' });
    await broker.sluice.publish(topic, 'x', { qos: 1 });
    expect(await second.next()).toMatchObject({ message: { topic } });
    await second.close();
  });

  test('has the filters that it was opened with last', async () => {
    const [name, one, two] = [unique('named'), unique('one'), unique('two')];
    await (await stream(`${filterOf(one)}&name=${name}`)).close();
    const lines = await stream(`${filterOf(two)}&name=${name}`);
    await broker.sluice.publish(one, 'x', { qos: 1 });
    await broker.sluice.publish(two, 'y', { qos: 1 });
    expect(await lines.next()).toMatchObject({ message: { topic: two } });
    await lines.close();
  });

  test('is one of a hundred of its key, and stays for 30 days at most', async () => {
    const key = await broker.keyFor('publisher', 'many');
    const open = (name: string) => `${filterOf('a')}&name=${name}`;
    for (let i = 0; i < 100; i++) await (await stream(open(`many${i}`), { key })).close();
    const refused = await broker.ask('GET', `/messages/stream?${open('more')}`, { key });
    expect(refused).toMatchObject({ status: 409, json: { detail: expect.stringContaining('100 streams') } });
    await (await stream(open('many7'), { key })).close();
    await (await stream(open('other'))).close();
    const tooLong = await broker.ask('GET', `/messages/stream?${open('many8')}&keepSeconds=2592001`, { key });
    expect(tooLong.status).toBe(400);
  });

  test('is of one key, and must be open to be acknowledged', async () => {
    const name = unique('named');
    expect((await acknowledge(name, 1)).status).toBe(409);
    const lines = await stream(`${filterOf('a')}&name=${name}`);
    const key = await broker.keyFor('publisher', 'bob');
    const other = await broker.ask('POST', '/messages/ack', { key, body: { name, upTo: 1 } });
    expect(other.status).toBe(409);
    await lines.close();
  });
});

describe('a reader that is slow', () => {
  test('loses QoS 0 and is told how much; QoS 1 waits, and all keeps its order', async () => {
    const topic = unique('slow');
    const lines = await stream(`${filterOf(topic)}&qos=1`);
    const count = 1_000;
    for (let i = 0; i < count; i++) {
      // Far more than is on its way in sockets.
      await broker.sluice.publish(topic, `${i} ${'x'.repeat(65_000)}`);
      await new Promise(setImmediate);
    }
    await broker.sluice.publish(topic, 'the last', { qos: 1 });
    let lost = 0;
    const read: number[] = [];
    for (;;) {
      const { event, count: dropped, message } = await lines.next();
      if (event === 'dropped') lost += dropped!;
      else if (message?.payload === 'the last') break;
      else read.push(Number.parseInt(message!.payload, 10));
    }
    expect(lost).toBeGreaterThan(0);
    expect(read.length + lost).toBe(count);
    expect(read).toEqual(read.toSorted((one, other) => one - other));
    await lines.close();
  });

  test('gets all retained messages, however many there are', async () => {
    const base = unique('many');
    const count = 1_500;
    for (let i = 0; i < count; i++) await broker.sluice.publish(`${base}/${i}`, 'x'.repeat(1_000), { retain: true });
    const lines = await stream(filterOf(`${base}/#`));
    const topics = new Set<string>();
    for (let i = 0; i < count; i++) topics.add((await lines.next()).message!.topic);
    expect(topics.size).toBe(count);
    await lines.close();
  });
});
