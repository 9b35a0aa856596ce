/** Messages and bytes of topics that an operator wants to see apart. */
import { describe, expect, test } from 'vitest';
import { TopicMetrics } from '../../../src/broker/topic-metrics.ts';
import { brokerSettings } from '../../../src/contracts/settings.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { testBroker } from '../../support/broker.ts';

const topics = [
  { name: 'telemetry', filters: ['+/telemetry/#', 'plant/#'] },
  { name: 'plant', filters: ['plant/+/state', 'plant/telemetry/x'] },
];

describe('what clients publish and get', () => {
  const broker = testBroker({ metrics: { topics } }, undefined, 'level');
  /** Received, its bytes, sent, its bytes. */
  const figures = (name: string) =>
    ['messages_received', 'payload_received_bytes', 'messages_sent', 'payload_sent_bytes'].map((figure) => {
      const { samples } = broker.sluice.statistics()[`sluice_topic_${figure}_total`]!;
      return samples.find(({ labels }) => labels.collection === name)!.value;
    });

  test('is counted in each collection that the topic belongs to, once, and in no other', async () => {
    const [publisher, subscriber] = [await broker.connect({ version: 5 }), await broker.connect({ version: 5 })];
    const away = await broker.connect({ version: 5, clientId: 'away', properties: { sessionExpiryInterval: 100 } });
    await subscriber.subscribe('#');
    await away.subscribe('plant/1/state', { qos: 1 });
    await away.disconnect();
    await publisher.publish('elsewhere', 'xxx', { qos: 1 });
    await publisher.publish('plant/telemetry/x', '12345', { qos: 1 });
    await publisher.publish('a/telemetry', '1234', { qos: 1, properties: { topicAlias: 1 } });
    await publisher.publish('', '12', { qos: 1, properties: { topicAlias: 1 } });
    await publisher.publish('plant/1/state', '1', { qos: 1 });
    await subscriber.collect('publish', 5);
    expect(figures('telemetry')).toEqual([4, 12, 4, 12]);
    expect(figures('plant')).toEqual([2, 6, 2, 6]);

    const back = await broker.connect({ version: 5, clientId: 'away', clean: false });
    await back.next('publish');
    expect(figures('plant')).toEqual([2, 6, 3, 7]);
  });
});

test('a topic is looked up once, and topics of no collection share one answer', () => {
  const metrics = TopicMetrics.of(topics)!;
  const [one, other, plant] = [Topic.of('one'), Topic.of('$plant/other'), Topic.of('plant/2/state')];
  const message = (topic: Topic) => Message.of(topic, Buffer.alloc(1));
  for (const topic of [one, other, plant]) metrics.sent(message(topic));
  expect(one.collections).toHaveLength(0);
  expect(other.collections).toBe(one.collections);
  const found = plant.collections;
  metrics.received(message(plant));
  expect(plant.collections).toBe(found);
});

test('without collections there is nothing to ask', () => {
  expect(TopicMetrics.of([])).toBeNull();
});

describe('the configuration', () => {
  const faults = (given: object[]) =>
    brokerSettings.safeParse({ metrics: { topics: given } }).error?.issues.map(({ message }) => message) ?? [];
  const many = (count: number) => Array.from({ length: count }, (_, index) => `a/${index}`);

  test.each([
    [[{ name: 'a b', filters: ['#'] }], /letters, digits/],
    [[{ name: '', filters: ['#'] }], /letters, digits/],
    [[{ name: 'a', filters: ['#/a'] }], /a topic filter/],
    [[{ name: 'a', filters: ['$share/a/b'] }], /a topic filter/],
    [[{ name: 'a', filters: [] }], /Too small/],
    [
      [
        { name: 'a', filters: ['#'] },
        { name: 'a', filters: ['b'] },
      ],
      /each name once/,
    ],
    [
      [
        { name: 'a', filters: many(200) },
        { name: 'b', filters: many(57) },
      ],
      /at most 256 filters in all/,
    ],
    [many(65).map((_, index) => ({ name: `n${index}`, filters: ['#'] })), /Too big/],
  ])('takes no %j', (given, fault) => {
    expect(faults(given).join()).toMatch(fault);
  });

  test('takes as many as there may be', () => {
    expect(faults([{ name: 'All_1.of-them', filters: many(256) }])).toEqual([]);
  });
});
