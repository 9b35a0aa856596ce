import { expect, test } from 'vitest';
import { Histogram, RecentCounts, secondsBounds } from '../../../src/base/histogram.ts';

test('a value that is a bound falls below it, and one beyond all bounds into the last bucket', () => {
  const histogram = new Histogram([1, 10]);
  for (const value of [0.5, 1, 2, 10, 11]) histogram.add(value);

  expect([...histogram.counts]).toEqual([2, 2, 1]);
  expect(histogram.sum).toBe(24.5);
});

test('bounds for durations ascend, and reach from 10 microseconds to some seconds', () => {
  expect(secondsBounds).toEqual([...secondsBounds].sort((a, b) => a - b));
  expect([secondsBounds[0], secondsBounds.at(-1)]).toEqual([0.00001, 5]);
});

test('a percentile lies between the bounds of its bucket, and does not change by being read', () => {
  const histogram = new Histogram([1, 10, 100]);
  const recent = new RecentCounts(histogram);
  for (let i = 0; i < 99; i++) histogram.add(0.5);
  histogram.add(50);

  expect(recent.percentile(50)).toBeLessThanOrEqual(1);
  expect(recent.percentile(99)).toBeCloseTo(1);
  expect(recent.percentile(100)).toBe(100);
  expect([recent.percentile(99.5), recent.percentile(99.5)]).toEqual([55, 55]);
});

test('beyond the last bound, a percentile is that bound; of nothing, it is 0', () => {
  const histogram = new Histogram([1]);
  const recent = new RecentCounts(histogram);
  expect(recent.percentile(99)).toBe(0);
  histogram.add(5);
  expect(recent.percentile(99)).toBe(1);
});

test('what came before the last but one time to forget is forgotten by that reader, and by no other', () => {
  const histogram = new Histogram([1, 10]);
  const [recent, other] = [new RecentCounts(histogram), new RecentCounts(histogram)];
  histogram.add(5);
  recent.forget();
  histogram.add(0.5);
  expect(recent.percentile(99)).toBeGreaterThan(1);
  recent.forget();
  expect(recent.percentile(99)).toBeLessThanOrEqual(1);
  recent.forget();
  expect(recent.percentile(99)).toBe(0);
  expect(other.percentile(99)).toBeGreaterThan(1);
  expect([...histogram.counts]).toEqual([1, 1, 0]);
});
