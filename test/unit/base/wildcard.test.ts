import { expect, test } from 'vitest';
import { matchesWildcard } from '../../../src/base/wildcard.ts';

test.each([
  ['', '', true],
  ['', 'a', false],
  ['abc', 'abc', true],
  ['abc', 'abcabc', false],
  ['*', '', true],
  ['*', 'anything', true],
  ['a*', 'a', true],
  ['a*', 'ba', false],
  ['*c', 'abc', true],
  ['a*a', 'a', false],
  ['a*b*c', 'a-b-c', true],
  ['a*b*c', 'a-c-b', false],
  ['a*bc*c', 'abc', false],
  ['*a**b*', '-a-b-', true],
  ['a*.d', 'a.c.d', true],
] as const)('"%s" and "%s": %s', (pattern, text, isMatch) => {
  expect(matchesWildcard(pattern.split('*'), text)).toBe(isMatch);
});
