import { expect, test } from 'vitest';
import { TickDelay } from '../../../src/base/tick-delay.ts';

test('a tick counts as late by what it came after its time, and one that is early as in time', () => {
  const delay = new TickDelay(100);
  for (const now of [5_000_000, 5_100_000, 5_199_000, 5_349_000]) delay.tick(now);

  expect(delay.seconds.counts.reduce((sum, count) => sum + count)).toBe(3);
  expect(delay.seconds.sum).toBeCloseTo(0.05, 6);
});
