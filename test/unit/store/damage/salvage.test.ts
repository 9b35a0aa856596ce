/** Starts that were cut short: while a database was made, or while what could be saved of one was put in its place. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fillData, findAll } from './filled-data.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-salvage-'));
const whole = join(folder, 'whole');
beforeAll(() => fillData(whole, join(folder, 'running')));
afterAll(() => rmSync(folder, { recursive: true }));

const isOfLevel = (name: string) => /^(CURRENT|MANIFEST-\d+|\d+\.(ldb|log))$/.test(name);

/** As a salvage leaves it: the new database in a folder of its own, and the old files, of which one is damaged. */
function copyInto(name: string, stage: string): string {
  const directory = join(folder, name);
  mkdirSync(join(directory, stage), { recursive: true, mode: 0o700 });
  for (const file of readdirSync(whole)) {
    cpSync(join(whole, file), join(directory, isOfLevel(file) ? stage : '', file));
    if (isOfLevel(file)) writeFileSync(join(directory, file), 'damaged');
  }
  return directory;
}

test('a crash before the old files are out of the way: the new database is put in their place', async () => {
  const directory = copyInto('complete', 'salvaged');
  expect(await findAll(directory, false)).toMatchObject({ facts: (await findAll(whole, false)).facts, told: [] });
  const names = readdirSync(directory);
  expect(names).not.toContain('salvaged');
  const kept = names.find((name) => name.startsWith('damaged-'))!;
  expect(readdirSync(join(directory, kept))).toContain('CURRENT');
});

test('a crash while the new files are moved: the others follow', async () => {
  const directory = copyInto('half-installed', 'installing');
  for (const file of readdirSync(directory).filter(isOfLevel)) rmSync(join(directory, file));
  const [table] = readdirSync(join(directory, 'installing')).filter((name) => name.endsWith('.ldb'));
  renameSync(join(directory, 'installing', table!), join(directory, table!));
  expect(await findAll(directory, false)).toMatchObject({ facts: (await findAll(whole, false)).facts, told: [] });
});

test('what was left half written is made anew by the next try', async () => {
  const directory = copyInto('unfinished', 'salvaging');
  truncateSync(join(directory, 'salvaging', 'CURRENT'));
  await expect(findAll(directory, false)).rejects.toThrow(/is damaged: CURRENT does not name a MANIFEST/);
  expect((await findAll(directory, true)).told.length).toBeGreaterThan(1);
  expect(readdirSync(directory)).not.toContain('salvaging');
});

test.each([
  ['CURRENT', 'without a name in it', ['CURRENT'], 'MANIFEST-000001'],
  ['MANIFEST', 'that is empty', ['MANIFEST-000001'], '000003.log'],
])('a database whose making was cut short, with a %s %s, is made anew', async (_, __, first, second) => {
  const directory = mkdtempSync(join(folder, 'stillborn-'));
  for (const name of [...first, second]) writeFileSync(join(directory, name), '');
  expect(await findAll(directory, false)).toEqual({ facts: [], told: [] });
});
