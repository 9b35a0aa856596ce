import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { inliningFlagFor } from '../../../src/base/engine.ts';

test('V8 knows the option by which a broker lets it inline more', () => {
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8', maxBuffer: 10_000_000 });
  const [name] = inliningFlagFor('')!.split('=');
  expect(known).toContain(`${name} `);
});

test('an operator who sets that option is left alone', () => {
  expect(inliningFlagFor('--max_inlined_bytecode_size_cumulative=1000 ')).toBeNull();
});
