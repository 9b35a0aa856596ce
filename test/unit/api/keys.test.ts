/** Keys of the API: their identifiers, and what becomes of them where their file cannot be written. */
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Keys } from '../../../src/api/keys.ts';

let directory: string;
let data: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-keys-'));
  data = join(directory, 'data');
  mkdirSync(data);
});
afterEach(() => rmSync(directory, { recursive: true }));

const wanted = { name: 'a', role: 'viewer' as const, areas: [], username: null, expiresAt: null };
const breakFile = () => renameSync(data, join(directory, 'away'));
const mendFile = () => renameSync(join(directory, 'away'), data);
const open = () => Keys.open(join(data, 'api-keys.json'));

test('a key whose end cannot be stored is refused at once, and deleted again until that is stored', async () => {
  const keys = await open();
  const { key, secret } = await keys.create(wanted, 0);
  breakFile();
  for (let i = 0; i < 2; i++) {
    await expect(keys.delete(key.id)).rejects.toMatchObject({ kind: 'unavailable' });
    expect(keys.find(secret, 0)).toBe(null);
  }
  mendFile();
  expect((await open()).find(secret, 0)).not.toBe(null);
  expect(await keys.delete(key.id)).toEqual(key);
  expect((await open()).list()).toEqual([]);
  await expect(keys.delete(key.id)).rejects.toMatchObject({ kind: 'not-found' });
});

test('a key that cannot be stored is none', async () => {
  const keys = await open();
  breakFile();
  await expect(keys.create(wanted, 0)).rejects.toMatchObject({ kind: 'unavailable' });
  expect(keys.list()).toEqual([]);
  mendFile();
  await keys.create(wanted, 0);
  expect((await open()).list()).toHaveLength(1);
});

test('no identifier of a key looks like an option of a command line', async () => {
  const keys = await Keys.open(null);
  const ids: string[] = [];
  for (let i = 0; i < 600; i++) ids.push((await keys.create({ ...wanted, name: `${i}` }, 0)).key.id);
  expect(ids.filter((id) => !/^\w[\w-]{7}$/.test(id))).toEqual([]);
});
