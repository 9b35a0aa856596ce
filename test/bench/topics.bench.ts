/** The topic tree and the retained messages by themselves: each iteration asks 1,000 times. */
import { bench, describe } from 'vitest';
import { RetainedMessages } from '../../src/core/retained.ts';
import { Message } from '../../src/protocol/message.ts';
import { Topic } from '../../src/protocol/topic.ts';
import { TopicTree } from '../../src/protocol/topic-tree.ts';

const count = 1_000;
const nameOf = (i: number) => `site/${i % 100}/line/${i % 1_000}/sensor/${i}`;

for (const subscriptions of [1_000, 10_000, 100_000]) {
  describe(`find the subscribers of a topic among ${subscriptions}`, () => {
    const tree = new TopicTree<number>();
    for (let i = 0; i < subscriptions; i++) {
      const filters = [nameOf(i), `site/${i % 100}/line/+/sensor/${i}`, `site/${i % 100}/line/${i}/#`];
      tree.add(filters[i % filters.length]!, i);
    }
    const names = Array.from({ length: count }, (_, i) => nameOf((i * 7_919) % subscriptions));
    const found: number[] = [];
    const search = tree.search();
    bench('found', () => {
      for (const name of names) {
        found.length = 0;
        search.begin(name);
        search.step(Number.POSITIVE_INFINITY, found);
      }
    });
    const filter = 'site/7/line/+/sensor/x';
    bench('added and removed again', () => {
      for (let i = 0; i < count; i++) {
        tree.add(filter, -1);
        tree.remove(filter, -1);
      }
    });
  });
}

describe('retained messages, 100,000 of them', () => {
  const retained = new RetainedMessages();
  const messages = Array.from({ length: 100_000 }, (_, i) => Message.of(Topic.of(nameOf(i)), Buffer.alloc(64)));
  for (const message of messages) retained.set(message);
  bench('replaced', () => {
    for (let i = 0; i < count; i++) retained.set(messages[i * 97]!);
  });
  bench('the first 1,000 for #', () => {
    let left = count;
    for (const _ of retained.match('#')) if (--left === 0) break;
  });
  bench('one for a filter without wildcards', () => {
    for (let i = 0; i < count; i++) retained.match(nameOf(i * 97)).next();
  });
});
