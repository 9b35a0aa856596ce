/** What every QuarantineStore promises. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLog } from '../../src/contracts/log.ts';
import type { QuarantinedMessage, QuarantineStore } from '../../src/contracts/pipeline.ts';
import { AscendingIds } from '../../src/store/ascending-ids.ts';
import { LevelStore } from '../../src/store/level/level-store.ts';
import { check, exportTo, importFrom } from '../../src/store/level/tools.ts';
import { MemoryQuarantine } from '../../src/store/memory-quarantine.ts';
import { aPublish } from '../support/pipeline.ts';

const limits = { quarantineMessages: 3, quarantineBytes: 5_000 };

function aMessage(payload: string, fields: Partial<QuarantinedMessage> = {}): QuarantinedMessage {
  const properties = {
    correlationData: Buffer.from([0, 255]),
    contentType: 'text/plain',
    userProperties: [
      ['a', '1'],
      ['a', '2'],
    ] as [string, string][],
  };
  return {
    message: aPublish(payload, properties),
    clientId: 'sensor-1',
    username: null,
    pipeline: 'p',
    version: '01234567',
    stage: '1 decode',
    reason: 'not JSON',
    time: 1_700_000_000_000,
    ...fields,
  };
}

const open: LevelStore[] = [];
const directories: string[] = [];
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true });
});

async function level(directory?: string): Promise<LevelStore> {
  if (directory === undefined) directories.push((directory = await mkdtemp(join(tmpdir(), 'sluice-quarantine-'))));
  const options = { durability: 'sync', topics: [], maxCommitDelayMs: 0, cacheBytes: 0, acceptLoss: false } as const;
  const store = new LevelStore({ directory, ...options, quarantine: limits, log: silentLog });
  await store.load();
  open.push(store);
  return store;
}

const payloads = (store: QuarantineStore) =>
  Promise.all(store.list(0, 10).map(async ({ id }) => (await store.get(id))!.message.payload.toString()));

describe.each([
  ['in memory', async (): Promise<QuarantineStore> => new MemoryQuarantine(limits)],
  ['on LevelDB', async (): Promise<QuarantineStore> => (await level()).quarantine],
])('%s', (_where, create) => {
  test('gives back what was put, in order, and by number', async () => {
    const store = await create();
    for (const payload of ['1', '2']) expect(store.put(aMessage(payload))).toBe(0);
    const [first, second] = store.list(0, 10);
    expect(first!.id).toBeLessThan(second!.id);
    const { topic, qos, retain } = aMessage('2').message;
    const { message: _, ...about } = aMessage('2');
    const shown = { topic, qos, retain, contentType: 'text/plain', bytes: 1 };
    expect(second).toEqual({ ...about, ...shown, id: second!.id });
    const { id, ...rest } = (await store.get(second!.id))!;
    expect(rest.message.payload.toString()).toBe('2');
    expect({ ...rest, message: null }).toEqual({ ...aMessage('2'), message: null });
    expect({ ...rest.message, payload: null }).toEqual({ ...aMessage('2').message, payload: null });
    expect(store.list(first!.id, 1).map((each) => each.id)).toEqual([id]);
    expect(store.count).toBe(2);
  });

  test('forgets what is removed', async () => {
    const store = await create();
    store.put(aMessage('1'));
    const [entry] = store.list(0, 1);
    store.remove(entry!.id);
    store.remove(entry!.id);
    expect([await store.get(entry!.id), store.count, store.bytes]).toEqual([null, 0, 0]);
  });

  test('goes from number to number', async () => {
    const store = await create();
    for (const payload of ['1', '2', '3']) store.put(aMessage(payload));
    const [first, second, third] = store.list(0, 10).map(({ id }) => id);
    store.remove(second!);
    expect([0, first!, third!].map((id) => store.next(id))).toEqual([first, third, null]);
    expect([first!, second!].map((id) => store.has(id))).toEqual([true, false]);
    expect(store.lastId).toBe(third);
  });

  test('counts properties as well as payloads', async () => {
    const store = await create();
    const message = aPublish('x', { userProperties: [['a', 'x'.repeat(3_500)]] });
    expect([store.put(aMessage('1')), store.put(aMessage('2', { message }))]).toEqual([0, 0]);
    expect(store.bytes).toBeGreaterThan(3_500);
    expect(store.put(aMessage('3', { message }))).toBe(2);
  });

  test('is bounded in messages and bytes: the oldest make room, and are counted', async () => {
    const store = await create();
    expect(['1', '2', '3', '4'].map((payload) => store.put(aMessage(payload)))).toEqual([0, 0, 0, 1]);
    expect(await payloads(store)).toEqual(['2', '3', '4']);
    const large = 'x'.repeat(4_000);
    expect(store.put(aMessage(large))).toBeGreaterThan(0);
    expect((await payloads(store)).at(-1)).toBe(large);
    expect(store.bytes).toBeLessThanOrEqual(limits.quarantineBytes);
  });

  test('keeps the payload that it was given, whatever becomes of the buffer', async () => {
    const store = await create();
    const message = aMessage('abc');
    store.put(message);
    message.message.payload.fill(0);
    expect(await payloads(store)).toEqual(['abc']);
  });
});

test('on LevelDB, what was committed is there after a restart, with numbers that go on', async () => {
  const store = await level();
  const [directory] = directories;
  store.quarantine.put(aMessage('1'));
  expect(store.staged).toBe(1);
  await new Promise<void>((resolve) => store.commit(resolve));
  const [first] = store.quarantine.list(0, 1);
  store.quarantine.remove(first!.id);
  store.quarantine.put(aMessage('2'));
  await store.close();
  open.length = 0;
  const again = await level(directory);
  const [entry] = again.quarantine.list(0, 10);
  expect((await again.quarantine.get(entry!.id))?.message.payload.toString()).toBe('2');
  again.quarantine.put(aMessage('3'));
  expect(again.quarantine.list(entry!.id, 1)[0]?.id).toBeGreaterThan(entry!.id);
  expect(again.quarantine.count).toBe(2);
  await again.close();
  open.length = 0;
  expect((await check(directory!)).counts.get('quarantined message')).toBe(2);
  const lines: string[] = [];
  await exportTo(directory!, async (line) => void lines.push(line));
  const copy = await mkdtemp(join(tmpdir(), 'sluice-quarantine-'));
  directories.push(copy);
  const { Readable } = await import('node:stream');
  await importFrom(copy, Readable.from(lines.map((line) => `${line}\n`)));
  expect(await payloads((await level(copy)).quarantine)).toEqual(['2', '3']);
});

test('on LevelDB, a list reads nothing from disk', async () => {
  const store = await level();
  store.quarantine.put(aMessage('x'.repeat(1_000)));
  await new Promise<void>((resolve) => store.commit(resolve));
  await store.close();
  expect(store.quarantine.list(0, 10)).toMatchObject([{ bytes: 1_000, stage: '1 decode' }]);
  const again = await level(directories[0]);
  await again.close();
  expect(again.quarantine.list(0, 10)).toEqual(store.quarantine.list(0, 10));
  open.length = 0;
});

test('a page ends where its texts are long, and goes on behind them', () => {
  const store = new MemoryQuarantine({ quarantineMessages: 100, quarantineBytes: 10_000_000 });
  const message = aPublish('', { topic: 't'.repeat(60_000) });
  for (let i = 0; i < 20; i++) store.put(aMessage('', { message }));
  const sizes: number[] = [];
  for (let page = store.list(0, 200); page.length > 0; page = store.list(page.at(-1)!.id, 200)) sizes.push(page.length);
  expect(sizes).toEqual([9, 9, 2]);
});

test('on LevelDB, what makes room for others before it is written takes neither memory nor disk', async () => {
  const store = await level();
  for (let i = 0; i < 1_000; i++) store.quarantine.put(aMessage(String(i)));
  expect(store.unwritten).toBe(limits.quarantineMessages);
  expect(await payloads(store.quarantine)).toEqual(['997', '998', '999']);
  await new Promise<void>((resolve) => store.commit(resolve));
  expect(await payloads(store.quarantine)).toEqual(['997', '998', '999']);
  store.quarantine.put(aMessage('1000'));
  // One that is there is removed, and one comes.
  expect(store.unwritten).toBe(2);
});

test('which is the oldest is found without looking at all that have left', () => {
  const there = new Set<number>();
  const ids = new AscendingIds();
  let looked = 0;
  const isThere = (id: number) => {
    looked++;
    return there.has(id);
  };
  for (let id = 1; id <= 100_000; id++) {
    ids.add(id);
    there.add(id);
    if (there.size > 1_000) there.delete(ids.oldest(isThere)!);
  }
  expect(looked).toBeLessThan(300_000);
  expect([...ids.above(99_997)]).toEqual([99_998, 99_999, 100_000]);
});
