/** Which topics of bridges can go round for ever, and which cannot. */
import { expect, test } from 'vitest';
import { findLoop } from '../../../src/contracts/bridge-loops.ts';
import { bridges } from '../../../src/contracts/bridge-settings.ts';
import { meet } from '../../../src/protocol/topic.ts';

const entry = (filter: string, direction: 'in' | 'out' | 'both', localPrefix = '', remotePrefix = '') => {
  return { filter, direction, localPrefix, remotePrefix };
};
const always = () => true;

test.each([
  ['a/#', 'a/b', 'a/b'],
  ['a/#', 'a', 'a'],
  ['+/b', 'a/+', 'a/b'],
  ['#', '+/x', '+/x'],
  ['a/+/#', 'a/#', 'a/+/#'],
  ['a', 'b', null],
  ['a/+', 'a', null],
  ['a/b/#', 'a', null],
])('%s and %s have %s in common', (one, other, common) => {
  expect([meet(one, other), meet(other, one)]).toEqual([common, common]);
});

test.each([
  ['all of it in both directions', [entry('#', 'both')], 'x'],
  ['a prefix that grows with each turn', [entry('#', 'out', '', 'x/'), entry('#', 'in')], 'x/x'],
  ['a name there that does not leave here', [entry('a/#', 'out', '', 'b/'), entry('b/a/#', 'in')], null],
  [
    'an entry out and another that brings it back',
    [entry('a/#', 'out', '', 'b/'), entry('a/#', 'in', '', 'b/')],
    'a/x',
  ],
  ['topics of their own in each direction', [entry('up/#', 'out'), entry('down/#', 'in')], null],
  ['what comes back once, under another name', [entry('a/#', 'out'), entry('a/#', 'in', 'from/')], null],
])('%s', (_, topics, example) => {
  expect(findLoop([{ topics }], always)?.topic ?? null).toBe(example);
});

const bridge = (name: string, version: string) => ({
  ...{ name, version, addresses: ['mqtt://broker:1883'] },
  topics: [{ filter: '#', direction: 'both' }],
});

test('two bridges of 3.1.1 to one broker are refused if one brings back what leaves by the other', () => {
  const { error } = bridges.safeParse([bridge('one', '3.1.1'), bridge('two', '5.0')]);

  const message = expect.stringContaining('leaves by one and comes back by two');
  expect(error?.issues[0]).toMatchObject({ path: [1, 'topics'], message });
});

test('of 5.0, messages have their path with them', () => {
  expect(bridges.safeParse([bridge('one', '5.0'), bridge('two', 'auto')]).success).toBe(true);
});
