/** What is published as a package. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

test('a data directory beside the example configurations is not in it', () => {
  const copy = mkdtempSync(join(tmpdir(), 'sluice-package-'));
  try {
    for (const each of ['package.json', 'config', 'README.md']) cpSync(each, join(copy, each), { recursive: true });
    mkdirSync(join(copy, 'config', 'data'), { recursive: true });
    writeFileSync(join(copy, 'config', 'data', 'CURRENT'), 'secret');
    const json = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: copy,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [{ files }] = JSON.parse(json) as [{ files: { path: string }[] }];
    const paths = files.map(({ path }) => path);
    expect(paths).toContain('config/sluice.yaml');
    expect(paths.filter((path) => path.startsWith('config/data'))).toEqual([]);
  } finally {
    rmSync(copy, { recursive: true });
  }
});
