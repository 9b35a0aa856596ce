/** What a release says of its changes and of the licences of what it brings. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { changelogOf } from '../../../scripts/release/changelog.ts';
import { bundled, isPermissive, type Lock, licenceList, licencesOf } from '../../../scripts/release/licences.ts';

const root = join(import.meta.dirname, '../../..');
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock;

test('the changelog of a version is what stands under its number, with or without a date', () => {
  const changelog =
    '# Changelog\n\n## 1.1.0 (2030-01-02)\n\n### Broker\n\n- new\n\n## 1.1.0-rc.1\n\n- older\n\n## 1.0.0\n';

  expect(changelogOf(changelog, '1.1.0')).toBe('### Broker\n\n- new\n');
  expect(changelogOf(changelog, '1.1.0-rc.1')).toBe('- older\n');
  expect(changelogOf(changelog, '1.0.0')).toBe(null);
  expect(changelogOf(changelog, '1.1')).toBe(null);
});

test('everything that comes with a release may be passed on', () => {
  const all = licencesOf(lock, root);

  expect(all.length).toBeGreaterThan(100);
  expect(all.filter(({ licence }) => !isPermissive(licence))).toEqual([]);
});

test.each([
  ['MIT', true],
  ['(MIT OR GPL-3.0)', true],
  ['(MIT AND GPL-3.0)', false],
  ['GPL-3.0', false],
  ['', false],
])('a licence of "%s": %s', (licence, expected) => {
  expect(isPermissive(licence)).toBe(expected);
});

test('packages of all platforms are listed, those for development are not, and texts stand there once', () => {
  const all = licencesOf(lock, root);
  const text = licenceList(all);

  expect(text).toMatch(/^@node-rs\/argon2-win32-x64-msvc \S+: MIT$/m);
  expect(text).toMatch(/^level \S+: MIT$/m);
  expect(text).not.toMatch(/^(typescript|vitest) /m);
  const texts = new Set(all.flatMap((each) => each.texts));
  expect(text.split('\n--- ')).toHaveLength(texts.size + 1);
});

test('the list knows all that the dashboard imports', () => {
  const folder = join(root, 'src/dashboard');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => /\.tsx?$/.test(file));
  const imported = files.flatMap((file) =>
    [...readFileSync(join(folder, file), 'utf8').matchAll(/(?:from|import\() ?'((?:@[\w-]+\/)?[\w-]+)/g)].map(
      ([, name]) => name!,
    ),
  );

  expect([...new Set(imported)].filter((name) => !bundled.includes(name) && name !== 'node')).toEqual([]);
  for (const name of bundled) expect(lock.packages[`node_modules/${name}`], name).toBeDefined();
});
