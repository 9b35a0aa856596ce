/**
 * Messages that no decoder has checked: what a stage, a plugin, a hook or a program makes of one never becomes a
 * malformed packet.
 */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { MessageChange } from '../../../src/contracts/hooks.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { createBroker } from '../../../src/index.ts';
import { aPublish, benchWith, PipelineBench } from '../../support/pipeline.ts';
import { WireClient } from '../../support/wire-client.ts';

/** In titles without their tens of thousands of characters. */
const long = 'x'.repeat(65_536);
const bad: [what: string, change: Readonly<Record<string, unknown>>][] = [
  ['a topic with U+0000', { topic: 'a\0b' }],
  ['a topic with half of a surrogate pair', { topic: 'a\ud800' }],
  ['an empty topic', { topic: '' }],
  ['a topic with a wildcard', { topic: 'a/+' }],
  ['a topic that is too long', { topic: long }],
  ['a topic that is a number', { topic: 7 }],
  ['a content type with U+0000', { contentType: 'a\0' }],
  ['a content type with half of a surrogate pair', { contentType: '\udc00' }],
  ['a content type that is too long', { contentType: long }],
  ['a content type that is a number', { contentType: 7 }],
  ['user properties with U+0000', { userProperties: [['a', 'b\0']] }],
  ['user properties with half of a surrogate pair', { userProperties: [['\ud83d', 'b']] }],
  ['user properties that are too long', { userProperties: [['a', long]] }],
  ['user properties that are no pairs', { userProperties: [['a']] }],
  ['user properties that are an object', { userProperties: { a: 'b' } }],
  ['a QoS that there is not', { qos: 3 }],
];
/** What only hooks and programs can give. */
const worse: typeof bad = [
  ['user properties that are numbers', { userProperties: [['a', 7]] }],
  ['a response topic with U+0000', { responseTopic: 'a\0' }],
  ['a response topic with a wildcard', { responseTopic: 'a/#' }],
  ['an empty response topic', { responseTopic: '' }],
  ['a response topic that is no text', { responseTopic: {} }],
  ['correlation data that is text', { correlationData: 'text' }],
  ['correlation data that is too long', { correlationData: Buffer.alloc(65_536) }],
  ['a payload that is text', { payload: 'text' }],
  ['no payload', { payload: null }],
  ['a retain that is text', { retain: 'yes' }],
  ['an expiry below 0', { messageExpiryInterval: -1 }],
  ['an expiry of four bytes and more', { messageExpiryInterval: 2 ** 32 }],
  ['an expiry that is text', { messageExpiryInterval: '5' }],
  ['a payload format that is a number', { payloadFormatIndicator: 1 }],
];

describe('a stage that makes of a message', () => {
  const file = join(import.meta.dirname, '../../support/plugins/answer.js');

  test.each(bad)('%s fails: the message goes to quarantine as it was published', async (_, options) => {
    const bench = await benchWith([{ plugin: { file, options } }]);
    const message = aPublish('{}');
    expect(await bench.messages(message)).toEqual([]);
    expect(await bench.quarantined()).toMatchObject([{ message, stage: '1 plugin' }]);
  });

  test.each(bad)('%s, where failures pass, lets it pass as it came', async (_, options) => {
    const bench = await benchWith([{ plugin: { file, options }, onError: 'pass' }]);
    const message = aPublish('{}');
    expect(await bench.messages(message)).toMatchObject([message]);
  });

  test.each([
    ['set', { set: { userProperties: { from: `\${value.x}` } } }],
    ['topic', { topic: `a/\${value.x}` }],
  ])('what it cannot be, by %s, fails as well', async (kind, stage) => {
    for (const x of ['\0', '\ud800', long]) {
      const bench = await benchWith([stage]);
      expect(await bench.messages(aPublish({ x }))).toEqual([]);
      expect(await bench.quarantined()).toMatchObject([{ stage: `1 ${kind}` }]);
    }
  });

  test('the reason of a failure, as a user property, is one that can be sent', async () => {
    const bench = await benchWith([{ topic: `a/\${value.x}`, onError: 'tag' }]);
    for (const x of ['\ud83d\ude42/'.repeat(400), '/\0\u001b']) {
      const [message] = await bench.messages(aPublish({ x }));
      const [[name, reason] = []] = message!.userProperties;
      expect(name).toBe('sluice-error');
      expect(reason).toBe(Buffer.from(reason!).toString());
      expect(reason).not.toMatch(/[\0-\u001f]/);
    }
  });

  test('what it has gathered is held to the same', async () => {
    const bench = new PipelineBench();
    const gather = { batch: { messages: 10, seconds: 1 } };
    await bench.configure({
      name: 'test',
      filter: '#',
      stages: [gather, { plugin: { file, options: { topic: 'a\0' } } }],
    });
    await bench.publish(aPublish('{}'));
    await bench.tick(2);
    expect(bench.emitted).toEqual([]);
    expect(await bench.quarantined()).toMatchObject([{ stage: '2 plugin' }]);
  });
});

describe('a program that makes of a message', () => {
  const config = { listeners: [{ kind: 'tcp' as const, port: 0 }], store: { kind: 'memory' as const } };

  test.each([...bad, ...worse])('%s: it is refused, and nobody gets it', async (_, change) => {
    const broker = await createBroker({ config, log: silentLog });
    const subscriber = await WireClient.connect(broker.listeners[0]!.port, { version: 5 });
    await subscriber.subscribe('#');
    const publisher = await WireClient.connect(broker.listeners[0]!.port, { version: 5 });

    const end = broker.use({ onPublish: () => ({ verdict: 'change', change: change as MessageChange }) });
    expect((await publisher.publish('a', 'x', { qos: 1 }))?.reasonCode).toBe(0x83);
    end();
    const { topic = 'a', payload = 'x', ...options } = change;
    const isOwn = change.payload !== 'text' && change.payload !== null;
    if (isOwn) {
      const publishing = async () => broker.publish(topic as string, payload as string, options as object);
      await expect(publishing()).rejects.toMatchObject({ name: 'ProtocolError' });
    }
    broker.use({ onDeliver: (message) => ({ verdict: 'change', message: { ...message, ...change } as never }) });
    const later = await WireClient.connect(broker.listeners[0]!.port, { version: 5 });
    await later.subscribe('#');
    await publisher.publish('a', 'x', { qos: 1 });

    await later.nothingElse();
    await publisher.nothingElse();
    await broker.close();
    expect((await subscriber.closed()).filter(({ cmd }) => cmd.startsWith('unreadable'))).toEqual([]);
  });
});
