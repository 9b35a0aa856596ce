import { describe, expect, test } from 'vitest';
import { LeakyBuckets, TtlTable } from '../../../src/base/ttl-table.ts';

describe('a table of what passes', () => {
  test('an entry is there until its time, and then takes no room', () => {
    const table = new TtlTable(10);
    table.set('a', { until: 100 });
    expect(table.get('a', 99)).toEqual({ until: 100 });
    expect(table.get('a', 100)).toBeNull();
    expect(table.size).toBe(0);
  });

  test('whoever invents names displaces his own, not what is to last', () => {
    const table = new TtlTable(1_000);
    for (let i = 0; i < 100; i++) table.set(`lasting ${i}`, { until: 1_000_000 });
    for (let i = 0; i < 100_000; i++) table.set(`invented ${i}`, { until: 1_000 + i });
    const kept = Array.from({ length: 100 }, (_, i) => table.get(`lasting ${i}`, 0));
    expect(kept.every((entry) => entry !== null)).toBe(true);
    expect(table.size).toBe(1_000);
  });

  test('it stays whole whatever is set and removed', () => {
    const table = new TtlTable(8);
    const names = ['__proto__', 'constructor', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'];
    for (let i = 0; i < 10_000; i++) {
      const name = names[(i * 7919) % names.length]!;
      if (i % 3 === 0) table.delete(name);
      else table.set(name, { until: i + 20 });
      expect(table.size).toBeLessThanOrEqual(8);
      for (const [each, entry] of table.entries(i)) expect(table.get(each, i)).toBe(entry);
    }
  });

  test('one without room remembers nothing', () => {
    const table = new TtlTable(0);
    table.set('a', { until: 100 });
    expect(table.get('a', 0)).toBeNull();
  });
});

test('a bucket fills by one with each event, and leaks by one in its time', () => {
  const buckets = new LeakyBuckets(1_000, 10);
  expect([1, 2, 3].map(() => buckets.add('a', 5_000))).toEqual([1, 2, 3]);
  expect(buckets.level('a', 6_500)).toBe(1.5);
  expect(buckets.level('a', 8_000)).toBe(0);
  expect(buckets.level('b', 5_000)).toBe(0);
  buckets.add('a', 9_000);
  buckets.empty('a');
  expect(buckets.level('a', 9_000)).toBe(0);
});
