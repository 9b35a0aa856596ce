/** Commands on quarantined messages. */
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { quarantineHandlers } from '../../../src/admin/quarantine.ts';
import type { QuarantineEntry } from '../../../src/contracts/pipeline.ts';
import { MemoryQuarantine } from '../../../src/store/memory-quarantine.ts';
import { aPublish } from '../../support/pipeline.ts';

type Handlers = ReturnType<typeof quarantineHandlers>;

/** A quarantine with so many messages, numbered from 1. */
function quarantineOf(count: number, onReplay: (store: MemoryQuarantine, entry: QuarantineEntry) => void = () => {}) {
  const store = new MemoryQuarantine({ quarantineMessages: 1_000, quarantineBytes: 1_000_000 });
  const about = { clientId: null, username: null, pipeline: 'p', version: '0', stage: '1 decode', reason: '', time: 0 };
  const put = () => store.put({ message: aPublish('x'), ...about });
  for (let i = 0; i < count; i++) put();
  const replayed: number[] = [];
  const replay = async (entry: QuarantineEntry) => {
    await setImmediate();
    replayed.push(entry.id);
    onReplay(store, entry);
    return 'published' as const;
  };
  return { store, put, replayed, handlers: quarantineHandlers({ store, replay }) };
}

const run = async <Name extends keyof Handlers>(handlers: Handlers, name: Name, request: object) =>
  await (handlers[name] as (request: object) => unknown)(request);

test('two replays and a drop at one time publish each message once', async () => {
  const { handlers, replayed, store } = quarantineOf(5);
  const results = await Promise.all([
    run(handlers, 'quarantine replay', { ids: 'all' }),
    run(handlers, 'quarantine replay', { ids: 'all' }),
    run(handlers, 'quarantine drop', { ids: 'all' }),
  ]);
  expect(replayed).toEqual([1, 2, 3, 4, 5]);
  expect(results).toMatchObject([{ published: 5 }, { published: 0 }, { count: 0 }]);
  expect(store.count).toBe(0);
});

test('a number that is given twice counts once', async () => {
  const { handlers, replayed } = quarantineOf(5);
  expect(await run(handlers, 'quarantine replay', { ids: [5, 2, 5] })).toMatchObject({ published: 2 });
  expect(replayed).toEqual([2, 5]);
  expect(await run(handlers, 'quarantine drop', { ids: [1, 1] })).toEqual({ count: 1 });
});

test('a number that is not there is refused before anything is replayed, and others can go on', async () => {
  const { handlers, replayed } = quarantineOf(2);
  const wrong = run(handlers, 'quarantine replay', { ids: [1, 7] });
  const right = run(handlers, 'quarantine replay', { ids: [2] });
  await expect(wrong).rejects.toThrow('There is no quarantined message 7');
  expect(await right).toMatchObject({ published: 1 });
  expect(replayed).toEqual([2]);
});

test('a message that makes room for another one during a replay is skipped', async () => {
  const { handlers, replayed } = quarantineOf(4, (store, { id }) => store.remove(id + 1));
  expect(await run(handlers, 'quarantine replay', { ids: [1, 2, 3] })).toMatchObject({ published: 2 });
  expect(replayed).toEqual([1, 3]);
});

test('what comes into quarantine during a replay or drop of all stays', async () => {
  const { handlers, store, put, replayed } = quarantineOf(3, () => put());
  expect(await run(handlers, 'quarantine replay', { ids: 'all' })).toMatchObject({ published: 3 });
  expect([replayed, store.count]).toEqual([[1, 2, 3], 3]);
  expect(await run(handlers, 'quarantine drop', { ids: 'all' })).toEqual({ count: 3 });
});
