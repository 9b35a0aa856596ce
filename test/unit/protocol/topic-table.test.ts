/** Topics in use are one object each, within a bound, whoever asks for others. */
import { expect, test } from 'vitest';
import { type Topic, widestTopicLimits } from '../../../src/protocol/topic.ts';
import { TopicTable } from '../../../src/protocol/topic-table.ts';

const intern = (table: TopicTable, name: string): Topic => {
  const bytes = Buffer.from(name);
  return table.intern(bytes, 0, bytes.length);
};
const names = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}/${i}/state`);

/** How many are the same objects as before. */
const known = (table: TopicTable, topics: readonly Topic[]): number =>
  topics.filter((topic) => intern(table, topic.name) === topic).length;

test('a hundred thousand topics are remembered', () => {
  const table = new TopicTable(widestTopicLimits);
  const topics = names('site', 100_000).map((name) => intern(table, name));

  expect(known(table, topics)).toBeGreaterThan(99_000);
  expect(table.count).toBeGreaterThan(99_000);
});

test('who invents topics displaces what was invented before, and not what is in use', () => {
  const table = new TopicTable(widestTopicLimits, 2_000_000);
  const used = names('used', 1_000).map((name) => intern(table, name));
  expect(known(table, used)).toBe(1_000);

  for (let i = 0; i < 20; i++) {
    for (const name of names(`invented/${i}`, 5_000)) intern(table, name);
    const again = used.map(({ name }) => intern(table, name));
    expect(again.filter((topic, index) => topic === used[index]).length).toBeGreaterThan(800);
    used.splice(0, used.length, ...again);
  }
});

test('what comes into use takes the place of what was in use', () => {
  const table = new TopicTable(widestTopicLimits, 2_000_000);
  const before = names('before', 5_000).map((name) => intern(table, name));
  expect(known(table, before)).toBeGreaterThan(4_900);

  for (let i = 0; i < 20; i++) for (const name of names('after', 5_000)) intern(table, name);

  const after = names('after', 5_000).map((name) => intern(table, name));
  expect(known(table, after)).toBeGreaterThan(4_500);
});

test('it counts what it holds, tells what it displaces, and stays within its bound', () => {
  const table = new TopicTable(widestTopicLimits, 500_000);
  const held = new Set<Topic>();
  table.onDisplaced = (topic) => expect(held.delete(topic)).toBe(true);
  for (let i = 0; i < 20_000; i++) {
    // Every third one is asked for again.
    const name = `${'x'.repeat(i % 200)}/${i}`;
    held.add(intern(table, name));
    if (i % 3 === 0) intern(table, name);
    expect(table.bytes).toBeLessThan(501_000);
  }
  expect(table.count).toBe(held.size);
  expect(table.bytes).toBeGreaterThan(450_000);
  table.clear();
  expect([table.count, table.bytes]).toEqual([0, 0]);
});
