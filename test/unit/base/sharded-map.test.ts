import { expect, test } from 'vitest';
import { ShardedMap } from '../../../src/base/sharded-map.ts';

test('is a map of strings or numbers', () => {
  const map = new ShardedMap<string | number, number>([['a', 1]]);
  map.set('b', 2).set(7, 3).set('b', 4);
  expect([map.get('a'), map.get('b'), map.get(7), map.get('c')]).toEqual([1, 4, 3, undefined]);
  expect(map.size).toBe(3);
  expect([map.delete('a'), map.delete('a'), map.size]).toEqual([true, false, 2]);
  expect([...map.values()].sort()).toEqual([3, 4]);
});

test.each([
  ['numbers in a row', (i: number) => i],
  ['numbers beyond 2^32', (i: number) => 2 ** 40 + i],
  ['names that end alike', (i: number) => `sensor-${i}-outside-of-town`],
  ['long names with numbers behind them', (i: number) => `${'x'.repeat(1_000)}${i}`],
])('%s fall into all parts, none of which is much larger than the others', (_, keyOf) => {
  const sizes: number[] = [];
  const map = new ShardedMap<string | number, number>();
  for (let i = 0; i < 64_000; i++) map.set(keyOf(i), i);
  // The values come part by part, and in each in the order in which they came: a part ends where they begin anew.
  let last = Number.POSITIVE_INFINITY;
  for (const value of map.values()) {
    if (value < last) sizes.push(0);
    sizes[sizes.length - 1]!++;
    last = value;
  }
  expect(sizes).toHaveLength(64);
  expect(Math.max(...sizes)).toBeLessThan(1_500);
});

test('what stays while others come and go is met once', () => {
  const map = new ShardedMap<number, number>();
  for (let i = 0; i < 1_000; i++) map.set(i, i);
  const met: number[] = [];
  for (const value of map.values()) {
    met.push(value);
    if (value % 2 === 0) map.delete(value + 1);
    if (value < 1_000) map.set(10_000 + value, 10_000 + value);
  }
  const stayed = met.filter((value) => value < 1_000 && value % 2 === 0);
  expect(stayed.sort((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, i) => 2 * i));
});
