/** Spans of messages, as a collector gets them: publish, commit, and deliver to each subscriber. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ConfigInput } from '../../../src/config/schema.ts';
import { createBroker, type SluiceBroker } from '../../../src/index.ts';
import { type CollectedSpan, OtlpCollector } from '../../support/otlp-collector.ts';
import { WireClient } from '../../support/wire-client.ts';

let collector: OtlpCollector;
let broker: SluiceBroker;
let directory: string;
let clients: WireClient[];
beforeEach(async () => {
  collector = await OtlpCollector.open();
  directory = mkdtempSync(join(tmpdir(), 'sluice-spans-'));
  clients = [];
});
afterEach(async () => {
  for (const client of clients) if (!client.isClosed) await client.vanish();
  await broker.close();
  await collector.close();
  rmSync(directory, { recursive: true });
});

type Otlp = NonNullable<NonNullable<ConfigInput['telemetry']>['otlp']>;

async function start(otlp: Partial<Otlp> = {}, config: ConfigInput = {}): Promise<void> {
  broker = await createBroker({
    config: {
      listeners: [{ kind: 'tcp', port: 0 }],
      store: { kind: 'level', directory },
      telemetry: { otlp: { url: collector.url, ratio: 1, ...otlp } },
      sysIntervalSeconds: 0,
      log: { level: 'silent' },
      ...config,
    },
  });
}

async function connect(clientId: string, more: object = {}): Promise<WireClient> {
  const client = await WireClient.connect(broker.listeners[0]!.port, { version: 5, clientId, ...more });
  clients.push(client);
  return client;
}

/** Once there are so many of this name. */
async function spansOf(name: string, count = 1): Promise<CollectedSpan[]> {
  await expect.poll(() => collector.of(name).length).toBeGreaterThanOrEqual(count);
  return collector.of(name);
}

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const sampled: [string, string] = ['traceparent', `00-${traceId}-00f067aa0ba902b7-01`];
const unsampled: [string, string] = ['traceparent', `00-${traceId}-00f067aa0ba902b7-00`];
const parentOf = ({ properties }: { properties?: { [name: string]: unknown } }) =>
  (properties!.userProperties as { traceparent?: string }).traceparent!.split('-');

test('a message that is stored has a publish, a commit and a deliver span, in the trace of its publisher', async () => {
  await start();
  const subscriber = await connect('sub', { clean: false, properties: { sessionExpiryInterval: 100 } });
  await subscriber.subscribe('a/b', { qos: 1 });
  const publisher = await connect('pub');
  const userProperties = { before: '1', traceparent: sampled[1], tracestate: 'vendor=x', after: '2' };
  await publisher.publish('a/b', 'hello', { qos: 1, properties: { contentType: 'text/plain', userProperties } });
  const received = await subscriber.next('publish');
  await subscriber.acknowledge(received);
  const [publish] = await spansOf('publish');
  const [commit] = await spansOf('commit');
  const [deliver] = await spansOf('deliver');
  expect(publish).toMatchObject({
    ...{ traceId, parentSpanId: '00f067aa0ba902b7', traceState: 'vendor=x', kind: 2 },
    attributes: {
      'messaging.system': 'mqtt',
      'messaging.operation.name': 'publish',
      'messaging.destination.name': 'a/b',
      'messaging.client.id': 'pub',
      'messaging.message.body.size': 5,
      'network.protocol.name': 'mqtt',
      'network.protocol.version': '5.0',
      'network.peer.address': '127.0.0.1',
      'mqtt.qos': 1,
      'mqtt.retain': false,
      'mqtt.reason_code': 0,
    },
    resource: { 'service.name': 'sluice', 'service.version': expect.any(String) },
    status: { code: 0 },
  });
  expect(commit).toMatchObject({ traceId, parentSpanId: publish!.spanId, kind: 1 });
  expect(publish!.milliseconds).toBeGreaterThanOrEqual(commit!.milliseconds);
  expect(deliver).toMatchObject({ traceId, parentSpanId: publish!.spanId, kind: 4 });
  expect(deliver!.attributes).toMatchObject({ 'messaging.client.id': 'sub', 'mqtt.qos': 1, 'mqtt.reason_code': 0 });
  // What the subscriber does belongs to the same trace, and everything else is as it was sent.
  expect(received.properties).toMatchObject({ contentType: 'text/plain' });
  const traceparent = `00-${traceId}-${publish!.spanId}-01`;
  expect(Object.entries(received.properties!.userProperties as object)).toEqual([
    ...[
      ['before', '1'],
      ['traceparent', traceparent],
      ['tracestate', 'vendor=x'],
      ['after', '2'],
    ],
  ]);
});

