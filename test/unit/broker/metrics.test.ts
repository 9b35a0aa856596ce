/** What the broker counts and measures: declared well, counted right, and told without changing it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Statistics } from '../../../src/base/metrics.ts';
import { Delivery } from '../../../src/core/delivery.ts';
import type { DropReason } from '../../../src/core/sink.ts';
import { createBroker, type Hooks, ReasonCode, type SluiceBroker } from '../../../src/index.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { allMetrics } from '../../support/all-metrics.ts';
import { testBroker } from '../../support/broker.ts';
import { start, World } from '../../support/core-world.ts';
import { type ConnectOptions, unique, WireClient } from '../../support/wire-client.ts';

const metrics = await allMetrics();

describe('metrics are declared as Prometheus expects them', () => {
  test.each(metrics.map((metric) => [metric.name, metric] as const))(
    '%s',
    (name, { kind, help, worry = '', unit, samples }) => {
      expect(name).toMatch(/^[a-z][a-z0-9]*(_[a-z0-9]+)+$/);
      expect(name.endsWith('_total')).toBe(kind === 'counter');
      expect(/_bytes(_total)?$/.test(name)).toBe(unit === 'bytes');
      expect(/_seconds(_total)?$/.test(name)).toBe(unit === 'seconds');
      expect(help).toMatch(/^[A-Z0-9].*[^.\s]$/);
      expect(worry).toMatch(/^$|^[a-z].*[^.\s]$/);
      const labels = [...samples()].map((sample) => Object.entries(sample.labels).flat().join(' '));
      expect(new Set(labels).size).toBe(labels.length);
      expect(labels.join('')).not.toMatch(/["\\\n]/);
    },
  );

  test('and no topic is of two metrics', () => {
    const topics = metrics.flatMap((metric) => metric.topics ?? []);
    expect(new Set(topics).size).toBe(topics.length);
  });
});

const broker = testBroker();
const figure = (statistics: Statistics, name: string, label = '') =>
  statistics[name]!.samples.find(({ labels }) => label === '' || Object.values(labels).includes(label))?.value;

test('a program reads what clients do, as it is now', async () => {
  const { sluice } = broker;
  const topic = unique('topic');
  const away = unique('away');
  const client = await broker.connect({ version: 5, clientId: away, properties: { sessionExpiryInterval: 100 } });
  await client.subscribe(topic, { qos: 1 });
  await client.disconnect();
  const publisher = await broker.connect({ version: 5 });
  const before = sluice.statistics();
  for (let i = 0; i < 3; i++) await publisher.publish(topic, '12345', { qos: 1, retain: i === 2 });

  const after = sluice.statistics();
  const grown = (name: string) => (figure(after, name) as number) - (figure(before, name) as number);
  expect(grown('sluice_messages_received_total')).toBe(3);
  expect(grown('sluice_payload_received_bytes_total')).toBe(15);
  expect(grown('sluice_queued_messages')).toBe(3);
  expect(grown('sluice_queued_bytes')).toBeGreaterThanOrEqual(3 * (topic.length + 5));
  expect(grown('sluice_retained_messages')).toBe(1);
  expect(grown('sluice_retained_bytes')).toBeGreaterThanOrEqual(topic.length + 5);
  expect([figure(after, 'sluice_sessions', 'connected'), figure(after, 'sluice_sessions', 'disconnected')]).toEqual([
    1, 1,
  ]);
  // A copy: it stays as it was.
  await publisher.publish(topic, '12345', { qos: 1 });
  expect(after).not.toEqual(sluice.statistics());

  const back = await broker.connect({ version: 5, clientId: away, clean: false });
  await back.collect('publish', 4);
  await expect.poll(() => figure(sluice.statistics(), 'sluice_queued_messages')).toBe(0);
  expect(figure(sluice.statistics(), 'sluice_queued_bytes')).toBe(0);
});

describe('by kind', () => {
  const quiet = {
    listeners: [{ kind: 'tcp' as const, port: 0 }],
    store: { kind: 'memory' as const },
    log: { level: 'silent' as const },
  };
  let sluice: SluiceBroker;
  beforeEach(async () => {
    const authenticate: Hooks['authenticate'] = ({ client }) =>
      client.username === 'no'
        ? { outcome: 'refuse', reasonCode: ReasonCode.NotAuthorized, mechanism: 'names' }
        : { outcome: 'accept', mechanism: client.clientId.startsWith('m') ? client.clientId : 'names' };
    sluice = await createBroker({ config: { ...quiet, penalties: { delayMs: 0 } }, hooks: { authenticate } });
  });
  afterEach(() => sluice.close());
  const connect = (options: ConnectOptions) => WireClient.connect(sluice.listeners[0]!.port, options);
  /** Those that are not 0, by the values of their labels. */
  const figures = (name: string) =>
    Object.fromEntries(
      sluice
        .statistics()
        [name]!.samples.filter(({ value }) => value !== 0)
        .map(({ labels, value }) => [Object.values(labels).join(' '), value]),
    );

  test('packets are counted by type, in and out', async () => {
    const [publisher, subscriber] = [await connect({ version: 5 }), await connect({ version: 5 })];
    await subscriber.subscribe('a', { qos: 2 });
    await publisher.publish('a', 'x', { qos: 2 });
    await subscriber.acknowledge(await subscriber.next('publish'));
    await subscriber.nothingElse();
    await subscriber.unsubscribe('a');
    const both = { publish: 1, pubrec: 1, pubrel: 1, pubcomp: 1 };
    const received = { connect: 2, subscribe: 1, unsubscribe: 1, pingreq: 1, ...both };
    expect(figures('sluice_packets_received_total')).toEqual(received);
    expect(figures('sluice_packets_sent_total')).toEqual({ connack: 2, suback: 1, unsuback: 1, pingresp: 1, ...both });
  });

  test('CONNECT by the reason code of its answer, authentication by mechanism', async () => {
    await connect({ version: 5 });
    await expect(connect({ version: 5, username: 'no' })).rejects.toThrow('135');
    await expect(connect({ version: 4, username: 'no' })).rejects.toThrow('5');
    expect(figures('sluice_connects_total')).toEqual({ success: 1, notAuthorized: 2 });
    expect(figures('sluice_authentications_total')).toEqual({ 'names accepted': 1, 'names refused': 2 });
  });

  test('a program that calls mechanisms by what clients send makes no more of them than 33', async () => {
    for (let i = 0; i < 40; i++) await connect({ clientId: `m${i}` });
    const named: Record<string, unknown> = figures('sluice_authentications_total');
    expect(Object.keys(named)).toHaveLength(33);
    expect(named['other accepted']).toBe(8);
  });

  test('whatever clients invent, there are no more figures than before', async () => {
    const count = () => Object.values(sluice.statistics()).reduce((sum, { samples }) => sum + samples.length, 0);
    const visit = async (name: string, version: 4 | 5) => {
      const client = await connect({ version, clientId: `c-${name}`, username: `u-${name}` });
      await client.subscribe(`${name}/#`, { qos: 1 });
      await client.publish(`elsewhere/${name}`, 'x', { qos: 1, retain: true });
      await client.vanish();
    };
    await visit('first', 5);
    const before = count();
    for (let i = 0; i < 20; i++) await visit(`${i}`, i % 2 === 0 ? 5 : 4);
    expect(count()).toBe(before);
  });

  test('open connections by transport and version, and none once they are closed', async () => {
    const clients = [await connect({ version: 5 }), await connect({ version: 4 }), await connect({ version: 3 })];
    const { port } = sluice.listeners[0]!;
    clients.push(await WireClient.open(port));
    await expect
      .poll(() => figures('sluice_connections'))
      .toEqual({
        'tcp none': 1,
        'tcp 3.1': 1,
        'tcp 3.1.1': 1,
        'tcp 5.0': 1,
      });
    await Promise.all(clients.map((client) => client.vanish()));
    await expect.poll(() => figures('sluice_connections')).toEqual({});
  });
});

