/** What LevelStore does with bad luck: damaged records, lost commits, a second process, durability by topic. */
import { chmodSync, cpSync, existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Level } from 'level';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemTimers } from '../../../src/base/clock.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import { restore } from '../../../src/core/lifecycle.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { ByteWriter } from '../../../src/store/level/bytes.ts';
import { type Disk, levelDisk } from '../../../src/store/level/disk.ts';
import { LevelStore, type LevelStoreOptions } from '../../../src/store/level/level-store.ts';
import { ResidentMessage } from '../../../src/store/level/message-ring.ts';
import { format, idListKey, key, Prefix, packetKey } from '../../../src/store/level/records.ts';
import { type LevelChanges, Staged } from '../../../src/store/level/staged.ts';
import { exportTo, importFrom, statistics } from '../../../src/store/level/tools.ts';
import { aDelivery, aMessage, aSession, committed, read } from '../../contract/session-store.suite.ts';
import { aCore, World } from '../../support/core-world.ts';
import { aClient } from '../../support/pipeline.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-level-'));
});
afterEach(() => rm(directory, { recursive: true }));

function aStore(options: Partial<LevelStoreOptions> = {}): LevelStore {
  const defaults = { directory, durability: 'sync', topics: [], maxCommitDelayMs: 0, cacheBytes: 0 } as const;
  return new LevelStore({ ...defaults, acceptLoss: false, log: silentLog, ...options });
}

/** A session 1 with messages 1, 2, 3. */
async function filled(): Promise<void> {
  const store = aStore();
  await store.load();
  const sid = store.nextSessionId();
  store.putSession(aSession(sid));
  for (const payload of ['1', '2', '3']) store.putDelivery(sid, aDelivery(aMessage(store.nextMessageId(), payload)));
  await committed(store);
  await store.close();
}

