import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FileWatch, fileState } from '../../../src/auth/file-watch.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('a file that is still being written is not told of, and once when it is at rest', async () => {
  const file = join(directory, 'file');
  writeFileSync(file, '');
  let changes = 0;
  const watch = new FileWatch(file, fileState(file), 1, () => changes++);
  // Between two looks the event loop always comes by here, so no two of them see the same.
  for (const until = performance.now() + 200; performance.now() < until; await setImmediate())
    appendFileSync(file, 'x');
  expect(changes).toBe(0);
  await expect.poll(() => changes).toBe(1);
  watch.close();
});

test('a change before the first look is told of', async () => {
  const file = join(directory, 'file');
  writeFileSync(file, 'one');
  const known = fileState(file);
  writeFileSync(file, 'another');
  let changes = 0;
  const watch = new FileWatch(file, known, 1, () => changes++);
  await expect.poll(() => changes).toBe(1);
  watch.close();
});