test('each subscriber has a span of its own, which ends with its acknowledgement', async () => {
  await start();
  const subscribers = await Promise.all(['one', 'two', 'three'].map((name) => connect(name)));
  for (const [index, each] of subscribers.entries()) await each.subscribe('a', { qos: index });
  const publisher = await connect('pub');
  await publisher.publish('a', 'x', { qos: 2, properties: { userProperties: { traceparent: sampled[1] } } });
  const received = await Promise.all(subscribers.map((each) => each.next('publish')));
  await spansOf('deliver');
  expect(collector.of('deliver').map(({ attributes }) => attributes['messaging.client.id'])).toEqual(['one']);
  await subscribers[1]!.acknowledge(received[1]!);
  await spansOf('deliver', 2);
  await subscribers[2]!.acknowledge(received[2]!);
  const spans = await spansOf('deliver', 3);
  expect(spans.map(({ attributes }) => attributes['messaging.client.id'])).toEqual(['one', 'two', 'three']);
  expect(new Set(spans.map(({ parentSpanId }) => parentSpanId)).size).toBe(1);
});

test('a message that waits on disk for its subscriber keeps its trace over a restart', async () => {
  await start();
  const away = { clean: false, properties: { sessionExpiryInterval: 1_000 } };
  const before = await connect('away', away);
  await before.subscribe('a', { qos: 1 });
  await before.vanish();
  const publisher = await connect('pub');
  await publisher.publish('a', 'x', { qos: 1, properties: { userProperties: { traceparent: sampled[1] } } });
  await broker.close();
  await start();
  const after = await connect('away', away);
  await after.acknowledge(await after.next('publish'));
  const [publish] = await spansOf('publish');
  expect((await spansOf('deliver'))[0]).toMatchObject({ traceId, parentSpanId: publish!.spanId });
});

test('a client of an earlier version is part of the trace, though its messages do not say so', async () => {
  await start();
  const subscriber = await connect('old', { version: 4 });
  await subscriber.subscribe('a', { qos: 1 });
  const publisher = await connect('oldpub', { version: 4 });
  await publisher.publish('a', 'x', { qos: 1 });
  await subscriber.acknowledge(await subscriber.next('publish'));
  const [publish] = await spansOf('publish');
  expect(publish).toMatchObject({ parentSpanId: '', attributes: { 'network.protocol.version': '3.1.1' } });
  expect((await spansOf('deliver'))[0]).toMatchObject({ traceId: publish!.traceId, parentSpanId: publish!.spanId });
});