async function tamper(change: (db: Level<Buffer, Buffer>) => Promise<unknown>): Promise<void> {
  const db = new Level<Buffer, Buffer>(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await change(db);
  await db.close();
}

function flipped(value: Buffer | undefined): Buffer {
  const copy = Buffer.from(value!);
  copy[copy.length - 1]! ^= 1;
  return copy;
}

describe('damage', () => {
  test('a flipped bit costs that message; it is set aside and the rest is served', async () => {
    await filled();
    const damaged = key(Prefix.message, 2);
    await tamper(async (db) => db.put(damaged, flipped(await db.get(damaged))));
    const errors: object[] = [];
    const store = aStore({ log: { ...silentLog, error: (fields) => errors.push(fields) } });
    const { sessions } = await store.load();
    expect([...sessions][0]?.backlog.messages).toBe(2);
    const { deliveries } = await read(store, 1);
    expect(deliveries.map(({ message }) => message.payload.toString())).toEqual(['1', '3']);
    expect(errors).toMatchObject([{ record: damaged.toString('hex') }]);
    await store.close();
    await tamper(async (db) => {
      expect(await db.get(damaged)).toBeUndefined();
      expect(await db.get(Buffer.concat([Buffer.of(Prefix.setAside), damaged]))).toBeDefined();
    });
  });

  test('one that is damaged while the broker runs is skipped and told', async () => {
    await filled();
    const content = key(Prefix.message, 3);
    const store = aStore();
    await store.load();
    await store.close();
    await tamper((db) => db.del(content));
    const again = aStore();
    await again.load();
    const { deliveries } = await read(again, 1);
    expect(deliveries.map(({ message }) => message.payload.toString())).toEqual(['1', '2']);
    await again.close();
  });

  test('a part of the database that LevelDB finds damaged while the broker runs costs what stands in it, and is told', async () => {
    await filled();
    const errors: string[] = [];
    const store = aStore({
      log: { ...silentLog, error: (_, message) => errors.push(message) },
      disk: unreadable(key(Prefix.message, 2), 'LEVEL_CORRUPTION'),
    });
    await store.load();
    const { deliveries, damaged } = await read(store, 1);
    expect(deliveries.map(({ message }) => message.payload.toString())).toEqual(['1', '3']);
    expect(damaged.messages).toBe(1);
    expect(errors[0]).toMatch(/a part of the database is damaged: restart the broker with --accept-loss/);
    await store.close();
  });

  test('a page that the disk cannot read is tried again, and told', async () => {
    await filled();
    const errors: string[] = [];
    const disk = unreadable(key(Prefix.message, 2), 'LEVEL_IO_ERROR');
    const store = aStore({
      ...{ log: { ...silentLog, error: (_, message) => errors.push(message) }, disk },
      timers: { ...systemTimers, after: (_, run) => systemTimers.after(0, run) },
    });
    await store.load();
    const page = read(store, 1);
    await expect.poll(() => errors.length).toBeGreaterThan(1);
    expect(errors[0]).toMatch(/stored messages cannot be read from the disk; trying again every second/);
    disk.heal();
    expect((await page).deliveries).toHaveLength(3);
    await store.close();
  });

  test.each([
    ['small', Prefix.message],
    ['large', Prefix.content],
  ])('a flipped bit in a %s message that is under way costs that message', async (size, prefix) => {
    const store = aStore();
    await store.load();
    const sid = store.nextSessionId();
    store.putSession(aSession(sid));
    const message = aMessage(store.nextMessageId(), 'x'.repeat(size === 'large' ? 10_000 : 1));
    store.putDelivery(sid, aDelivery(message, { qos: 2 }));
    store.putSending(sid, { packetId: 1, messageId: message.id, isReceived: false });
    store.putDelivery(sid, aDelivery(aMessage(store.nextMessageId(), 'next')));
    await committed(store);
    await store.close();
    const damaged = key(prefix, message.id);
    await tamper(async (db) => db.put(damaged, flipped(await db.get(damaged))));
    const errors: object[] = [];
    const again = aStore({ log: { ...silentLog, error: (fields) => errors.push(fields) } });
    const { sessions } = await again.load();
    expect([...sessions][0]?.sendings).toEqual([]);
    const { deliveries } = await read(again, sid);
    expect(deliveries.map(({ message: { payload } }) => payload.toString())).toEqual(['next']);
    expect(errors).toHaveLength(1);
    await committed(again);
    await again.close();
    await tamper(async (db) => expect(await db.get(packetKey(Prefix.sending, sid, 1))).toBeUndefined());
  });

  test('a hole in the commits is refused, and accepted only when that is asked for', async () => {
    await filled();
    await tamper((db) => db.put(key(Prefix.commit, 99), Buffer.from('8f3d1f8c', 'hex')));
    await expect(aStore().load()).rejects.toThrow(/commits between 1 and 99 are missing.*--accept-loss/s);
  });

  test('a lost commit is accepted with --accept-loss', async () => {
    await filled();
    await tamper(async (db) => db.put(key(Prefix.commit, 99), (await db.get(key(Prefix.commit, 1)))!));
    const store = aStore({ acceptLoss: true });
    const { sessions } = await store.load();
    expect([...sessions][0]?.backlog.messages).toBe(3);
    await store.close();
    const again = aStore();
    await again.load();
    await again.close();
  });

  test('an import that did not come to its end is refused, and accepted only when that is asked for', async () => {
    const store = aStore();
    await store.load();
    for (let i = 0; i < 2_000; i++) store.putSession(aSession(store.nextSessionId()));
    await committed(store);
    await store.close();
    const lines: string[] = [];
    await exportTo(directory, async (line) => void lines.push(`${line}\n`));
    const copy = join(directory, 'copy');
    await expect(importFrom(copy, Readable.from(lines.slice(0, -1)))).rejects.toThrow(/cut off/);
    await expect(aStore({ directory: copy }).load()).rejects.toThrow(/is not complete: .*--accept-loss/s);
    const rest = aStore({ directory: copy, acceptLoss: true });
    expect([...(await rest.load()).sessions].length).toBeGreaterThan(0);
    await rest.close();
    const again = aStore({ directory: copy });
    await again.load();
    await again.close();
  });

  test('a missing end is refused, and accepted only when that is asked for', async () => {
    await filled();
    const old = `${directory}/old`;
    const names = readdirSync(directory);
    for (const name of names) cpSync(join(directory, name), join(old, name));
    const store = aStore();
    await store.load();
    store.putDelivery(1, aDelivery(aMessage(store.nextMessageId(), '4')));
    await committed(store);
    await store.close();
    // The database as it was before, beside what is known of it now.
    cpSync(join(directory, 'last-commit'), join(old, 'last-commit'));
    const text = /The end of the database in .* is missing.*: commit 2 was the last one, and 1 is.*--accept-loss/;
    await expect(aStore({ directory: old }).load()).rejects.toThrow(text);
    const warnings: string[] = [];
    const rest = aStore({
      ...{ directory: old, acceptLoss: true },
      log: { ...silentLog, warn: (_, message) => warnings.push(message) },
    });
    await rest.load();
    await rest.close();
    expect(warnings).toEqual([expect.stringMatching(/is missing.*; going on, as --accept-loss says/)]);
    const again = aStore({ directory: old });
    await again.load();
    await again.close();
  });

  test('the files of two databases are not taken for one', async () => {
    await filled();
    const other = `${directory}/other`;
    const store = aStore({ directory: other });
    await store.load();
    await store.close();
    cpSync(join(other, 'last-commit'), join(directory, 'last-commit'));
    await expect(aStore().load()).rejects.toThrow(/belongs to another database: files of two of them are mixed/);
  });

  test('what says where the end was is missing: that is told, and it is made anew', async () => {
    await filled();
    rmSync(join(directory, 'last-commit'));
    const warnings: string[] = [];
    const store = aStore({ log: { ...silentLog, warn: (_, message) => warnings.push(message) } });
    await store.load();
    await store.close();
    expect(warnings).toEqual([
      expect.stringMatching(/last-commit .* is missing: whether the end of the data is there/),
    ]);
    expect(existsSync(join(directory, 'last-commit'))).toBe(true);
  });

  test('a newer format is refused', async () => {
    await filled();
    await tamper((db) => db.put(Buffer.of(Prefix.format), numbered(format + 1)));
    await expect(aStore().load()).rejects.toMatchObject({ code: 'newer_format' });
  });

  test('who only reads a database of an older format leaves it to the version that wrote it', async () => {
    await filled();
    await tamper((db) => db.put(Buffer.of(Prefix.format), numbered(2)));
    await statistics(directory);
    await exportTo(directory, async () => {});
    await tamper(async (db) => expect(await db.get(Buffer.of(Prefix.format))).toEqual(numbered(2)));
  });

  test('a format from before the oldest that can be read is refused, and left as it is', async () => {
    await filled();
    await tamper((db) => db.put(Buffer.of(Prefix.format), numbered(1)));
    await expect(aStore().load()).rejects.toMatchObject({ code: 'older_format' });
    await tamper(async (db) => expect(await db.get(Buffer.of(Prefix.format))).toEqual(numbered(1)));
  });

  test('a database of format 2 has the wills of clients that have left with their sessions, and comes to no harm', async () => {
    const will = { message: aMessage(0, 'gone', 'will'), delaySeconds: 1_000 };
    const left = Date.now() - 500_000;
    const store = aStore();
    await store.load();
    const identity = { ...aClient, clientId: 'client-1' };
    store.putSession(aSession(store.nextSessionId(), { will, disconnectedAt: left, expirySeconds: 10_000, identity }));
    await committed(store);
    await store.close();
    await tamper((db) => db.put(Buffer.of(Prefix.format), numbered(2)));

    const again = aStore();
    const first = await again.load();
    const { sink } = new World().core;
    aCore({ settings: defaultSettings, store: again, sink, now: Date.now() }).restore(first);
    await committed(again);
    await again.close();

    const third = aStore();
    const { sessions, wills } = await third.load();
    await third.close();
    expect([...sessions].map(({ session }) => session.will)).toEqual([null]);
    const [pending] = [...wills];
    expect(pending).toMatchObject({ clientId: 'client-1', dueAt: left + 1_000_000, identity });
    expect(pending?.will.message.payload.toString()).toBe('gone');
    await tamper(async (db) => expect(await db.get(Buffer.of(Prefix.format))).toEqual(numbered(format)));
  });

  test('a second process on the same directory is refused in one line', async () => {
    const store = aStore();
    await store.load();
    await expect(aStore().load()).rejects.toThrow(/in use by another process; stop that one, or choose/);
    await store.close();
  });

  test('a directory with something else in it is refused', async () => {
    await tamper((db) => db.put(Buffer.from('hello'), Buffer.from('world')));
    await expect(aStore().load()).rejects.toMatchObject({ code: 'damaged' });
  });
});

/** LevelDB that cannot read one key, with this error, until it is healed. */
function unreadable(at: Buffer, code: string): Disk & { heal(): void } {
  let isHealed = false;
  const assertReadable = (keys: readonly Buffer[]) => {
    if (isHealed || !keys.some((each) => each.equals(at))) return;
    throw Object.assign(new Error('it cannot be read'), { code });
  };
  return {
    heal: () => {
      isHealed = true;
    },
    async open(options) {
      const db = await levelDisk.open(options);
      return {
        batch: () => db.batch(),
        put: (key, value, how) => db.put(key, value, how),
        del: (key, how) => db.del(key, how),
        iterator: (range) => db.iterator(range),
        close: () => db.close(),
        async get(key) {
          assertReadable([key]);
          return db.get(key);
        },
        async getMany(keys) {
          assertReadable(keys);
          return db.getMany(keys);
        },
      };
    },
  };
}

/** A value that is this number. */
const numbered = (number: number) => Buffer.from(new ByteWriter().begin().varint(number).finish());

describe('durability by topic', () => {
  const topics = [
    { filter: 'fast/#', durability: 'memory' },
    { filter: 'log/+', durability: 'os' },
  ] as const;

  test('`memory` is not waited for, but reaches the disk with the next batch', async () => {
    const store = aStore({ topics });
    await store.load();
    const sid = store.nextSessionId();
    store.putSession(aSession(sid));
    await committed(store);
    const before = store.staged;
    store.putDelivery(sid, aDelivery(aMessage(store.nextMessageId(), 'x', 'fast/a')));
    expect([store.staged, store.isDurable, store.hasStaged]).toEqual([before, true, true]);
    await committed(store);
    await store.close();
    const again = aStore();
    expect([...(await again.load()).sessions][0]?.backlog.messages).toBe(1);
    await again.close();
  });

  test('ten thousand topics that retain something else are too many to stay in memory', async () => {
    const store = aStore({ topics });
    await store.load();
    for (let i = 1; i < 10_000; i++) store.putRetained(aMessage(0, 'x', `fast/${i}`));
    store.removeRetained(Topic.of('fast/1'));
    expect([store.isBehind, store.isDurable]).toEqual([false, true]);
    store.putRetained(aMessage(0, 'x', 'fast/one more'));
    expect([store.isBehind, store.isDurable]).toEqual([true, false]);
    await committed(store);
    expect([store.isBehind, store.isDurable]).toEqual([false, true]);
    await store.close();
  });

  test('the others are waited for', async () => {
    const store = aStore({ topics });
    await store.load();
    const sid = store.nextSessionId();
    for (const topic of ['log/a', 'other']) {
      const before = store.staged;
      store.putDelivery(sid, aDelivery(aMessage(store.nextMessageId(), 'x', topic)));
      expect(store.staged).toBe(before + 1);
    }
    expect(store.isDurable).toBe(false);
    await committed(store);
    await store.close();
  });
});

test('a message whose recipients are all done before its batch left never touches the disk', async () => {
  const store = aStore();
  await store.load();
  const sid = store.nextSessionId();
  store.putSession(aSession(sid));
  const message = aMessage(store.nextMessageId(), 'x');
  store.putDelivery(sid, aDelivery(message));
  store.removeDelivery(sid, message.id);
  await committed(store);
  await store.close();
  await tamper(async (db) => expect(await db.get(key(Prefix.message, message.id))).toBeUndefined());
});

test('what was staged and taken back leaves nothing to wait for', async () => {
  const store = aStore();
  await store.load();
  const sid = store.nextSessionId();
  store.putSession(aSession(sid));
  await committed(store);
  const message = aMessage(store.nextMessageId(), 'x');
  store.putDelivery(sid, aDelivery(message));
  store.removeDelivery(sid, message.id);
  await committed(store);
  // Otherwise every turn of the broker would begin another one, at full speed, until something else is written.
  expect(store.isDurable).toBe(true);
  await store.close();
});

test('a large batch is handed to the database a few records in a round, and committed whole', async () => {
  let rounds = 0;
  const timers = {
    ...systemTimers,
    after: (ms: number, run: () => void) => {
      rounds++;
      systemTimers.after(ms, run);
    },
  };
  const store = aStore({ timers, recordsInRow: 10 });
  await store.load();
  const sid = store.nextSessionId();
  store.putSession(aSession(sid));
  const messages = Array.from({ length: 100 }, (_, i) => aMessage(store.nextMessageId(), `${i}`));
  for (const message of messages) store.putDelivery(sid, aDelivery(message));
  const commit = committed(store);
  expect(rounds).toBe(1);
  // Two are done with before they were handed over, and before the batch is written.
  store.removeDelivery(sid, messages[50]!.id);
  await new Promise(setImmediate);
  store.removeDelivery(sid, messages[0]!.id);
  await commit;
  expect(rounds).toBe(10);
  await store.close();

  const again = aStore();
  const { sessions } = await again.load();
  expect([...sessions].map(({ backlog }) => backlog.messages)).toEqual([98]);
  await again.close();
});

test('messages that are taken back are not kept until something is written, which may be never', () => {
  const staged = new Staged({ bytes: 0 });
  for (let i = 0; i < 1_000; i++) {
    staged.add(new ResidentMessage(aMessage(i, 'x'), [], null, staged));
    staged.takenBack();
  }
  expect(staged.messages).toHaveLength(0);
  expect(staged.isEmpty).toBe(true);
});

test('a message that is dropped while the page with it is read does not hold up the others', async () => {
  await filled();
  const store = aStore({ timers: { ...systemTimers, after: () => expect.unreachable('the page is read again') } });
  await store.load();
  const unwritten = aMessage(store.nextMessageId(), '4');
  store.putDelivery(1, aDelivery(unwritten));
  const page = read(store, 1);
  store.removeDelivery(1, unwritten.id);
  const { deliveries } = await page;
  expect(deliveries.map(({ message }) => message.payload.toString())).toEqual(['1', '2', '3']);
  await store.close();
});

test('messages that are done with while they are being written do not widen the cache', async () => {
  const cacheBytes = 4_000;
  const store = aStore({ cacheBytes });
  await store.load();
  const [quick, away] = [store.nextSessionId(), store.nextSessionId()];
  for (const sid of [quick, away]) store.putSession(aSession(sid));
  await committed(store);
  for (let i = 0; i < 50; i++) {
    const message = aMessage(store.nextMessageId(), 'x'.repeat(100));
    store.putDelivery(quick, aDelivery(message));
    const written = committed(store);
    store.removeDelivery(quick, message.id);
    await written;
  }
  expect(store.cachedBytes).toBe(0);
  for (let i = 0; i < 50; i++) {
    store.putDelivery(away, aDelivery(aMessage(store.nextMessageId(), 'x'.repeat(100))));
    await committed(store);
    expect(store.cachedBytes).toBeLessThanOrEqual(cacheBytes);
  }
  expect(store.cachedBytes).toBeGreaterThan(cacheBytes / 2);
  await store.close();
});

test('sessions are restored however many there are', async () => {
  const sessionCount = 150_000;
  const store = aStore();
  await store.load();
  for (let i = 0; i < sessionCount; i++) store.putSession(aSession(store.nextSessionId()));
  await committed(store);
  await store.close();
  const again = aStore();
  const { sessions } = await again.load();
  expect([...sessions]).toHaveLength(sessionCount);
  expect(again.nextSessionId()).toBe(sessionCount + 1);
  await again.close();
});

describe.runIf(process.platform !== 'win32')('who can read the data', () => {
  const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

  test('a new data directory is its owner’s only', async () => {
    const made = join(directory, 'data');
    const store = aStore({ directory: made });
    await store.load();
    await store.close();
    expect(modeOf(made)).toBe('700');
    expect(modeOf(join(made, 'last-commit'))).toBe('600');
  });

  test('one that others could read is closed to them, with a line in the log', async () => {
    await filled();
    chmodSync(directory, 0o755);
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (_: object, message: string) => void warnings.push(message) };
    const store = aStore({ log });
    await store.load();
    expect(modeOf(directory)).toBe('700');
    expect(warnings).toEqual(['others could read the data directory: from now on only its owner can']);
    await store.close();
    await rm(join(directory, 'LOG'));
    const again = aStore({ log });
    await again.load();
    await again.close();
    expect(warnings).toHaveLength(1);
  });

  test('one with other files in it keeps its mode, and Sluice’s own files are closed', async () => {
    await filled();
    cpSync(import.meta.filename, join(directory, 'index.html'));
    chmodSync(directory, 0o755);
    const before = readdirSync(directory).find((name) => name.endsWith('.log'))!;
    chmodSync(join(directory, before), 0o644);
    const store = aStore();
    await store.load();
    expect([modeOf(directory), modeOf(join(directory, 'CURRENT'))]).toEqual(['755', expect.any(String)]);
    await store.close();
  });
});

