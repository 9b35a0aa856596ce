import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { engineOptions, inliningOption, missingOptions } from '../../../src/base/engine.ts';

const root = join(import.meta.dirname, '../../..');

test('what the process was given is not set again, to whatever value and however it is written', () => {
  const wanted = ['--no-parallel-scavenge', '--max-semi-space-size=4', '--minor-gc-task-trigger=25'];

  expect(missingOptions(wanted, '')).toEqual(wanted);
  expect(missingOptions(wanted, '--parallel_scavenge --max-semi-space-size=64')).toEqual([
    '--minor-gc-task-trigger=25',
  ]);
  expect(missingOptions(wanted, wanted.join(' '))).toEqual([]);
});

test('npm start has the options of V8 that `sluice start` gives itself', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: { start: string } };

  expect(scripts.start).toContain(`node ${engineOptions.join(' ')} dist/`);
});

test('V8 knows the options', () => {
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8', maxBuffer: 10_000_000 });

  for (const option of [...engineOptions, inliningOption]) {
    expect(known).toContain(`  --${option.replace(/^--(no-)?/, '').replace(/=.*/, '')} `);
  }
});
