/**
 * What LevelStore writes to again after the disk refused: only the database that was there before, with all that was
 * acknowledged.
 */
import { cpSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemTimers } from '../../../src/base/clock.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { type Disk, levelDisk } from '../../../src/store/level/disk.ts';
import { LevelStore, type LevelStoreOptions } from '../../../src/store/level/level-store.ts';
import { aDelivery, aMessage, aSession, committed } from '../../contract/session-store.suite.ts';

let folder = '';
let directory = '';
let refuses = false;
const stores: LevelStore[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-reopening-'));
  directory = join(folder, 'data');
});
afterEach(async () => {
  refuses = false;
  for (const store of stores.splice(0)) await store.close();
  rmSync(folder, { recursive: true });
});

/** LevelDB, whose next batch is refused while `refuses` is set. */
const disk: Disk = {
  ...levelDisk,
  async open(options) {
    const db = await levelDisk.open(options);
    const batch = () => {
      const real = db.batch();
      const write = (how: { readonly sync: boolean }) =>
        refuses ? Promise.reject(new Error('input/output error')) : real.write(how);
      return { put: real.put.bind(real), del: real.del.bind(real), write };
    };
    return {
      get: (key) => db.get(key),
      getMany: (keys) => db.getMany(keys),
      put: (key, value, how) => db.put(key, value, how),
      del: (key, how) => db.del(key, how),
      iterator: (range) => db.iterator(range),
      close: () => db.close(),
      batch,
    };
  },
};

/** It tries again every ten milliseconds instead of every second. */
const timers = {
  ...systemTimers,
  after: (ms: number, run: () => void) => systemTimers.after(Math.min(ms, 10), run),
};

async function aStore(options: Partial<LevelStoreOptions> = {}): Promise<LevelStore> {
  const defaults = { directory, durability: 'sync', topics: [], maxCommitDelayMs: 0, cacheBytes: 0 } as const;
  const store = new LevelStore({ ...defaults, acceptLoss: false, log: silentLog, timers, disk, ...options });
  stores.push(store);
  await store.load();
  return store;
}

function publish(store: LevelStore, sid: number): Promise<void> {
  store.putDelivery(sid, aDelivery(aMessage(store.nextMessageId(), 'x')));
  return committed(store);
}

async function aFilledStore(options: Partial<LevelStoreOptions> = {}): Promise<{ store: LevelStore; sid: number }> {
  const store = await aStore(options);
  const sid = store.nextSessionId();
  store.putSession(aSession(sid));
  await publish(store, sid);
  await publish(store, sid);
  return { store, sid };
}

async function close(store: LevelStore): Promise<void> {
  stores.splice(stores.indexOf(store), 1);
  await store.close();
}

test('a data directory that is gone is not made anew; moved back, it is written to again', async () => {
  const { store, sid } = await aFilledStore();
  refuses = true;
  const away = `${directory}.away`;
  renameSync(directory, away);
  const commit = publish(store, sid);
  await expect.poll(() => store.failure).toMatch(/data was moved, unmounted or deleted/);
  refuses = false;
  expect([store.isFailing, existsSync(directory)]).toEqual([true, false]);

  renameSync(away, directory);
  await commit;
  expect([store.isFailing, store.failure]).toEqual([false, null]);
  await close(store);
  const again = await aStore();
  expect(again.peekDelivery(sid, 2)).not.toBeNull();
});

test('another database in its place is not written to', async () => {
  const other = await aFilledStore();
  await close(other.store);
  renameSync(directory, `${directory}.other`);
  const { store, sid } = await aFilledStore();
  refuses = true;
  renameSync(directory, `${directory}.away`);
  cpSync(`${directory}.other`, directory, { recursive: true });
  const before = readdirSync(directory);
  void publish(store, sid);
  await expect.poll(() => store.failure).toMatch(/is not the one that was there before/);
  expect(readdirSync(directory)).toEqual(before);
});

test('an older copy of it in its place is not written to, for it lacks what was acknowledged', async () => {
  const first = await aFilledStore();
  await close(first.store);
  cpSync(directory, `${directory}.old`, { recursive: true });
  const store = await aStore();
  await publish(store, first.sid);
  refuses = true;
  renameSync(directory, `${directory}.away`);
  renameSync(`${directory}.old`, directory);
  void publish(store, first.sid);
  await expect.poll(() => store.failure).toMatch(/commits up to 3 were acknowledged, and the database in .* has 2/);
});

test('files that are deleted under a running broker are noticed, although the operating system still takes what is written', async () => {
  const { store, sid } = await aFilledStore();
  rmSync(directory, { recursive: true });
  const failure = () => {
    if (store.isDurable) void publish(store, sid);
    return store.failure;
  };
  await expect.poll(failure).toMatch(/data was moved, unmounted or deleted/);
});

test('a refusing disk is told at once, and again after a minute of trying', async () => {
  const errors: string[] = [];
  const log = { ...silentLog, error: (_: object, message: string) => void errors.push(message) };
  const { store, sid } = await aFilledStore({ log });
  refuses = true;
  renameSync(directory, `${directory}.away`);
  void publish(store, sid);
  await expect.poll(() => errors.at(-1)).toMatch(/^still cannot write to the data directory/);
  expect(errors.filter((each) => each.startsWith('cannot write'))).toHaveLength(2);
});

test('an error of ours while a batch is filled is not taken for one of the disk: nothing is written, and it is told', async () => {
  const bugs: Error[] = [];
  const { store, sid } = await aFilledStore({ onFatal: (error) => bugs.push(error) });
  let isAcknowledged = false;
  const broken = aDelivery(aMessage(store.nextMessageId(), 'x'));
  store.putDelivery(sid, broken);
  Object.defineProperty(broken.message, 'topic', {
    get: () => {
      throw new TypeError('a bug');
    },
  });
  store.commit(() => {
    isAcknowledged = true;
  });
  await expect.poll(() => bugs).toEqual([new TypeError('a bug')]);
  expect([isAcknowledged, store.isDurable, store.isFailing, store.failure]).toEqual([
    false,
    false,
    true,
    'a bug: a bug',
  ]);
  await close(store);
  const again = await aStore();
  const messageIds = [again.peekDelivery(sid, 1)?.messageId, again.peekDelivery(sid, 2)];
  expect(messageIds).toEqual([2, null]);
});
