/**
 * Two processes that start on one data directory at the same moment: one of them serves it, and loses nothing by the
 * other.
 */
import { existsSync, mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Level } from 'level';
import { afterAll, expect, test } from 'vitest';
import { silentLog } from '../../../src/contracts/log.ts';
import { levelDisk } from '../../../src/store/level/disk.ts';
import { salvageLockName } from '../../../src/store/level/files/salvage.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-two-'));
afterAll(() => rmSync(folder, { recursive: true }));

const options = (directory: string, acceptLoss = false) => ({ directory, acceptLoss, log: silentLog });

test('a database that another process is making is not taken for one whose making was cut short', async () => {
  const directory = join(folder, 'making');
  // As it stands before its first record.
  const other = new Level(directory);
  await other.open();

  await expect(levelDisk.open(options(directory))).rejects.toThrow(/is in use by another process/);

  expect(existsSync(join(directory, 'CURRENT'))).toBe(true);
  await other.put('a', 'b');
  await other.close();
  const again = new Level(directory, { createIfMissing: false });
  expect(await again.get('a')).toBe('b');
  await again.close();
});

test('what another process is mending is left to it', async () => {
  const directory = join(folder, 'mending');
  const before = new Level<Buffer, Buffer>(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await before.put(Buffer.of(0x40), Buffer.of(1));
  await before.close();
  truncateSync(join(directory, 'CURRENT'));
  const mending = new Level(join(directory, salvageLockName));
  await mending.open();

  await expect(levelDisk.open(options(directory, true))).rejects.toThrow(/is in use by another process/);

  await mending.close();
  const mended = await levelDisk.open(options(directory, true));
  expect(await mended.get(Buffer.of(0x40))).toEqual(Buffer.of(1));
  await mended.close();
});
