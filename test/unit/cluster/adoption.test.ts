import { expect, test } from 'vitest';
import { Adoption, type AdoptionOptions, sharedSince } from '../../../src/cluster/adoption.ts';
import { GroupTable, type MemberChange, Standing } from '../../../src/cluster/group-table.ts';
import type { Logged, LoggedShared } from '../../../src/cluster/log-reader.ts';
import { setPlace } from '../../../src/cluster/places.ts';
import { aMessage, messageOf } from '../../support/frames.ts';

const group = 'team/a/#';
const joins = (clientId: string): MemberChange => ({ group, clientId, before: null, after: Standing.ready });

const at = (sequence: number, index: number) => {
  const message = messageOf({ ...aMessage, topic: 'a/b' });
  setPlace(message, { sequence, index, firstPart: sequence, isCopy: false });
  return message;
};
const published = (sequence: number, count: number): Logged[] =>
  Array.from({ length: count }, (_, index) => ({ sequence, message: at(sequence, index), origin: null }));
const places = (found: ReturnType<typeof sharedSince>) => found.assigned.map(({ message, group: by }) => [message, by]);

test('what was for a member behind its checkpoint is found, by who were members then', () => {
  const table = new GroupTable();
  table.apply(1, [joins('gone'), joins('other')]);
  const logged = [...published(5, 20), ...published(15, 20)];
  const then = logged.map((_, each) => table.pick(group, { sequence: each < 20 ? 5 : 15, index: each % 20 }));
  table.apply(20, [joins('late')]);

  const past = table.pastOf('gone', 10);
  const found = sharedSince({ clientId: 'gone', past, sharedStart: 10, at: 10, logged, shared: [] });

  const expected = logged.filter(({ sequence }, each) => sequence > 10 && then[each] === 'gone');
  expect(places(found)).toEqual(expected.map(({ message }) => [message, group]));
});

test('what has gone on from a member is not its own any more, be it in its record or behind it', () => {
  const table = new GroupTable();
  table.apply(1, [joins('gone')]);
  const logged = published(15, 2);
  const handOn = (sequence: number, from: number, index: number): LoggedShared => ({
    ...{ sequence, changes: [], copy: null, messages: [at(sequence, 0)] },
    handed: [{ group, giver: 'gone', refused: ['gone'], places: [{ sequence: from, index }] }],
  });
  const shared = [handOn(8, 3, 0), handOn(12, 4, 0), handOn(17, 15, 1)];

  const past = table.pastOf('gone', 10);
  const found = sharedSince({ clientId: 'gone', past, sharedStart: 10, at: 10, logged, shared });

  expect(places(found)).toEqual([[logged[0]!.message, group]]);
  // That was before the record, which has it again.
  expect(found.isHandedOn(group, { sequence: 3, index: 0 })).toBe(false);
  expect(found.isHandedOn(group, { sequence: 4, index: 0 })).toBe(true);
  expect(found.isHandedOn('another/a/#', { sequence: 4, index: 0 })).toBe(false);
});

test('what goes on to a member is its own, as far as it is behind the checkpoint', () => {
  const table = new GroupTable();
  table.apply(1, [joins('heir')]);
  const handed = [{ group, giver: 'gone', refused: [], places: [] }];
  const frame = (sequence: number): LoggedShared => {
    return { sequence, changes: [], copy: null, handed, messages: [at(sequence, 0)] };
  };
  const shared = [frame(5), frame(15)];

  const past = table.pastOf('heir', 10);
  const found = sharedSince({ clientId: 'heir', past, sharedStart: 10, at: 10, logged: [], shared });

  expect(places(found)).toEqual([[shared[1]!.messages[0], group]]);
});

test('who inherits from an heir that had just begun to inherit begins where that one did', async () => {
  const node = { state: 'dead', beat: 1, by: 'x', at: [90], low: [1], adopted: [], heirs: ['third'] } as const;
  const reached: number[] = [];
  const messages = { fence: async () => 95, reached: async (sequence: number) => void reached.push(sequence) };
  const adoption = new Adoption({
    node: 'third',
    membership: { nodes: new Map([['second', node]]) },
    messages,
  } as unknown as AdoptionOptions);
  const record = { owner: 'second', by: 'second', write: 1, at: 20, from: null, wills: [], session: null };

  expect(await adoption.startOf(record)).toEqual({ start: 90, sharedStart: 90 });
  expect(await adoption.startOf({ ...record, from: 30, sharedFrom: 25 })).toEqual({ start: 30, sharedStart: 25 });
  // Only the end of a long queue is left out: all that came by shared subscriptions is in the record.
  expect(await adoption.startOf({ ...record, from: 10 })).toEqual({ start: 10, sharedStart: 90 });
  expect(Math.min(...reached)).toBe(95);
});
