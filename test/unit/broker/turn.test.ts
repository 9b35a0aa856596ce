import { expect, test } from 'vitest';
import type { Boundary } from '../../../src/broker/boundary.ts';
import { StoreHealth } from '../../../src/broker/store-health.ts';
import { Turn } from '../../../src/broker/turn.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import type { SessionStore } from '../../../src/contracts/session-store.ts';

test('what waited for a commit goes by the time at which the disk had it', () => {
  const commits: (() => void)[] = [];
  const commit = (done: () => void) => commits.push(done);
  const store = { staged: 1, isDurable: false, onUrgent() {}, commit } as unknown as SessionStore;
  const told: string[] = [];
  const turn = new Turn({
    store,
    health: new StoreHealth(store, silentLog),
    schedule: (run) => run(),
    boundary: { isBroken: false } as Boundary,
    readTime: () => told.push('the clock is read'),
  });
  turn.whenStored(null, () => told.push('answered'));
  commits[0]!();
  expect(told).toEqual(['the clock is read', 'answered']);
});
