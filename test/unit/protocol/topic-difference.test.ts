/** Why a filter does not match, in words. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { matches } from '../../../src/protocol/topic.ts';
import { topicDifference, topicsNear } from '../../../src/protocol/topic-difference.ts';

const level = fc.constantFrom('a', 'b', 'A', '', ' a', '+', '*', '$x');
const name = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/'));

test('there is a difference exactly where the filter does not match, and it is at least one', () => {
  fc.assert(
    fc.property(name, fc.boolean(), name, (start, isOpen, topic) => {
      const filter = isOpen ? `${start}/#` : start;
      const difference = topicDifference(filter, topic);
      expect(difference === null).toBe(matches(filter, topic));
      if (difference !== null) expect(difference.distance).toBeGreaterThanOrEqual(1);
    }),
  );
});

test('a slip is nearer than another topic', () => {
  const distance = (filter: string) => topicDifference(filter, 'factory/7/temperature')!.distance;
  expect(distance('factory/7/Temperature')).toBeLessThan(distance('factory/8/temperature'));
  expect(distance('factory/8/temperature')).toBeLessThan(distance('house/8/temperature'));
});

test('a filter or topic of very many levels is compared in its first ones', () => {
  const long = Array.from({ length: 1_000 }, () => 'a').join('/');
  expect(topicDifference(long, `${long}/b`)!.text.length).toBeLessThan(200);
});

test('topics that may have been meant are others, and topics', () => {
  expect(topicsNear('/A/b/')).toEqual(['A/b/', '/A/b', '/a/b/', '/A/b//x']);
  expect(topicsNear('a')).toEqual(['/a', 'a/', 'a/x']);
});
