import { expect, test } from 'vitest';
import { RecentTopics } from '../../../src/cluster/recent-topics.ts';

test('a topic counts for ten seconds', () => {
  let now = 0;
  const recent = new RecentTopics({ now: () => now });
  recent.add('a');
  now = 9_999;
  expect([recent.has('a'), recent.has('b')]).toEqual([true, false]);
  now = 10_000;
  expect(recent.has('a')).toBe(false);
});

test('where there are more than it remembers, all topics count until the forgotten ones do not', () => {
  let now = 0;
  const recent = new RecentTopics({ now: () => now }, 2);
  recent.add('a');
  now = 1_000;
  for (const name of ['b', 'c']) recent.add(name);
  expect(recent.has('never published')).toBe(true);
  now = 10_500;
  expect([recent.has('never published'), recent.has('c')]).toEqual([false, true]);
});