test('while it is closed, batches go one after the other, and nothing that is staged meanwhile is left', async () => {
  let writing = 0;
  let atOnce = 0;
  const slow: Disk = {
    open: async (options) => {
      const db = await levelDisk.open(options);
      const batch = () => {
        const each = db.batch();
        const write = async (how: { readonly sync: boolean }) => {
          atOnce = Math.max(atOnce, ++writing);
          await new Promise((resolve) => setImmediate(resolve));
          await each.write(how).finally(() => writing--);
        };
        return { put: each.put.bind(each), del: each.del.bind(each), write };
      };
      return {
        get: (at) => db.get(at),
        getMany: (keys) => db.getMany(keys),
        put: (at, value, how) => db.put(at, value, how),
        del: (at, how) => db.del(at, how),
        iterator: (range) => db.iterator(range),
        close: () => db.close(),
        batch,
      };
    },
  };
  const store = aStore({ disk: slow });
  await store.load();
  const sid = store.nextSessionId();
  const stage = (payload: string) => store.putDelivery(sid, aDelivery(aMessage(store.nextMessageId(), payload)));
  store.putSession(aSession(sid));
  stage('1');
  store.commit(() => {
    stage('3');
    store.commit(() => {});
  });
  stage('2');
  const closed = store.close();
  setImmediate(() => stage('4'));
  store.commit(() => {});
  await closed;
  expect([atOnce, store.unwritten]).toEqual([1, 0]);
  const again = aStore();
  await again.load();
  const { deliveries } = await read(again, sid);
  expect(deliveries.map(({ message }) => message.payload.toString()).sort()).toEqual(['1', '2', '3', '4']);
  await again.close();
});

