import { expect, test } from 'vitest';
import { RecentItems } from '../../../src/base/recent-items.ts';

interface Item {
  readonly n: number;
}
const items = (itemsMax = 3, bytesMax = 1_000) => new RecentItems<Item>({ itemsMax, bytesMax, bytesOf: () => 10 });
const all = () => true;
const never = new AbortController().signal;

test('it has the last ones, the newest first', () => {
  const recent = items();
  for (let n = 1; n <= 5; n++) recent.add({ n });
  expect(recent.list(10)).toEqual([{ n: 5 }, { n: 4 }, { n: 3 }]);
  expect(recent.list(1, ({ n }) => n < 5)).toEqual([{ n: 4 }]);
});

test('it is bounded in bytes as well, but for the last one', () => {
  const recent = items(100, 25);
  for (let n = 1; n <= 5; n++) recent.add({ n });
  expect(recent.list(10)).toEqual([{ n: 5 }, { n: 4 }]);
});

test('whoever follows gets some of the past, the oldest first, and then what comes', async () => {
  const recent = items();
  for (let n = 1; n <= 3; n++) recent.add({ n });
  const reader = recent.follow(2, all, never);
  expect((await reader.next()).value).toEqual({ item: { n: 2 }, omitted: 0 });
  recent.add({ n: 4 });
  expect((await reader.next()).value).toEqual({ item: { n: 3 }, omitted: 0 });
  expect((await reader.next()).value).toEqual({ item: { n: 4 }, omitted: 0 });
  const next = reader.next();
  recent.add({ n: 5 });
  expect((await next).value).toEqual({ item: { n: 5 }, omitted: 0 });
});

test('whoever is too slow is told how many they missed', async () => {
  const recent = items();
  const reader = recent.follow(0, all, never);
  const first = reader.next();
  for (let n = 1; n <= 6; n++) recent.add({ n });
  expect((await first).value).toEqual({ item: { n: 4 }, omitted: 3 });
});

test('it ends when its reader has enough, and when there will be no more', async () => {
  const abort = new AbortController();
  const recent = items();
  const one = recent.follow(0, all, abort.signal).next();
  const other = recent.follow(0, all, never).next();
  abort.abort();
  expect((await one).done).toBe(true);
  recent.close();
  expect((await other).done).toBe(true);
});
