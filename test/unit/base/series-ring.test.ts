import { expect, test } from 'vitest';
import { SeriesRing } from '../../../src/base/series-ring.ts';

test('it keeps the last points of each series, the oldest first', () => {
  const ring = new SeriesRing(2, 3);
  expect(ring.times()).toEqual([]);
  for (let i = 1; i <= 5; i++) ring.add(i * 10, [i, i / 3]);
  expect(ring.times()).toEqual([30, 40, 50]);
  expect(ring.values(0)).toEqual([3, 4, 5]);
  expect(ring.values(1)).toEqual([1, 1.333, 1.667]);
});

test('what was not known is null, and large values are about right', () => {
  const ring = new SeriesRing(2, 2);
  ring.add(1, [Number.NaN, 123_456_789_012]);
  expect(ring.values(0)).toEqual([null]);
  expect(ring.values(1)[0]! / 123_456_789_012).toBeCloseTo(1, 6);
});