test('what is staged while the closed database is being closed counts as nobody’s', async () => {
  const store = aStore();
  await store.load();
  store.putSession(aSession(store.nextSessionId()));
  const closed = store.close();
  // Once the session is written, and before the files are closed.
  while (store.unwritten > 0) await new Promise((resolve) => setImmediate(resolve));
  store.putSession(aSession(store.nextSessionId()));
  await closed;
  expect(store.unwritten).toBe(0);
});

test('what a session holds of a shared subscription that it has left is known after a crash', async () => {
  const store = aStore();
  await store.load();
  const sid = store.nextSessionId();
  store.putSession(aSession(sid));
  const group = { name: 'share/filter' };
  store.putDelivery(sid, { ...aDelivery(aMessage(store.nextMessageId(), '1')), group });
  await committed(store);
  await store.close();
  const again = aStore();
  const { core } = new World();
  restore(core, await again.load());
  expect([...core.directory].map(({ mayHoldShared }) => mayHoldShared)).toEqual([true]);
  await again.close();
});

describe('content that messages share', () => {
  const large = 'x'.repeat(100_000);

  /** How many bytes stand under the prefixes of messages and of content. */
  async function storedBytes(): Promise<{ message: number; content: number; contents: number }> {
    const found = { message: 0, content: 0, contents: 0 };
    await tamper(async (db) => {
      for await (const [at, value] of db.iterator()) {
        if (at[0] === Prefix.message) found.message += value.length;
        if (at[0] === Prefix.content) found.content += value.length;
        if (at[0] === Prefix.content) found.contents++;
      }
    });
    return found;
  }

  /** One session has the same message a hundred times, by shared subscriptions. */
  async function copies(payload: string, options: Partial<LevelStoreOptions> = {}): Promise<LevelStore> {
    const store = aStore(options);
    await store.load();
    store.putSession(aSession(store.nextSessionId()));
    const message = aMessage(store.nextMessageId(), payload);
    store.putDelivery(1, aDelivery(message));
    for (let i = 1; i < 100; i++) store.putDelivery(1, aDelivery(message.renumbered(store.nextMessageId())));
    return store;
  }

  test('a large payload is staged and stored once, however many copies of its message wait', async () => {
    const store = await copies(large);
    expect(store.unwrittenBytes).toBeLessThan(2 * large.length);
    await committed(store);
    await store.close();
    const { content, contents, message } = await storedBytes();
    expect([contents, content - large.length < 100, message < 100 * 50]).toEqual([1, true, true]);
  });

  test('a payload of some size is stored twice at most: with the first message, and for all others', async () => {
    const store = await copies('x'.repeat(1_000));
    await committed(store);
    await store.close();
    const { content, contents, message } = await storedBytes();
    expect([contents, content < 1_100, message < 1_000 + 100 * 50]).toEqual([1, true, true]);
  });

  test('it is in memory once when all copies are read back', async () => {
    const store = await copies(large);
    await committed(store);
    const seen = new Set<Buffer>();
    let after = 0;
    for (let i = 0; i < 100; i++) {
      const { deliveries } = await read(store, 1, after, 1);
      expect(deliveries).toHaveLength(1);
      seen.add(deliveries[0]!.message.bytes);
      after = deliveries[0]!.message.id;
    }
    expect(seen.size).toBe(1);
    await store.close();
  });

  test.each([0, 1_000_000])(
    'it stays until the last message is done, also over a restart; cache %i',
    async (cacheBytes) => {
      const store = await copies(large, { cacheBytes });
      await committed(store);
      for (let id = 1; id < 50; id++) store.removeDelivery(1, id);
      await committed(store);
      await store.close();
      expect((await storedBytes()).contents).toBe(1);

      const again = aStore({ cacheBytes });
      await again.load();
      for (let id = 50; id < 100; id++) again.removeDelivery(1, id);
      await committed(again);
      const { deliveries } = await read(again, 1);
      expect(deliveries.map(({ message }) => message.payload.toString())).toEqual([large]);
      again.removeDelivery(1, 100);
      await committed(again);
      await again.close();
      expect(await storedBytes()).toEqual({ message: 0, content: 0, contents: 0 });
    },
  );

  test('it is written although the message that brought it was done with before', async () => {
    const store = await copies(large);
    store.removeDelivery(1, 1);
    await committed(store);
    await store.close();
    const again = aStore();
    await again.load();
    const { deliveries } = await read(again, 1);
    expect(deliveries[0]!.message.payload.toString()).toBe(large);
    await again.close();
  });

  test('a copy that comes when all others are done brings the content anew', async () => {
    const store = aStore();
    await store.load();
    store.putSession(aSession(store.nextSessionId()));
    const message = aMessage(store.nextMessageId(), large);
    for (let round = 0; round < 3; round++) {
      const copy = message.renumbered(store.nextMessageId());
      store.putDelivery(1, aDelivery(copy));
      if (round !== 1) await committed(store);
      store.removeDelivery(1, copy.id);
    }
    store.putDelivery(1, aDelivery(message.renumbered(store.nextMessageId())));
    await committed(store);
    const { deliveries } = await read(store, 1);
    expect(deliveries[0]!.message.payload.toString()).toBe(large);
    await store.close();
    expect((await storedBytes()).contents).toBe(1);
  });

  test('a copy under another topic has that topic when it is read back, also if the first one was', async () => {
    const store = await copies(large);
    await committed(store);
    await store.close();
    const again = aStore();
    await again.load();
    const { deliveries } = await read(again, 1);
    const copy = deliveries[0]!.message.renumbered(again.nextMessageId(), false);
    copy.rename(Topic.of('there'));
    again.putDelivery(1, aDelivery(copy));
    await committed(again);
    await again.close();
    const last = aStore();
    await last.load();
    const all = (await read(last, 1, 0, 1e9)).deliveries;
    expect(all.at(-1)!.message.topic.name).toBe('there');
    await last.close();
  });

  test('what is lost of it costs the messages that had it, and nothing else', async () => {
    const store = await copies(large);
    store.putDelivery(1, aDelivery(aMessage(store.nextMessageId(), 'other')));
    await committed(store);
    await store.close();
    await tamper((db) => db.del(key(Prefix.content, 1)));
    const again = aStore();
    await again.load();
    const { deliveries, damaged } = await read(again, 1, 0, 1e9);
    expect(damaged.messages).toBe(100);
    expect(deliveries.map(({ message }) => message.payload.toString())).toEqual(['other']);
    await again.close();
  });
});