describe('no span, and a message as it was sent, has', () => {
  const asSent = async (traceparent: string | null) => {
    const subscriber = await connect('sub');
    await subscriber.subscribe('a', { qos: 1 });
    const publisher = await connect('pub');
    const userProperties = { ...(traceparent === null ? {} : { traceparent }), other: 'y' };
    await publisher.publish('a', 'x', { qos: 1, properties: { userProperties } });
    const received = await subscriber.next('publish');
    await subscriber.acknowledge(received);
    expect({ ...(received.properties!.userProperties as object) }).toEqual(userProperties);
    await broker.close();
    expect(collector.spans).toEqual([]);
  };

  test('one whose publisher does not sample it', async () => {
    await start();
    await asSent(unsampled[1]);
  });

  test('one without a trace where none begins', async () => {
    await start({ ratio: 0 });
    await asSent(null);
  });

  test.each([
    ['no form', 'yes'],
    ['another length', `${sampled[1]}-00`],
    ['an invalid version', sampled[1].replace(/^00/, 'ff')],
    ['no trace', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`],
  ])('one whose traceparent has %s, where no trace begins', async (_, traceparent) => {
    await start({ ratio: 0 });
    const subscriber = await connect('sub');
    await subscriber.subscribe('a');
    const publisher = await connect('pub');
    await publisher.publish('a', 'x', { properties: { userProperties: { traceparent } } });
    const received = await subscriber.next('publish');
    const [, trace] = parentOf(received);
    expect(trace).not.toBe(traceId);
  });
});

describe('what does not arrive is an error', () => {
  test('of publish, where the rules refuse it', async () => {
    await start({}, { authorization: { rules: [{ deny: 'publish', topics: ['#'] }] } });
    const publisher = await connect('pub');
    await publisher.publish('a', 'x', { qos: 1, properties: { userProperties: { traceparent: sampled[1] } } });
    expect((await spansOf('publish'))[0]).toMatchObject({
      ...{ traceId, status: { code: 2 } },
      attributes: { 'error.type': 'rules', 'mqtt.reason_code': 0x87 },
    });
  });

  test('of publish, where a pipeline refuses it', async () => {
    await start({}, { pipelines: [{ name: 'p', filter: '#', stages: [{ decode: 'json', onError: 'reject' }] }] });
    const publisher = await connect('pub');
    await publisher.publish('a', '{', { qos: 1, properties: { userProperties: { traceparent: sampled[1] } } });
    const [span] = await spansOf('publish');
    expect(span).toMatchObject({ status: { code: 2 }, attributes: { 'error.type': 'pipeline' } });
    expect(span!.status.message).toMatch(/not JSON/);
  });

  test('of deliver, where it is dropped', async () => {
    await start({}, { limits: { queueMessages: 1, queuePolicy: 'drop-newest' } });
    const subscriber = await connect('sub', { properties: { receiveMaximum: 1 } });
    await subscriber.subscribe('a', { qos: 1 });
    const publisher = await connect('pub', { version: 4 });
    for (let i = 0; i < 3; i++) await publisher.publish('a', 'x', { qos: 1 });
    await expect
      .poll(() => collector.of('deliver').map(({ attributes }) => attributes['error.type']))
      .toContain('queueFull');
  });

  test('of deliver, where the subscriber is gone or refuses', async () => {
    await start();
    const away = { clean: false, properties: { sessionExpiryInterval: 100 } };
    const [gone, refusing] = [await connect('gone', away), await connect('refusing')];
    for (const each of [gone, refusing]) await each.subscribe('a', { qos: 1 });
    await (await connect('pub')).publish('a', 'x', { qos: 1 });
    await gone.next('publish');
    await gone.vanish();
    const { messageId } = await refusing.next('publish');
    refusing.send({ cmd: 'puback', messageId, reasonCode: 0x83 });
    const spans = await spansOf('deliver', 2);
    const byClient = new Map(spans.map(({ attributes }) => [attributes['messaging.client.id'], attributes]));
    expect(byClient.get('gone')).toMatchObject({ 'error.type': 'disconnected' });
    expect(byClient.get('refusing')).toMatchObject({ 'error.type': 'refused', 'mqtt.reason_code': 0x83 });
  });
});

test('messages of the program, and wills, have spans too; those of $SYS have none', async () => {
  await start({}, { sysIntervalSeconds: 1 });
  const watcher = await connect('watcher');
  await watcher.subscribe('$SYS/#');
  await watcher.next('publish');
  await broker.publish('program', 'x');
  const dying = await connect('dying', { will: { topic: 'will', payload: 'x' } });
  await dying.vanish();
  const spans = await spansOf('publish', 2);
  expect(spans.map(({ attributes }) => attributes['messaging.destination.name'])).toEqual(['program', 'will']);
  expect(spans[1]!.attributes).toMatchObject({ 'messaging.client.id': 'dying' });
});

test('the collector gets the headers of the configuration, and the name of the service', async () => {
  await start({ headers: { 'X-Key': 'secret' }, serviceName: 'plant' });
  await broker.publish('a', 'x');
  await spansOf('publish');
  expect(collector.headers[0]).toMatchObject({ 'x-key': 'secret', 'content-type': 'application/x-protobuf' });
  expect(collector.spans[0]!.resource).toMatchObject({ 'service.name': 'plant' });
});
