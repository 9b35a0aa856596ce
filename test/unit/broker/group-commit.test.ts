import { expect, test } from 'vitest';
import type { Boundary } from '../../../src/broker/boundary.ts';
import { GroupCommit } from '../../../src/broker/group-commit.ts';
import { StoreHealth } from '../../../src/broker/store-health.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import type { SessionStore } from '../../../src/contracts/session-store.ts';
import { immediately } from '../../support/rounds.ts';

test('what waited for a commit goes by the time at which the disk had it', () => {
  const commits: (() => void)[] = [];
  const commit = (done: () => void) => commits.push(done);
  const store = { staged: 1, isDurable: false, onUrgent() {}, commit } as unknown as SessionStore;
  const told: string[] = [];
  const scheduler = immediately();
  const group = new GroupCommit({
    store,
    health: new StoreHealth(store, silentLog),
    scheduler,
    boundary: { isBroken: false } as Boundary,
    readTime: () => told.push('the clock is read'),
  });
  group.whenStored(null, () => told.push('answered'));
  group.endRound();
  commits[0]!();
  expect(told).toEqual(['the clock is read', 'answered']);
});
