/** The pipeline in a running broker: what clients see of it. */
import { join } from 'node:path';
import { encode } from 'cbor-x';
import { describe, expect, test } from 'vitest';
import { testBroker } from '../../support/broker.ts';
import { type Received, unique } from '../../support/wire-client.ts';

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
      { name: 'move', filter: 'p/move', stages: [{ topic: `\${value.to}/x` }] },
      { name: 'forge', filter: 'p/forge', stages: [{ topic: `$SYS/\${value.to}`, trusted: true }] },
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

  test('no stage leads into $SYS, which is for the broker only [MQTT5 4.7.2]', async () => {
    const subscriber = await broker.connect({ version: 5 });
    await subscriber.subscribe('$SYS/forged/#');
    await subscriber.subscribe('moved/#');
    const publisher = await broker.connect({ version: 5 });
    const forged = await publisher.publish('p/forge', '{"to":"forged"}', { qos: 1, retain: true });
    expect(forged?.reasonCode).toBe(0x83);
    await publisher.publish('p/move', '{"to":"$SYS"}', { qos: 1, retain: true });
    expect((await publisher.publish('p/move', '{"to":"moved"}', { qos: 1 }))?.reasonCode).toBe(0);
    expect((await subscriber.next('publish')).topic).toBe('moved/x');
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
      { name: 'thin', on: 'deliver', filter: 'thin/#', for: { clientId: 'thin-*' }, stages: [{ 'on-change': {} }] },
      {
        name: 'splitter',
        on: 'deliver',
        filter: 'split/#',
        for: { clientId: 'splitter' },
        stages: [{ plugin: { file: join(import.meta.dirname, '../../support/plugins/split.js') } }],
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

  test('what thins remembers for each class what that class was sent, and new subscribers get retained messages', async () => {
    const [thin, json] = await Promise.all([
      broker.connect({ clientId: 'thin-1', version: 5 }),
      broker.connect({ clientId: 'thin-2', version: 5 }),
    ]);
    const topic = `thin/${unique('t')}`;
    await thin.subscribe(topic);
    await json.subscribe(topic, {}, asJson);
    const publisher = await broker.connect({ version: 5 });
    for (let i = 0; i < 2; i++) await publisher.publish(topic, '{"n":1}', { qos: 1, retain: true });
    const later = await broker.connect({ clientId: 'thin-3', version: 5 });
    await later.subscribe(topic);
    for (const each of [thin, json, later]) {
      expect(text(await each.next('publish'))).toBe('{"n":1}');
      await each.nothingElse();
    }
  });

  test('one that is made several counts as failed: a subscriber gets one message for one', async () => {
    const subscriber = await broker.connect({ clientId: 'splitter', version: 5 });
    await subscriber.subscribe('split/#');
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish('split/a', '[1,2]', { qos: 1 });
    await publisher.publish('split/a', '[3]', { qos: 1 });
    expect(text(await subscriber.next('publish'))).toBe('3');
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

  test.each(['a client', 'the program'])(
    'what a step takes out stays out for who subscribes while others are waited for (message of %s)',
    async (publisher) => {
      const topic = unique('late');
      let release = () => {};
      const gate = new Promise<void>((resolve) => (release = resolve));
      let held = () => {};
      const isHeld = new Promise<void>((resolve) => (held = resolve));
      const end = broker.sluice.use({
        filter: `${topic}/#`,
        onPublish: (_, message) => {
          if (message.topic !== `${topic}/both`) return { verdict: 'keep' };
          return { verdict: 'split', messages: [{ topic: `${topic}/early` }, { topic: `${topic}/held` }] };
        },
        async onDeliver(message) {
          held();
          await gate;
          return { verdict: 'change', message: { ...message, payload: Buffer.from('redacted') } };
        },
      });
      const waitedFor = await broker.connect({ version: 5 });
      await waitedFor.subscribe(`${topic}/held`);
      const client = await broker.connect({ version: 5 });
      if (publisher === 'a client') await client.publish(`${topic}/both`, 'secret');
      else void broker.sluice.publish(`${topic}/held`, 'secret');
      await isHeld;
      const late = await broker.connect({ version: 5 });
      await late.subscribe(`${topic}/early`);
      await late.subscribe(`${topic}/held`);

      release();

      const count = publisher === 'a client' ? 2 : 1;
      expect((await late.collect('publish', count)).map(text)).toEqual(new Array(count).fill('redacted'));
      end();
    },
  );

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

  test('a name that is none is refused', () => {
    expect(() => broker.sluice.use({ name: 'a,b', onDeliver: () => ({ verdict: 'keep' }) })).toThrow(
      'Not a name for a step',
    );
  });

  test('a filter that is none is refused', () => {
    expect(() => broker.sluice.use({ filter: 'a/#/b', onDeliver: () => ({ verdict: 'keep' }) })).toThrow(
      'Not a valid topic filter',
    );
  });
});

describe('a step that hangs', () => {
  const broker = testBroker({ pipelineLimits: { stepSeconds: 1 } });
  const never = () => new Promise<never>(() => {});

  test('fails for that message after its deadline, and what is behind a retained one comes', async () => {
    const topic = unique('hangs');
    const publisher = await broker.connect({ version: 5 });
    await publisher.publish(`${topic}/kept`, 'x', { qos: 1, retain: true });
    const end = broker.sluice.use({ filter: `${topic}/kept`, onDeliver: never });
    const subscriber = await broker.connect({ version: 5 });
    await subscriber.subscribe(`${topic}/#`, { qos: 1 });
    await publisher.publish(`${topic}/next`, 'next', { qos: 1 });
    expect(text(await subscriber.next('publish'))).toBe('next');
    await publisher.publish(`${topic}/kept`, 'y', { qos: 1 });
    await publisher.publish(`${topic}/next`, 'last', { qos: 1 });
    expect(text(await subscriber.next('publish'))).toBe('last');
    end();
  });

  test('is a refusal for the publisher where it stands before routing', async () => {
    const topic = unique('hangs');
    const end = broker.sluice.use({ filter: topic, onPublish: never });
    const publisher = await broker.connect({ version: 5 });
    expect((await publisher.publish(topic, 'x', { qos: 1 }))?.reasonCode).toBe(0x83);
    end();
  });
});
