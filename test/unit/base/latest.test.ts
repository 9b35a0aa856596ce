import { expect, test } from 'vitest';
import { Latest } from '../../../src/base/latest.ts';

test('every reader gets the value there is, and then those that replace it', async () => {
  const latest = new Latest<{ n: number }>();
  const abort = new AbortController();
  const readers = [latest.values(abort.signal), latest.values(abort.signal)];
  latest.set({ n: 1 });
  for (const reader of readers) expect((await reader.next()).value).toBe(latest.value);
  const next = readers.map((reader) => reader.next());
  latest.set({ n: 2 });
  for (const each of next) expect((await each).value).toBe(latest.value);
});

test('a reader that is too slow misses what came in between, and nothing gathers for it', async () => {
  const latest = new Latest<{ n: number }>();
  const reader = latest.values(new AbortController().signal);
  latest.set({ n: 1 });
  await reader.next();
  for (let n = 2; n <= 1_000; n++) latest.set({ n });
  expect((await reader.next()).value).toEqual({ n: 1_000 });
});

test('it ends when its reader has enough, and when there will be no more', async () => {
  const latest = new Latest<{ n: number }>();
  const abort = new AbortController();
  const waiting = latest.values(abort.signal).next();
  abort.abort();
  expect((await waiting).done).toBe(true);
  const other = latest.values(new AbortController().signal).next();
  latest.close();
  expect((await other).done).toBe(true);
});