test('a program reads how long stages take, and reading changes nothing', async () => {
  const pipeline = { name: 'p', filter: '#', stages: [{ decode: 'json' as const }] };
  const sluice = await createBroker({
    config: {
      listeners: [{ kind: 'tcp', port: 0 }],
      store: { kind: 'memory' },
      log: { level: 'silent' },
      pipelines: [pipeline],
    },
  });
  const read = () => sluice.statistics().sluice_pipeline_stage_seconds!.samples;
  expect(read()).toEqual([
    { labels: { pipeline: 'p', stage: '1-decode' }, value: expect.objectContaining({ count: 0, sum: 0 }) },
  ]);
  expect(read()).toEqual(read());
  await sluice.close();
});

/** What the sink is told of dropped messages: why, for whom, and which. */
function watchDrops(world: World): [DropReason, string | null, string | null, number][] {
  const drops: [DropReason, string | null, string | null, number][] = [];
  world.core.sink.dropped = (reason, session, message, count = 1) => {
    drops.push([reason, session?.clientId ?? null, message?.payload.toString() ?? null, count]);
  };
  return drops;
}

describe('the sink is told which message was dropped', () => {
  test('where a full queue loses its oldest', () => {
    const world = new World({ queueMessages: 1, queuePolicy: 'drop-oldest' });
    const drops = watchDrops(world);
    world.leave(world.member('a', 1, 'a'));
    for (const payload of ['first', 'second']) world.publish(payload);
    expect(drops).toEqual([['queueFull', 'a', 'first', 1]]);
  });

  test('where a full queue takes no more', () => {
    const world = new World({ queueMessages: 1, queuePolicy: 'drop-newest' });
    const drops = watchDrops(world);
    world.leave(world.member('a', 1, 'a'));
    for (const payload of ['first', 'second']) world.publish(payload);
    expect(drops).toEqual([['queueFull', 'a', 'second', 1]]);
  });

  test('where a client takes no packet as large, or does not read', () => {
    const world = new World();
    const drops = watchDrops(world);
    world.subscribe(world.connected('small', 1), 1, 'a');
    world.member('slow', 0, 'a').isCongested = true;
    world.publish('x', 0);
    expect(drops).toEqual([
      ['packetTooLarge', 'small', 'x', 1],
      ['slowConsumer', 'slow', 'x', 1],
    ]);
  });

  test('where it expired before it was routed', () => {
    const world = new World();
    const drops = watchDrops(world);
    world.publish('late', 1, start - 1);
    expect(drops).toEqual([['expired', null, 'late', 1]]);
  });

  test('where a session ends; of what is not in memory, it is told the number', () => {
    const world = new World();
    const drops = watchDrops(world);
    const session = world.member('a', 1, 'a');
    world.leave(session);
    for (const payload of ['first', 'second']) world.publish(payload);
    const spilled = Message.of(Topic.of('a'), Buffer.from('on disk'), { qos: 1 });
    for (let i = 0; i < 3; i++) session.queue.spill(new Delivery(spilled, 1, false, null, null));
    world.core.advance(start + 2_000_000);
    expect(drops).toEqual([
      ['sessionEnded', 'a', 'first', 1],
      ['sessionEnded', 'a', 'second', 1],
      ['sessionEnded', 'a', null, 3],
    ]);
    expect(world.core.queued).toEqual({ messages: 0, bytes: 0 });
  });
});
