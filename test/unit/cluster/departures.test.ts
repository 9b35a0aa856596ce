import { expect, test } from 'vitest';
import { Departures } from '../../../src/cluster/departures.ts';

test('a group is known by its topics as long as one of its members is leaving', () => {
  const departures = new Departures();
  departures.add('one', 'team/a/+');
  departures.add('two', 'team/a/+');
  departures.add('two', 'crew/#');
  expect(departures.groupsFor('a/b').sort()).toEqual(['crew/#', 'team/a/+']);
  expect(departures.groupsFor('b')).toEqual(['crew/#']);
  departures.read('one', 'team/a/+');
  expect(departures.groupsFor('a/b').sort()).toEqual(['crew/#', 'team/a/+']);
  departures.read('two', 'crew/#');
  departures.read('two', 'team/a/+');
  expect(departures.groupsFor('a/b')).toEqual([]);
});

test('a member that has left twice is leaving until the log says both', () => {
  const departures = new Departures();
  departures.add('one', 'team/a');
  departures.add('one', 'team/a');
  departures.read('one', 'team/a');
  expect([departures.has('one', 'team/a'), departures.hasAny('one')]).toEqual([true, true]);
  departures.read('one', 'team/a');
  expect([departures.has('one', 'team/a'), departures.hasAny('one')]).toEqual([false, false]);
});

test('what the log says of a member that this node has not sent away changes nothing', () => {
  const departures = new Departures();
  departures.read('one', 'team/a');
  departures.add('one', 'team/b');
  departures.read('one', 'team/a');
  departures.read('two', 'team/b');
  expect(departures.groupsFor('b')).toEqual(['team/b']);
});