describe('long lists of subscription identifiers', () => {
  const ids = Array.from({ length: 8_192 }, (_, index) => 268_000_000 + index);

  /** How many bytes stand under the prefix of messages, and how many lists there are. */
  async function storedLists(): Promise<{ messageBytes: number; lists: number }> {
    const found = { messageBytes: 0, lists: 0 };
    await tamper(async (db) => {
      for await (const [at, value] of db.iterator()) {
        if (at[0] === Prefix.message) found.messageBytes += value.length;
        if (at[0] === Prefix.idList) found.lists++;
      }
    });
    return found;
  }

  /** Session 1 has a hundred messages with the same list. */
  async function withList(options: Partial<LevelStoreOptions> = {}): Promise<LevelStore> {
    const store = aStore(options);
    await store.load();
    store.putSession(aSession(store.nextSessionId()));
    for (let i = 0; i < 100; i++) putWith(store, ids);
    return store;
  }

  function putWith(store: LevelStore, subscriptionIds: readonly number[], changes?: LevelChanges): number {
    const id = store.nextMessageId();
    store.putDelivery(1, aDelivery(aMessage(id, 'x'), { subscriptionIds }), changes);
    return id;
  }

  test('one is staged and stored once, however many messages bring it', async () => {
    const store = await withList();
    expect(store.unwrittenBytes).toBeLessThan(2 * 4 * ids.length);
    await committed(store);
    putWith(store, ids);
    await committed(store);
    await store.close();
    const { lists, messageBytes } = await storedLists();
    expect([lists, messageBytes < 101 * 50]).toEqual([1, true]);
  });

  test.each([0, 1_000_000])(
    'it comes back with each message until the last one is done, over restarts; cache %i',
    async (cacheBytes) => {
      const store = await withList({ cacheBytes });
      await committed(store);
      for (let id = 1; id < 50; id++) store.removeDelivery(1, id);
      await committed(store);
      await store.close();
      expect((await storedLists()).lists).toBe(1);

      const again = aStore({ cacheBytes });
      await again.load();
      const { deliveries } = await read(again, 1, 0, 1e9);
      expect(deliveries).toHaveLength(51);
      expect(new Set(deliveries.map(({ subscriptionIds }) => subscriptionIds)).size).toBe(1);
      expect(deliveries[0]!.subscriptionIds).toEqual(ids);
      for (let id = 50; id <= 100; id++) again.removeDelivery(1, id);
      await committed(again);
      await again.close();
      expect(await storedLists()).toEqual({ messageBytes: 0, lists: 0 });
    },
  );

  test('it goes with the last piece of its session, although that piece has nothing else to write', async () => {
    const store = aStore();
    await store.load();
    for (let i = 0; i < 2; i++) store.putSession(aSession(store.nextSessionId()));
    const message = aMessage(store.nextMessageId(), 'for both');
    store.putDelivery(1, aDelivery(message, { subscriptionIds: ids }));
    store.putDelivery(2, aDelivery(message));
    await committed(store);
    expect(store.removeSession(1, 0)).toBe(true);
    await committed(store);
    expect(store.removeSession(1, 10)).toBe(false);
    await committed(store);
    await store.close();
    expect((await storedLists()).lists).toBe(0);
  });

  test('it goes with its session, although others have the message', async () => {
    const store = await withList();
    store.putSession(aSession(store.nextSessionId()));
    const message = aMessage(store.nextMessageId(), 'for both');
    for (const sid of [1, 2]) store.putDelivery(sid, aDelivery(message, { subscriptionIds: [...ids] }));
    await committed(store);
    store.removeSession(1);
    await committed(store);
    await store.close();
    expect((await storedLists()).lists).toBe(1);
    const again = aStore();
    await again.load();
    const { deliveries } = await read(again, 2);
    expect(deliveries).toMatchObject([{ subscriptionIds: ids }]);
    await again.close();
  });

  test('a message does not rely on one that comes with a later commit', async () => {
    const store = aStore();
    await store.load();
    store.putSession(aSession(store.nextSessionId()));
    const later = store.newChangeSet();
    putWith(store, ids, later);
    putWith(store, ids);
    await committed(store);
    await store.close();
    const again = aStore();
    await again.load();
    const { deliveries } = await read(again, 1);
    expect(deliveries).toMatchObject([{ message: { id: 2 }, subscriptionIds: ids }]);
    await again.close();
  });

  test('one that no message has, as a crash may leave it, goes with the next start', async () => {
    await (await withList()).close();
    await tamper(async (db) => {
      for (let id = 1; id <= 100; id++) await db.del(key(Prefix.message, id));
    });
    const store = aStore();
    await store.load();
    await committed(store);
    await store.close();
    expect((await storedLists()).lists).toBe(0);
  });

  test('one that is damaged costs the messages that had it, and nothing else', async () => {
    const store = await withList();
    store.putDelivery(1, aDelivery(aMessage(store.nextMessageId(), 'other')));
    await committed(store);
    await store.close();
    const at = idListKey(1, 1);
    await tamper(async (db) => db.put(at, flipped(await db.get(at))));
    const again = aStore();
    await again.load();
    const { deliveries, damaged } = await read(again, 1, 0, 1e9);
    expect(damaged.messages).toBe(100);
    expect(deliveries.map(({ message }) => message.payload.toString())).toEqual(['other']);
    await again.close();
  });

  test('messages count with it in the cache', async () => {
    const store = await withList({ cacheBytes: 1_000_000 });
    await committed(store);
    expect(store.cachedBytes).toBeGreaterThan(900_000);
    await store.close();
  });
});

test('a store knows what it takes of the disk, what it has written and what the disk has left', async () => {
  const store = aStore();
  await store.load();
  const sid = store.nextSessionId();
  store.putSession(aSession(sid));
  const written = () => store.recordsWritten;
  expect(written()).toBe(0);
  for (let i = 0; i < 3; i++) store.putDelivery(sid, aDelivery(aMessage(store.nextMessageId(), 'x')));
  await committed(store);
  expect(written()).toBe(4);

  const { metrics } = store;
  const figures = () => metrics.flatMap(({ samples }) => [...samples()].map(({ value }) => value));
  expect(figures()).toEqual([]);
  await vi.waitUntil(() => figures().length === 2);
  expect(figures()[1]).toBeGreaterThan(1_000_000);
  await store.close();
});
