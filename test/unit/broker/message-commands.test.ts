/** Publishing by command, and asking for an answer: over HTTP, and from the program. */
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apiBroker } from '../../support/api-broker.ts';
import { unique, type WireClient } from '../../support/wire-client.ts';

const broker = apiBroker(
  {
    authorization: {
      default: 'allow',
      rules: [
        { deny: 'publish', topics: ['secret/#'], for: { username: 'ada' } },
        { deny: 'subscribe', topics: ['sluice/responses/#'], for: { username: 'eve' } },
      ],
    },
  },
  {
    authorizePublish: (client, topic) => (topic.name === 'hooked' && client.username === 'bob' ? 0x87 : 0),
    onPublish(client, { topic }) {
      if (topic === 'rejected') return { verdict: 'reject', reasonCode: 0x99, reason: 'no number' };
      if (topic !== 'changed') return { verdict: 'keep' };
      return { verdict: 'change', change: { payload: Buffer.from(`of ${client.username}`) } };
    },
  },
);
const publish = (messages: object[], asked = {}) => broker.ask('POST', '/publish', { body: { messages }, ...asked });

describe('publish', () => {
  let watcher: WireClient;
  const topic = unique('published');
  beforeAll(async () => {
    watcher = await broker.connect({ version: 5 });
    await watcher.subscribe(`${topic}/#`, { qos: 2 });
  });
  afterAll(() => watcher.disconnect());

  test('sends a message with all that a PUBLISH can have', async () => {
    const { status, json } = await publish([
      {
        topic: `${topic}/all`,
        payloadBase64: Buffer.from([0, 255]).toString('base64'),
        qos: 2,
        messageExpirySeconds: 60,
        payloadFormatIndicator: false,
        contentType: 'application/octet-stream',
        responseTopic: 'answers',
        correlationData: Buffer.from('7').toString('base64'),
        userProperties: [
          ['a', '1'],
          ['a', '2'],
        ],
      },
    ]);
    expect({ status, json }).toEqual({
      status: 200,
      json: { outcomes: [{ reasonCode: 0, matched: true, reason: null }] },
    });
    const got = await watcher.next('publish');
    expect(got).toMatchObject({ topic: `${topic}/all`, payload: Buffer.from([0, 255]), qos: 2 });
    expect(got.properties).toMatchObject({
      contentType: 'application/octet-stream',
      responseTopic: 'answers',
      correlationData: Buffer.from('7'),
      payloadFormatIndicator: false,
      userProperties: { a: ['1', '2'] },
    });
    expect(got.properties!.messageExpiryInterval).toBeGreaterThan(58);
  });

  test('sends a thousand in their order, and says of each what became of it', async () => {
    const key = await broker.keyFor('publisher', 'bob');
    for (const asked of [{}, { key }]) {
      const messages = Array.from({ length: 1_000 }, (_, i) => ({ topic: `${topic}/${i % 7}`, payload: `${i}` }));
      messages[500] = { topic: '$SYS/broker', payload: 'x' };
      messages[501] = { topic: unique('nobody'), payload: 'x' };
      const { json } = await publish(messages, asked);
      expect(json.outcomes).toHaveLength(1_000);
      expect(json.outcomes[500]).toMatchObject({ matched: false, reason: expect.any(String) });
      expect(json.outcomes[500].reasonCode).toBeGreaterThanOrEqual(0x80);
      expect(json.outcomes[501]).toEqual({ reasonCode: 0x10, matched: false, reason: null });
      const got = await watcher.collect('publish', 998);
      const wanted = Array.from({ length: 1_000 }, (_, i) => `${i}`).filter((each) => each !== '500' && each !== '501');
      expect(got.map(({ payload }) => `${payload}`)).toEqual(wanted);
    }
  });

  test('has stored what it answers', async () => {
    const [clientId, kept] = [unique('away'), unique('kept')];
    const client = await broker.stay(clientId);
    await client.subscribe(kept, { qos: 1 });
    await client.disconnect();
    await publish([{ topic: kept, payload: 'one', qos: 1, retain: true }]);
    await watcher.disconnect();
    await broker.restart();
    const back = await broker.stay(clientId);
    expect(await back.next('publish')).toMatchObject({ topic: kept, qos: 1 });
    await back.disconnect();
    expect(await broker.sluice.command('retained list', { topicFilter: kept })).toMatchObject({ items: [{ qos: 1 }] });
    watcher = await broker.connect({ version: 5 });
  });

  test('of a key with a user goes by the rules of that user', async () => {
    const key = await broker.keyFor('publisher', 'ada');
    const messages = [
      { topic: 'secret/a', payload: 'x' },
      { topic: '$internal', payload: 'x' },
      { topic: 'open', payload: 'x' },
    ];
    const codes = async (asked: object) =>
      (await publish(messages, asked)).json.outcomes.map(({ reasonCode }: { reasonCode: number }) => reasonCode);
    expect(await codes({ key })).toEqual([0x87, 0x87, 0x10]);
    expect(await codes({})).toEqual([0x10, 0x10, 0x10]);
  });

  test('of a key with a user passes hooks and pipelines, and that of another key passes none', async () => {
    await watcher.subscribe('changed');
    const key = await broker.keyFor('publisher', 'bob');
    const messages = ['hooked', 'rejected', 'changed'].map((each) => ({ topic: each, payload: 'x' }));
    expect((await publish(messages, { key })).json.outcomes).toEqual([
      { reasonCode: 0x87, matched: false, reason: expect.stringMatching(/not authorized/) },
      { reasonCode: 0x99, matched: false, reason: 'no number' },
      { reasonCode: 0, matched: true, reason: null },
    ]);
    expect(`${(await watcher.next('publish')).payload}`).toBe('of bob');
    await publish(messages);
    expect(`${(await watcher.next('publish')).payload}`).toBe('x');
  });

  test.each([
    ['no topic', { payload: 'x' }],
    ['a wildcard', { topic: 'a/+', payload: 'x' }],
    ['a payload that is no base64', { topic: 'a', payloadBase64: '?' }],
    ['a QoS that is none', { topic: 'a', qos: 3 }],
  ])('with %s is refused as a whole', async (_, message) => {
    expect((await publish([{ topic: 'a' }, message])).status).toBe(400);
  });

  test('is nothing that a viewer may do', async () => {
    const key = await broker.keyFor('viewer');
    expect((await publish([{ topic: 'a' }], { key })).status).toBe(403);
  });

  test('takes a body as large as the largest message, and no larger one', async () => {
    const payload = (bytes: number) => [{ topic: 'large', payloadBase64: Buffer.alloc(bytes).toString('base64') }];
    expect((await publish(payload(1_040_000))).status).toBe(200);
    expect((await publish(payload(2_000_000))).status).toBe(413);
  });

  test('without Content-Length is counted as it comes', async () => {
    const body = JSON.stringify({ messages: [{ topic: 'chunked', payload: 'x' }] });
    const socket = connect(join(broker.directory, 'control.sock'));
    const head = 'POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
    socket.write(`${head}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n`);
    for (const part of [body.slice(0, 10), body.slice(10)]) {
      socket.write(`${part.length.toString(16)}\r\n${part}\r\n`);
    }
    socket.write('0\r\n\r\n');
    let answer = '';
    for await (const chunk of socket) answer += chunk;
    expect(answer).toMatch(/^HTTP\/1\.1 200 (?:.|\s)*"reasonCode":16/);
  });
});

