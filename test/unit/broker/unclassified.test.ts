/** What becomes of subscriptions when the pipeline cannot tell in which form they may have messages. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Broker } from '../../../src/broker/broker.ts';
import type { MessagePipeline } from '../../../src/contracts/pipeline.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import type { Listener } from '../../../src/contracts/transport.ts';
import { listen } from '../../../src/net/listen.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { timeless } from '../../support/rounds.ts';
import { WireClient } from '../../support/wire-client.ts';

const fails = () => {
  throw new Error('cannot tell');
};
let classify: MessagePipeline['classify'] = () => null;
let reclassify: MessagePipeline['reclassify'] = () => null;
const pipeline: MessagePipeline = {
  generation: 0,
  concerns: () => false,
  onPublish: () => ({ verdict: 'keep' }),
  classify: (...asked) => classify(...asked),
  reclassify: (...asked) => reclassify(...asked),
  onDeliver: () => ({ verdict: 'keep' }),
  metrics: [],
};

let broker: Broker;
let listener: Listener;
beforeEach(async () => {
  classify = reclassify = () => null;
  broker = new Broker({
    scheduler: timeless(),
    settings: { ...defaultSettings, sysIntervalSeconds: 0 },
    store: new MemoryStore(),
    pipeline,
  });
  await broker.start();
  listener = await listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, (url) => (stream) => broker.accept(stream, url));
});
afterEach(async () => {
  await listener.close();
  await broker.close();
});

test.each([
  ['at once', fails],
  ['later', async () => fails()],
])('a classification that fails %s refuses the subscription [MQTT5 3.9.3-2]', async (_when, how) => {
  classify = how;
  const client = await WireClient.connect(listener.port, { version: 5 });
  expect((await client.subscribe('a')).granted).toEqual([0x83]);
  const older = await WireClient.connect(listener.port, { version: 4 });
  expect((await older.subscribe('a')).granted).toEqual([0x80]);
  await client.publish('a', 'x', { qos: 1 });
  await client.nothingElse();
});

test('a subscription whose class cannot be told anew gets nothing until it can be', async () => {
  const options = { version: 5, clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } } as const;
  const client = await WireClient.connect(listener.port, options);
  await client.subscribe('a', { qos: 1 });
  reclassify = fails;
  await broker.reclassify();
  const publisher = await WireClient.connect(listener.port, { version: 5 });
  await publisher.publish('a', 'withheld', { qos: 1 });
  reclassify = () => null;
  await broker.reclassify();
  await publisher.publish('a', 'given', { qos: 1 });
  expect((await client.next('publish')).payload?.toString()).toBe('given');
});
