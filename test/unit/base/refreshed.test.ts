import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Refreshed } from '../../../src/base/refreshed.ts';

test('who asks gets the last figure, and only an old one is found out anew', async () => {
  let now = 0;
  let found = 0;
  const figure = new Refreshed(
    async () => ++found,
    100,
    () => now,
  );
  expect([figure.value, figure.value]).toEqual([null, null]);
  await setImmediate();
  expect([figure.value, found]).toEqual([1, 1]);

  now = 99;
  expect(figure.value).toBe(1);
  now = 100;
  expect(figure.value).toBe(1);
  await setImmediate();
  expect([figure.value, found]).toEqual([2, 2]);
});

test('one that cannot be found out is not known any more, and is asked for no more often', async () => {
  let now = 0;
  const answers = [async () => 7, () => Promise.reject(new Error('gone'))];
  const figure = new Refreshed(
    () => answers.shift()!(),
    100,
    () => now,
  );
  void figure.value;
  await setImmediate();
  expect(figure.value).toBe(7);
  now = 100;
  void figure.value;
  await setImmediate();
  expect([figure.value, figure.value]).toEqual([null, null]);
});
