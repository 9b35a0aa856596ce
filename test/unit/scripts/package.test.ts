/** What is published as a package. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { straysIn } from '../../../scripts/release/published.ts';
import { build } from '../../support/build.ts';

beforeAll(build);

const pathsIn = (folder: string): string[] => {
  const argv = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const json = execFileSync('npm', argv, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const [packed] = Object.values(JSON.parse(json) as Record<string, { files: { path: string }[] }>);
  return packed!.files.map(({ path }) => path);
};

test('what is published is what a release expects', () => {
  const paths = pathsIn(join(import.meta.dirname, '../../..'));

  expect(paths).toEqual(expect.arrayContaining(['dist/cli/sluice.cjs', 'dist/dashboard/index.html', 'docs/README.md']));
  expect(straysIn(paths)).toEqual([]);
  expect(straysIn(['data/CURRENT', 'dist/.tsbuildinfo', 'config/server.key', 'deploy/debian/postinst'])).toHaveLength(
    4,
  );
});

test('a data directory beside the example configurations is not in it', () => {
  const copy = mkdtempSync(join(tmpdir(), 'sluice-package-'));
  try {
    for (const each of ['package.json', 'config', 'README.md']) cpSync(each, join(copy, each), { recursive: true });
    mkdirSync(join(copy, 'config', 'data'), { recursive: true });
    writeFileSync(join(copy, 'config', 'data', 'CURRENT'), 'secret');
    const paths = pathsIn(copy);
    expect(paths).toContain('config/sluice.yaml');
    expect(paths.filter((path) => path.startsWith('config/data'))).toEqual([]);
  } finally {
    rmSync(copy, { recursive: true });
  }
});
