/** The pipeline in a running broker: what clients see of it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encode } from 'cbor-x';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type App, startApp } from '../../../src/app.ts';
import { parseConfig } from '../../../src/config/load.ts';
import type { ConfigInput } from '../../../src/config/schema.ts';
import { testBroker } from '../../support/broker.ts';
import { type ConnectOptions, type Received, unique, WireClient } from '../../support/wire-client.ts';

const text = (packet: Received) => packet.payload?.toString();
const cbor = (value: unknown) => Buffer.from(encode(value));
const asJson = { userProperties: { accept: 'application/json' } };

describe('on publish', () => {
  const broker = testBroker({
    pipelines: [
      { name: 'drop', filter: 'p/drop', stages: [{ filter: 'false' }] },
      { name: 'reject', filter: 'p/reject', stages: [{ decode: 'json', onError: 'reject' }] },
      { name: 'map', filter: 'p/map', stages: [{ map: '{ "n": n + 1 }' }] },
      {
        name: 'split',
        filter: 'p/split',
        stages: [{ plugin: { file: join(import.meta.dirname, '../../support/plugins/split.js') } }],
      },
      { name: 'will', filter: 'p/will', stages: [{ map: '{ "state": "gone" }' }] },
    ],
  });

  test.each([0, 1, 2])('a message is changed, whatever takes its time, and the order holds (QoS %i)', async (qos) => {
    const subscriber = await broker.connect({ version: 5 });
    await subscriber.subscribe('p/map', { qos: 2 });
    const publisher = await broker.connect({ version: 5 });
    for (let n = 0; n < 20; n++) {
      const messageId = qos === 0 ? undefined : publisher.newId();
      publisher.send({ cmd: 'publish', topic: 'p/map', payload: JSON.stringify({ n }), qos, messageId });
    }
    const seen = (await subscriber.collect('publish', 20)).map((packet) => JSON.parse(text(packet)!).n);
    expect(seen).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
  });

  test('one that is dropped is acknowledged, one that is refused gets 0x99 and the reason', async () => {
    const publisher = await broker.connect({ version: 5 });
    expect((await publisher.publish('p/drop', '{}', { qos: 1 }))?.reasonCode).toBe(0);
    const refused = await publisher.publish('p/reject', '{', { qos: 1 });
    expect(refused).toMatchObject({ reasonCode: 0x99 });
    expect(refused?.properties?.reasonString).toContain('not JSON');
    expect((await publisher.publish('p/reject', '{', { qos: 2 }))?.reasonCode).toBe(0x99);
    const older = await broker.connect({ version: 4 });
    await older.publish('p/reject', '{', { qos: 2 });
    await older.nothingElse();
  });

  test('one becomes several, answered once', async () => {
    const subscriber = await broker.connect({ version: 5 });
    await subscriber.subscribe('p/split/#');
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish('p/split', '[1,2,3]', { qos: 1 });
    expect((await subscriber.collect('publish', 3)).map((each) => [each.topic, text(each)])).toEqual([
      ['p/split/0', '1'],
      ['p/split/1', '2'],
      ['p/split/2', '3'],
    ]);
    await publisher.nothingElse();
  });

  test('a will goes through it as well', async () => {
    const subscriber = await broker.connect({ version: 5 });
    await subscriber.subscribe('p/will');
    const dying = await broker.connect({ version: 5, will: { topic: 'p/will', payload: '{"state":"alive?"}' } });
    await dying.vanish();
    expect(text(await subscriber.next('publish'))).toBe('{"state":"gone"}');
  });
});

describe('one format per subscriber', () => {
  const broker = testBroker({
    pipelines: [
      {
        name: 'dashboards',
        on: 'deliver',
        filter: 'd/+/t',
        for: { clientId: 'dashboard-*' },
        stages: [{ convert: 'json' }, { map: '{ "celsius": t }' }],
      },
      { name: 'quiet', on: 'deliver', filter: 'd/#', for: { clientId: 'quiet' }, stages: [{ filter: 'value.t > 50' }] },
    ],
  });
  const reading = cbor({ t: 21.5 });
  const fields = { properties: { contentType: 'application/cbor' } };

  test.each([0, 1, 2] as const)('accept, a rule, and none: each gets its own (QoS %i)', async (qos) => {
    const topic = `d/${unique('sensor')}/t`;
    const [asking, older, plain, quiet] = await Promise.all([
      broker.connect({ version: 5 }),
      broker.connect({ version: 4, clientId: unique('dashboard-') }),
      broker.connect({ version: 5 }),
      broker.connect({ version: 5, clientId: 'quiet' }),
    ]);
    await asking.subscribe(topic, { qos }, asJson);
    for (const each of [older, plain, quiet]) await each.subscribe(topic, { qos });
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish(topic, reading, { qos, ...fields });
    const [json, ruled, same] = await Promise.all([asking, older, plain].map((each) => each.next('publish')));
    expect([text(json!), json!.qos, json!.properties?.contentType]).toEqual(['{"t":21.5}', qos, 'application/json']);
    expect(text(ruled!)).toBe('{"celsius":21.5}');
    expect(same!.payload).toEqual(reading);
    for (const [client, packet] of [
      [asking, json],
      [older, ruled],
      [plain, same],
    ] as const) {
      await client.acknowledge(packet!);
    }
    await quiet.nothingElse();
    for (const each of [asking, older, plain, quiet]) await each.disconnect();
  });

  test('what cannot be read stays as it is, and an unknown format is ignored', async () => {
    const topic = unique('raw');
    const [known, unknown] = await Promise.all([broker.connect({ version: 5 }), broker.connect({ version: 5 })]);
    await known.subscribe(topic, {}, asJson);
    await unknown.subscribe(topic, {}, { userProperties: { accept: 'image/png' } });
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish(topic, Buffer.from('a16', 'latin1'));
    expect(text(await known.next('publish'))).toBe('a16');
    expect(text(await unknown.next('publish'))).toBe('a16');
  });

  test('a retained message comes in the form that the new subscriber wants', async () => {
    const topic = `d/${unique('retained')}/t`;
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish(topic, reading, { qos: 1, retain: true, ...fields });
    const asking = await broker.connect({ version: 5 });
    await asking.subscribe(topic, {}, asJson);
    expect(await asking.next('publish').then((packet) => [text(packet), packet.retain])).toEqual(['{"t":21.5}', true]);
    const dashboard = await broker.connect({ version: 4, clientId: unique('dashboard-') });
    await dashboard.subscribe(topic);
    expect(text(await dashboard.next('publish'))).toBe('{"celsius":21.5}');
  });

  test('a member of a shared subscription gets its form', async () => {
    const topic = `d/${unique('shared')}/t`;
    const member = await broker.connect({ version: 5 });
    await member.subscribe(`$share/g/${topic}`, {}, asJson);
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish(topic, reading, fields);
    expect(text(await member.next('publish'))).toBe('{"t":21.5}');
  });

  test("the broker's own messages come in it too", async () => {
    const topic = `d/${unique('own')}/t`;
    const dashboard = await broker.connect({ version: 4, clientId: unique('dashboard-') });
    await dashboard.subscribe(topic);
    await broker.sluice.publish(topic, reading, { contentType: 'application/cbor' });
    expect(text(await dashboard.next('publish'))).toBe('{"celsius":21.5}');
  });
});

describe('as a library', () => {
  const broker = testBroker();

  test('use adds a step for a filter, called once per message and not once per subscriber, until it is taken out', async () => {
    let calls = 0;
    const topic = unique('use');
    const [first, second] = await Promise.all([broker.connect({ version: 5 }), broker.connect({ version: 4 })]);
    for (const each of [first, second]) await each.subscribe(`${topic}/#`);
    const end = broker.sluice.use({
      filter: `${topic}/#`,
      onPublish: (_, message) => ({ verdict: 'change', change: { payload: Buffer.from(`${message.payload}!`) } }),
      onDeliver: async (message) => {
        calls++;
        return { verdict: 'change', message: { ...message, payload: Buffer.from(`<${message.payload}>`) } };
      },
    });
    const publisher = await broker.connect({ version: 5 });
    await publisher.nothingElse();
    await publisher.publish(`${topic}/a`, 'x', { qos: 1 });
    expect([text(await first.next('publish')), text(await second.next('publish'))]).toEqual(['<x!>', '<x!>']);
    expect(calls).toBe(1);
    end();
    await publisher.nothingElse();
    await publisher.publish(`${topic}/a`, 'x', { qos: 1 });
    expect([text(await first.next('publish')), text(await second.next('publish'))]).toEqual(['x', 'x']);
  });

  test('an onDeliver that fails keeps the message from those subscribers, and no more', async () => {
    const topic = unique('use');
    const end = broker.sluice.use({
      filter: topic,
      onDeliver: (message) => {
        if (message.payload.toString() === 'bad') throw new Error('broken');
        return { verdict: 'keep' };
      },
    });
    const subscriber = await broker.connect({ version: 5 });
    await subscriber.subscribe(topic);
    const publisher = await broker.connect({ version: 5 });
    for (const payload of ['bad', 'good']) await publisher.publish(topic, payload, { qos: 1 });
    expect(text(await subscriber.next('publish'))).toBe('good');
    end();
  });

  test('a filter that is none is refused', () => {
    expect(() => broker.sluice.use({ filter: 'a/#/b' })).toThrow('Not a valid topic filter');
  });
});

describe('over a restart and a reload', () => {
  let directory = '';
  let app: App | null = null;
  let pipelines: ConfigInput['pipelines'] = [];

  const config = () =>
    parseConfig({
      listeners: [{ kind: 'tcp', port: 0 }],
      log: { level: 'silent' },
      store: { kind: 'level', directory },
      pipelines,
    });

  async function start(): Promise<void> {
    app = await startApp(config(), {
      reread: () => ({ config: config(), where: (path) => `file:1:1: ${path.join('.')}` }),
    });
  }

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sluice-pipeline-'));
    pipelines = [];
  });
  afterEach(async () => {
    await app?.close();
    app = null;
    await rm(directory, { recursive: true });
  });

  const connect = (clientId: string, options: ConnectOptions = {}) => {
    const properties = { sessionExpiryInterval: 1_000 };
    return WireClient.connect(app!.listeners[0]!.port, { version: 5, clientId, clean: false, properties, ...options });
  };

  test('a queued message keeps the form it was queued in, and the subscription its class', async () => {
    await start();
    const subscriber = await connect('subscriber');
    await subscriber.subscribe('a', { qos: 1 }, asJson);
    await subscriber.disconnect();
    const publisher = await connect('publisher');
    const properties = { contentType: 'application/cbor' };
    await publisher.publish('a', cbor({ n: 1 }), { qos: 1, properties });
    await app!.close();
    await start();
    await (await connect('publisher')).publish('a', cbor({ n: 2 }), { qos: 1, properties });
    const again = await connect('subscriber');
    expect((await again.collect('publish', 2)).map(text)).toEqual(['{"n":1}', '{"n":2}']);
  });

  test('what is quarantined was on disk before its acknowledgement, and is replayed through the pipeline as it is now', async () => {
    pipelines = [{ name: 'strict', filter: 'q', stages: [{ decode: 'json' }] }];
    await start();
    const subscriber = await connect('subscriber');
    await subscriber.subscribe('q', { qos: 1 });
    const publisher = await connect('publisher');
    for (const payload of ['{1', '{2']) expect((await publisher.publish('q', payload, { qos: 1 }))?.reasonCode).toBe(0);
    await app!.close();
    pipelines = [{ name: 'strict', filter: 'q', stages: [{ decode: 'text' }] }];
    await start();
    const again = await connect('subscriber');
    const listed = JSON.parse(await app!.control('quarantine list', '{}'));
    expect(listed.entries.map((each: { stage: string }) => each.stage)).toEqual(['1 decode', '1 decode']);
    expect(JSON.parse(await app!.control('quarantine replay', 'all'))).toMatchObject({ published: 2, quarantined: 0 });
    expect((await again.collect('publish', 2)).map(text)).toEqual(['{1', '{2']);
    expect(JSON.parse(await app!.control('quarantine list', '{}')).count).toBe(0);
  });

  test('a changed pipeline is taken over without a disconnect, a broken one is refused with its place', async () => {
    await start();
    const subscriber = await connect('subscriber');
    await subscriber.subscribe('a', { qos: 1 });
    const publisher = await connect('publisher');
    pipelines = [
      { name: 'up', filter: 'a', stages: [{ set: { fields: { up: true } } }] },
      {
        name: 'out',
        on: 'deliver',
        filter: 'a',
        for: { clientId: 'sub*' },
        stages: [{ set: { fields: { out: true } } }],
      },
    ];
    await app!.reload();
    await publisher.publish('a', '{}', { qos: 1 });
    const changed = await subscriber.next('publish');
    expect(text(changed)).toBe('{"up":true,"out":true}');
    await subscriber.acknowledge(changed);
    pipelines = [{ name: 'up', filter: 'a', stages: [{ map: '{' }] }];
    await expect(app!.reload()).rejects.toThrow('file:1:1: pipelines.0.stages.0.map: not JSONata');
    await publisher.publish('a', '{}', { qos: 1 });
    expect(text(await subscriber.next('publish'))).toBe('{"up":true,"out":true}');
  });

  test('a reload keeps what the stages of an unchanged pipeline remember', async () => {
    pipelines = [{ name: 'slow', filter: 'a', stages: [{ throttle: { seconds: 3_600 } }] }];
    await start();
    const subscriber = await connect('subscriber');
    await subscriber.subscribe('#');
    const publisher = await connect('publisher');
    await publisher.publish('a', '1', { qos: 1 });
    pipelines = [...pipelines, { name: 'other', filter: 'b', stages: [{ decode: 'json' }] }];
    await app!.reload();
    await publisher.publish('a', '2', { qos: 1 });
    await publisher.publish('b', '3', { qos: 1 });
    expect((await subscriber.collect('publish', 2)).map(text)).toEqual(['1', '3']);
  });

  test('what a window holds is published when the broker stops in order', async () => {
    pipelines = [{ name: 'sum', filter: 'a', stages: [{ batch: { messages: 10, seconds: 3_600 } }] }];
    await start();
    const subscriber = await connect('subscriber');
    await subscriber.subscribe('a', { qos: 1 });
    await subscriber.disconnect();
    await (await connect('publisher')).publish('a', '1', { qos: 1 });
    await app!.close();
    await start();
    expect(text(await (await connect('subscriber')).next('publish'))).toBe('[1]');
  });
});
