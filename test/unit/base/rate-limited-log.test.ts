import { beforeEach, expect, test } from 'vitest';
import { RateLimitedLog } from '../../../src/base/rate-limited-log.ts';

let now: number;
let lines: unknown[][];
let log: RateLimitedLog<'came' | 'failed'>;

beforeEach(() => {
  now = 0;
  lines = [];
  const writing = (level: string) => (fields: object, message: string) => void lines.push([level, message, fields]);
  const all = { info: writing('info'), warn: writing('warn'), error: writing('error') };
  log = new RateLimitedLog(all, { intervalMs: 10_000, most: { came: 2, failed: 1 } }, () => now);
});

test('of each kind so many lines are written, and one that says how many more there were, with the last one', () => {
  for (let i = 0; i < 1_000; i++) {
    log.info('came', { client: i }, 'a client came');
    log.error('failed', { attempt: i }, `attempt ${i} failed`);
  }
  expect(lines).toEqual([
    ['info', 'a client came', { client: 0 }],
    ['error', 'attempt 0 failed', { attempt: 0 }],
    ['info', 'a client came', { client: 1 }],
  ]);
  lines.length = 0;
  now = 9_999;
  log.tick();
  expect(lines).toEqual([]);
  now = 10_000;
  log.tick();
  log.tick();
  expect(lines).toEqual([
    ['info', 'and 998 more such lines; the last: a client came', { client: 999, count: 998 }],
    ['warn', 'and 999 more such lines; the last: attempt 999 failed', { attempt: 999, count: 999 }],
  ]);
});

test('an interval begins with the first line of its kind', () => {
  log.warn('failed', {}, 'one');
  now = 9_000;
  log.info('came', {}, 'first');
  log.info('came', {}, 'second');
  now = 11_000;
  log.warn('failed', {}, 'two');
  log.info('came', {}, 'third');
  expect(lines.map(([, message]) => message)).toEqual(['one', 'first', 'second', 'two']);
});

test('where nobody ticks, the next line of a kind ends its interval', () => {
  for (const message of ['one', 'two', 'three']) log.warn('failed', {}, message);
  now = 10_000;
  log.warn('failed', {}, 'four');
  expect(lines.map(([, message]) => message)).toEqual(['one', 'and 2 more such lines; the last: three', 'four']);
});

test('an interval in which nothing was left out ends without a word', () => {
  log.warn('failed', {}, 'one');
  now = 10_000;
  log.tick();
  expect(lines).toHaveLength(1);
});

test('a clock that is set back keeps no line back', () => {
  now = 1_000_000;
  log.warn('failed', {}, 'one');
  now = 0;
  log.warn('failed', {}, 'two');
  expect(lines.map(([, message]) => message)).toEqual(['one', 'two']);
});