describe('an Idempotency-Key', () => {
  test('has the same request answered again and not published again, also while it is under way', async () => {
    const topic = unique('once');
    const watcher = await broker.connect({ version: 5 });
    await watcher.subscribe(topic, { qos: 1 });
    const headers = { 'Idempotency-Key': unique('key') };
    const send = (payload: string) => publish([{ topic, payload, qos: 1 }], { headers });
    const [first, second] = await Promise.all([send('a'), send('a')]);
    expect(await send('a')).toMatchObject({ status: 200, json: first!.json });
    expect(second!.json).toEqual(first!.json);
    expect(await watcher.next('publish')).toMatchObject({ topic });
    await watcher.nothingElse();
    expect(await send('b')).toMatchObject({ status: 422, json: { type: '/api/v1/problems/idempotency-conflict' } });
    await watcher.disconnect();
  });

  test('that is none is refused', async () => {
    expect((await publish([{ topic: 'a' }], { headers: { 'Idempotency-Key': 'a b' } })).status).toBe(400);
  });
});

describe('request', () => {
  const ask = (body: object, asked = {}) => broker.ask('POST', '/request', { body, ...asked });

  test('is answered with what came to its Response Topic with its Correlation Data', async () => {
    const topic = unique('service');
    const responder = await broker.connect({ version: 5 });
    await responder.subscribe(topic, { qos: 1 });
    const asked = ask({ topic, payload: 'question', qos: 1 });
    const got = await responder.next('publish');
    responder.send({ cmd: 'puback', messageId: got.messageId });
    const { responseTopic, correlationData } = got.properties as { responseTopic: string; correlationData: Buffer };
    expect(responseTopic).toMatch(/^sluice\/responses\/[0-9a-f]{24}$/);
    await responder.publish(responseTopic, 'another', { qos: 1 });
    responder.send({
      cmd: 'publish',
      topic: responseTopic,
      payload: 'answer',
      qos: 0,
      properties: { correlationData, contentType: 'text/plain' },
    });
    expect(await asked).toMatchObject({
      status: 200,
      json: { payload: Buffer.from('answer').toString('base64'), contentType: 'text/plain', topic: responseTopic },
    });
    await responder.disconnect();
  });

  test('that nobody hears fails at once, and one that nobody answers in its time', async () => {
    expect(await ask({ topic: unique('nobody') })).toMatchObject({
      status: 504,
      json: { type: '/api/v1/problems/no-answer', detail: expect.stringMatching(/^Nobody is subscribed/) },
    });
    const topic = unique('silent');
    const listener = await broker.connect({ version: 5 });
    await listener.subscribe(topic);
    expect(await ask({ topic, timeoutSeconds: 1 })).toMatchObject({
      status: 504,
      json: { detail: 'No answer came within 1 s' },
    });
    await listener.disconnect();
  });

  test('goes by the rules of the user', async () => {
    const ada = await broker.keyFor('publisher', 'ada');
    expect((await ask({ topic: 'secret/x' }, { key: ada })).status).toBe(403);
    const eve = await broker.keyFor('publisher', 'eve');
    expect((await ask({ topic: 'open' }, { key: eve })).status).toBe(403);
  });

  test('of one key may wait with 64 others, and waits no longer once whoever asked has gone', async () => {
    const topic = unique('held');
    const listener = await broker.connect({ version: 5 });
    await listener.subscribe(topic);
    const body = JSON.stringify({ topic, timeoutSeconds: 60 });
    const head = 'POST /api/v1/request HTTP/1.1\r\nHost: localhost\r\n';
    const sockets = Array.from({ length: 64 }, () => {
      const socket = connect(join(broker.directory, 'control.sock'));
      socket.write(`${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      return socket;
    });
    await listener.collect('publish', 64);
    const waiting = async () =>
      (await broker.sluice.command('clients list', { clientIdPrefix: '\0', limit: 100 })).items.length;
    expect(await waiting()).toBe(64);
    expect((await ask({ topic })).status).toBe(429);
    const other = await broker.keyFor('publisher');
    expect((await ask({ topic: unique('nobody') }, { key: other })).status).toBe(504);
    for (const socket of sockets) socket.destroy();
    await expect.poll(waiting).toBe(0);
    await listener.disconnect();
  });

  test('leaves no client behind', async () => {
    const { items } = await broker.sluice.command('clients list', { clientIdPrefix: '\0' });
    expect(items).toEqual([]);
  });
});
