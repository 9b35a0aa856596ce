/** Messages that go through a pipeline on their way over a bridge. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ConfigInput } from '../../src/config/schema.ts';
import { type BridgedBroker, type BridgeInput, bridgedBrokers, bridgeTo } from '../support/bridged.ts';
import { type PeerLink, StandInPeer, take } from '../support/stand-in-peer.ts';
import { WireClient } from '../support/wire-client.ts';
import { eventually } from '../unit/net/eventually.ts';

type Stages = NonNullable<ConfigInput['pipelines']>[number]['stages'];

const brokers = bridgedBrokers();
let peer: StandInPeer;

beforeEach(async () => {
  peer = await StandInPeer.start();
});
afterEach(() => peer.stop());

const over = (stages: Stages): ConfigInput['pipelines'] => [{ name: 'over', on: 'bridge', filter: '#', stages }];

function configWith(stages: Stages, topics: BridgeInput['topics'], bridge: Partial<BridgeInput> = {}): ConfigInput {
  return { pipelines: over(stages), bridges: [bridgeTo(peer.port, { topics, ...bridge })] };
}

const up: BridgeInput['topics'] = [
  { filter: 'up/#', direction: 'out', qos: 2, localPrefix: 'here/', remotePrefix: 'there/', pipeline: 'over' },
];
const down: BridgeInput['topics'] = [
  { filter: 'down/#', direction: 'in', qos: 2, localPrefix: 'here/', remotePrefix: 'there/', pipeline: 'over' },
];

async function publish(edge: BridgedBroker, texts: readonly string[], qos: 0 | 1 | 2 = 1, topic = 'here/up/a') {
  const client = await WireClient.connect(edge.port, { version: 5 });
  for (const text of texts) await client.publish(topic, text, { qos });
  await client.disconnect();
}

const quarantined = async (edge: BridgedBroker) => {
  const { entries } = await edge.command('quarantine list', {});
  return entries.map(({ topic, reason, pipeline }) => ({ topic, reason, pipeline }));
};

for (const qos of [0, 1, 2] as const) {
  test(`what goes out is transformed, and those who subscribe here get it as it was published (QoS ${qos})`, async () => {
    const edge = await brokers.start(configWith([{ set: { fields: { site: 7 } } }], up));
    const link = await peer.greet();
    await edge.connected();
    const subscriber = await WireClient.connect(edge.port, { version: 5 });
    await subscriber.subscribe('here/#', { qos });

    await publish(edge, ['{"n":1}', '{"n":2}'], qos);

    expect(await take(link, 2)).toEqual(['there/up/a {"n":1,"site":7}', 'there/up/a {"n":2,"site":7}']);
    expect(String((await subscriber.next('publish')).payload)).toBe('{"n":1}');
  });
}

test('a message that the pipeline drops does not go over, and holds up none', async () => {
  const edge = await brokers.start(configWith([{ filter: 'value.n > 1' }], up));
  const link = await peer.greet();
  await edge.connected();

  await publish(edge, ['{"n":1}', '{"n":2}', '{"n":0}', '{"n":3}']);

  expect(await take(link, 2)).toEqual(['there/up/a {"n":2}', 'there/up/a {"n":3}']);
  await eventually(() => edge.app!.bridges.get('up')!.view().queued === 0);
});

test('what a stage cannot handle is in the quarantine, as it was published', async () => {
  const edge = await brokers.start(configWith([{ decode: 'json' }], up));
  const link = await peer.greet();
  await edge.connected();

  await publish(edge, ['no JSON', '{"n":2}']);

  expect(await take(link, 1)).toEqual(['there/up/a {"n":2}']);
  expect(await quarantined(edge)).toMatchObject([{ topic: 'here/up/a', pipeline: 'over' }]);
});

test('what the pipeline refuses was acknowledged to its publisher, so it is in the quarantine', async () => {
  const edge = await brokers.start(configWith([{ decode: 'json', onError: 'reject' }], up));
  const link = await peer.greet();
  await edge.connected();

  await publish(edge, ['no JSON', '{"n":2}'], 2);

  expect(await take(link, 1)).toEqual(['there/up/a {"n":2}']);
  expect(await quarantined(edge)).toMatchObject([
    { topic: 'here/up/a', pipeline: 'bridge up', reason: expect.stringContaining('the pipeline over refuses it') },
  ]);
});

test('several messages of one go over in their order, under topics that begin as the entry says', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'sluice-script-')), 'several.js');
  const source = `export default (m) => [m.topic + '/1', m.topic + '/2', 'else'].map((topic) => ({ ...m, topic }));`;
  await writeFile(file, source);
  const edge = await brokers.start(configWith([{ script: { file } }], up));
  const link = await peer.greet();
  await edge.connected();

  await publish(edge, ['{"n":1}', '{"n":2}']);

  const names = (n: number) => [1, 2].map((i) => `there/up/a/${i} {"n":${n}}`);
  expect(await take(link, 4)).toEqual([...names(1), ...names(2)]);
  const aside = { topic: 'else', reason: expect.stringContaining('does not begin with here/ (localPrefix)') };
  expect(await quarantined(edge)).toMatchObject([aside, aside]);
  await rm(dirname(file), { recursive: true });
});

test('what waits for its peer goes through the pipeline after a restart', async () => {
  const edge = await brokers.start(configWith([{ set: { fields: { site: 7 } } }], up, { start: 'manual' }));
  await publish(
    edge,
    Array.from({ length: 300 }, (_, n) => `{"n":${n}}`),
  );
  await edge.stop();
  await edge.start();
  await edge.command('bridges resume', { name: 'up' });

  const taken = await take(await peer.greet(), 300);

  expect(taken).toEqual(Array.from({ length: 300 }, (_, n) => `there/up/a {"n":${n},"site":7}`));
});

async function sendIn(link: PeerLink, texts: readonly string[]) {
  for (const [index, payload] of texts.entries()) {
    const message = { topic: 'there/down/a', payload, qos: 1, messageId: index + 1, retain: false, dup: false };
    link.send({ cmd: 'publish', ...message });
    await link.next('puback');
  }
}

test('what comes in goes through the pipeline under its topic here, and then through those of the broker', async () => {
  const config = configWith([{ filter: 'value.n > 1' }, { set: { fields: { site: 7 } } }], down);
  const edge = await brokers.start({
    ...config,
    pipelines: [...config.pipelines!, { name: 'all', filter: 'here/#', stages: [{ set: { fields: { seen: true } } }] }],
  });
  const link = await peer.greet();
  const { messageId } = await link.next('subscribe');
  link.send({ cmd: 'suback', messageId, granted: [2] });
  const subscriber = await WireClient.connect(edge.port, { version: 5 });
  await subscriber.subscribe('here/#', { qos: 1 });

  await sendIn(link, ['{"n":1}', '{"n":2}', 'no JSON']);

  expect(String((await subscriber.next('publish')).payload)).toBe('{"n":2,"site":7,"seen":true}');
  expect(await quarantined(edge)).toMatchObject([{ topic: 'here/down/a', pipeline: 'over' }]);
});

test('a bridge is not made with a pipeline that there is not', async () => {
  const edge = await brokers.start();
  const settings = bridgeTo(peer.port, { topics: up }) as never;
  await expect(edge.command('bridges create', { settings })).rejects.toThrow(/no pipeline over/);
});

test('what was to go through a pipeline that has gone is in the quarantine', async () => {
  const config = configWith([{ set: { fields: { site: 7 } } }], up, { start: 'manual' });
  const edge = await brokers.start({ pipelines: config.pipelines! });
  await edge.command('bridges create', { settings: config.bridges![0] as never });
  await edge.stop();
  edge.config = {};
  await edge.start();

  await publish(edge, ['{"n":1}']);

  await eventually(() => edge.app!.bridges.get('up')!.view().quarantined === 1);
  expect(await quarantined(edge)).toMatchObject([{ reason: expect.stringContaining('no pipeline over') }]);
});
