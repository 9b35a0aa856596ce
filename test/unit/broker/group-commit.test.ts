import { describe, expect, test } from 'vitest';
import type { Scheduler } from '../../../src/base/scheduler.ts';
import type { Boundary } from '../../../src/broker/boundary.ts';
import type { ClientChannel } from '../../../src/broker/client-channel.ts';
import { GroupCommit } from '../../../src/broker/group-commit.ts';
import { StoreHealth } from '../../../src/broker/store-health.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import type { SessionStore } from '../../../src/contracts/session-store.ts';
import { immediately, Rounds } from '../../support/rounds.ts';

/** A store that is told when its commits are on disk, and what waits for them. */
function aGroup(options: { answersPerStep?: number; scheduler: Scheduler; advanceClock?: () => void }) {
  const commits: (() => void)[] = [];
  const commit = (done: () => void) => commits.push(done);
  const store = { staged: 1, isDurable: false, recordsWritten: 10, onUrgent() {}, commit };
  const group = new GroupCommit({
    store: store as unknown as SessionStore,
    health: new StoreHealth(store as unknown as SessionStore, silentLog),
    boundary: { isBroken: false } as Boundary,
    ...{ answersPerStep: 64, advanceClock: () => {}, ...options },
  });
  return { group, store, commits };
}

test('what waited for a commit goes by the time at which the disk had it', () => {
  const told: string[] = [];
  const scheduler = immediately();
  const { group, commits } = aGroup({ scheduler, advanceClock: () => told.push('the clock is read') });
  group.whenStored(null, () => told.push('answered'));
  group.endRound();
  commits[0]!();
  expect(told).toEqual(['the clock is read', 'answered']);
});

test('of very many answers to one commit some are given in a round, and none gets ahead of those before it', () => {
  const rounds = new Rounds();
  const { group, store, commits } = aGroup({ scheduler: rounds.scheduler, answersPerStep: 2 });
  const given: number[] = [];
  const answer = (number: number) => group.whenStored(null, () => given.push(number));
  for (const number of [1, 2, 3, 4, 5]) answer(number);
  group.endRound();
  rounds.perReading = 600;
  store.isDurable = true;
  commits[0]!();
  expect(given).toEqual([1, 2, 3, 4]);

  answer(6);
  expect(given).toHaveLength(4);
  rounds.rest();
  expect(given).toEqual([1, 2, 3, 4, 5, 6]);
});

test('who waits for all that is staged goes behind those before it, also if it became durable meanwhile', () => {
  const rounds = new Rounds();
  const { group, store, commits } = aGroup({ scheduler: rounds.scheduler });
  const given: number[] = [];
  group.whenStored(null, () => given.push(1));
  store.isDurable = true;
  group.whenStored(null, () => given.push(2));
  expect(given).toEqual([]);
  group.endRound();
  commits[0]!();
  rounds.rest();
  expect(given).toEqual([1, 2]);
});

test('it is measured how long a commit took and how many records it had, if it had any', () => {
  const rounds = new Rounds();
  const { group, store, commits } = aGroup({ scheduler: rounds.scheduler, answersPerStep: 2 });
  for (const records of [3, 0]) {
    group.schedule();
    group.endRound();
    rounds.now += 2_000;
    store.recordsWritten += records;
    commits.shift()!();
  }
  expect([group.seconds.sum, group.records.sum]).toEqual([expect.closeTo(0.002, 6), 3]);
  expect([...group.records.counts].indexOf(1)).toBe(group.records.bounds.indexOf(4));
});

describe('an answer that needs no disk', () => {
  const rounds = new Rounds();
  const { group, store, commits } = aGroup({ scheduler: rounds.scheduler, answersPerStep: 1 });
  const told: string[] = [];
  const channel = { heldAnswers: 0, heldForBatch: 0 } as ClientChannel;
  /** After which nothing is staged that this answer waits for. */
  const answer = (what: string) => group.answer(channel, store.staged, () => told.push(what));
  const answerStored = (what: string) => group.answer(channel, -1, () => told.push(what));

  test('follows the one before it with the batch that this waits for, and waits for no later one', () => {
    answerStored('first');
    answer('in the same batch');
    group.endRound();
    answer('while it is written');
    answerStored('of the next batch');
    answer('behind that');
    expect(told).toEqual([]);
    commits.shift()!();
    rounds.rest();
    expect(told).toEqual(['first', 'in the same batch', 'while it is written']);
    group.endRound();
    commits.shift()!();
    rounds.rest();
    expect(told.splice(0).slice(3)).toEqual(['of the next batch', 'behind that']);
  });

  test('follows those that are being given, a few in each round', () => {
    for (const what of ['one', 'two', 'three']) answerStored(what);
    group.endRound();
    rounds.perReading = 600;
    commits.shift()!();
    expect(told).not.toContain('three');
    answer('four');
    rounds.rest();
    expect(told).toEqual(['one', 'two', 'three', 'four']);
    answer('at once');
    expect(told).toContain('at once');
    expect(commits).toEqual([]);
  });
});
