import { expect, test } from 'vitest';
import { GroupTable, type MemberChange, Standing } from '../../../src/cluster/group-table.ts';

const { ready, busy, away, full, lossy } = Standing;
const group = 'team/a/#';
const change = (clientId: string, before: Standing | null, after: Standing | null): MemberChange => {
  return { group, clientId, before, after };
};
/** Whose the messages of one frame are. */
const picks = (table: GroupTable, sequence: number, count = 200) =>
  Array.from({ length: count }, (_, index) => table.pick(group, { sequence, index }));

test('all nodes find the same member, in whatever order they came to know them', () => {
  const [one, other] = [new GroupTable(), new GroupTable()];
  one.apply(1, [change('a', null, ready), change('b', null, ready), change('c', null, ready)]);
  other.apply(1, [change('c', null, away), change('b', null, busy)]);
  other.apply(2, [change('a', null, ready), change('c', away, ready), change('b', busy, ready)]);
  expect(picks(one, 7)).toEqual(picks(other, 7));
});

test.each([
  [20, (each: number) => ({ sequence: each, index: 0 })],
  [20, (each: number) => ({ sequence: 2 * each, index: 0 })],
  [20, (each: number) => ({ sequence: 5, index: each })],
  [20, (each: number) => ({ sequence: 5, index: 3 * each })],
])('each of three gets its share, however places follow each other (%i percent at least)', (percent, placeOf) => {
  const table = new GroupTable();
  table.apply(
    1,
    ['a', 'b', 'c'].map((clientId) => change(clientId, null, ready)),
  );
  const got = Array.from({ length: 900 }, (_, each) => table.pick(group, placeOf(each)));
  for (const clientId of ['a', 'b', 'c']) {
    expect(got.filter((each) => each === clientId).length).toBeGreaterThan((900 * percent) / 100);
  }
});

test('the better placed come first, and those who may not have it are passed over', () => {
  const table = new GroupTable();
  const inTurn = [ready, busy, away, full, lossy];
  table.apply(
    1,
    inTurn.map((standing) => change(`member-${standing}`, null, standing)),
  );
  const place = { sequence: 9, index: 0 };
  const refused: string[] = [];
  for (const standing of inTurn) {
    expect(table.pickNext({ group, giver: 'nobody', refused }, place)).toBe(`member-${standing}`);
    refused.push(`member-${standing}`);
  }
  expect(table.pickNext({ group, giver: 'nobody', refused }, place)).toBeNull();
});

test('a message comes back to its giver only if nobody else may have it', () => {
  const table = new GroupTable();
  table.apply(1, [change('giver', null, ready), change('other', null, away)]);
  const place = { sequence: 9, index: 0 };
  expect(table.pickNext({ group, giver: 'giver', refused: [] }, place)).toBe('other');
  expect(table.pickNext({ group, giver: 'giver', refused: ['other'] }, place)).toBe('giver');
  expect(table.pickNext({ group, giver: 'giver', refused: ['giver', 'other'] }, place)).toBeNull();
});

test('what was for a member before can be found out later, as it was found then', () => {
  const table = new GroupTable();
  const changes = [
    [change('a', null, ready), change('b', null, ready)],
    [change('c', null, ready)],
    [change('a', ready, away), change('b', ready, busy)],
    [change('a', away, null), change('b', busy, ready)],
    [change('a', null, ready)],
  ];
  const found = new Map<number, (string | null)[]>();
  for (const [which, each] of changes.entries()) {
    table.apply(10 * (which + 1), each);
    found.set(10 * (which + 1) + 5, picks(table, 10 * (which + 1) + 5));
  }

  for (const clientId of ['a', 'b', 'c']) {
    const past = table.pastOf(clientId, 12);
    for (const [sequence, then] of found) {
      past.advance(sequence);
      const again = then.map((_, index) => past.groupsFor('a/x', { sequence, index }).length > 0);
      expect(again).toEqual(then.map((each) => each === clientId));
    }
  }
});

test('who reads the log from the middle knows the members by a copy of them, and what came before it', () => {
  const [whole, late] = [new GroupTable(), new GroupTable()];
  const early = [change('a', null, ready), change('b', null, ready), change('c', null, ready)];
  const between = [change('a', ready, away)];
  const behind = [change('b', ready, null)];
  whole.apply(1, early);
  for (const table of [whole, late]) table.apply(10, between);
  const asOf10 = [...whole.all()];
  // Between what the copy is as of and the copy itself.
  for (const table of [whole, late]) table.apply(20, behind);
  late.restore(10, asOf10);

  expect([...late.all()].sort()).toEqual([...whole.all()].sort());
  for (const after of [5, 15, 25]) {
    const [one, other] = [whole.pastOf('a', after), late.pastOf('a', after)];
    for (let index = 0; index < 100; index++) {
      const place = { sequence: after, index };
      expect(other.groupsFor('a/x', place)).toEqual(one.groupsFor('a/x', place));
    }
  }
});

test('the log keeps what says who the members are, until it says so again', () => {
  const table = new GroupTable();
  expect(table.first).toBe(Number.POSITIVE_INFINITY);
  table.apply(5, [change('a', null, ready)]);
  table.apply(9, [change('b', null, ready)]);
  expect(table.first).toBe(5);
  table.copied(20);
  expect(table.first).toBe(21);
  table.apply(30, [change('a', ready, null), change('b', ready, null)]);
  expect(table.first).toBe(Number.POSITIVE_INFINITY);
});

test('a group without members is forgotten once nobody asks what was before', () => {
  const table = new GroupTable();
  table.apply(5, [change('a', null, ready)]);
  table.apply(9, [change('a', ready, null)]);
  table.forgetBefore(9);
  expect(table.pastOf('a', 8).groupsFor('a/x', { sequence: 8, index: 0 })).toEqual([group]);
  table.forgetBefore(10);
  expect(table.pastOf('a', 8).groupsFor('a/x', { sequence: 8, index: 0 })).toEqual([]);
});
