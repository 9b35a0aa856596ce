import { expect, test } from 'vitest';
import { Durations } from '../../../src/pipeline/durations.ts';
import { aPublish, benchWith } from '../../support/pipeline.ts';

const p99 = (durations: Durations) => Math.round(durations.percentile(99));

test('percentiles do not change by being read', () => {
  const durations = new Durations();
  for (let i = 0; i < 100; i++) durations.add(1);
  const first = p99(durations);
  expect(first).toBeGreaterThan(900);
  expect(p99(durations)).toBe(first);
});

test('nor do those that $SYS tells of the stages of pipelines', async () => {
  const bench = await benchWith([{ decode: 'json' }]);
  await bench.publish(aPublish('{}'));
  const told = () => new Map(bench.pipelines.statistics()).get('test/1-decode/microseconds/p99');
  const first = told();
  expect(first).toBeGreaterThan(0);
  expect([told(), told()]).toEqual([first, first]);
});

test('what was added before the last rotation but one is forgotten', () => {
  const durations = new Durations();
  durations.add(100);
  durations.rotate();
  durations.add(1);
  expect(p99(durations)).toBeGreaterThan(90_000);
  durations.rotate();
  expect(p99(durations)).toBeLessThan(2_000);
  durations.rotate();
  expect(p99(durations)).toBe(0);
});
