/** Directories for data and backups, also where the file system takes none. */
import { existsSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { assertEmpty } from '../../../src/store/level/copy.ts';
import { makeDirectory } from '../../../src/store/level/make-directory.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-directories-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('a directory is made with those above it, and may be there already', async () => {
  const wanted = join(folder, 'a', 'b', 'c');
  await Promise.all([makeDirectory(wanted), makeDirectory(wanted)]);
  expect(existsSync(wanted)).toBe(true);
  await makeDirectory(wanted);
});

test('in the place of a file and below it none is made', async () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  await expect(makeDirectory(file)).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(makeDirectory(join(file, 'a'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

test.runIf(process.platform === 'linux')('where a file system takes no directory, a backup is refused', async () => {
  const refused = { name: 'StoreError', message: expect.stringContaining('Cannot use /proc/sluice/backup') };
  await expect(assertEmpty('/proc/sluice/backup')).rejects.toMatchObject(refused);
});
