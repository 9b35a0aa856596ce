import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FileWatch, fileState } from '../../../src/base/file-watch.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('a file that is still being written is not told of, and once when it is at rest', async () => {
  const file = join(directory, 'file');
  writeFileSync(file, '');
  let changes = 0;
  const watch = new FileWatch([file], fileState([file]), 1, () => void changes++);
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
  const known = fileState([file]);
  writeFileSync(file, 'another');
  let changes = 0;
  const watch = new FileWatch([file], known, 1, () => void changes++);
  await expect.poll(() => changes).toBe(1);
  watch.close();
});

test('of several files a change of any is told of, once all are at rest', async () => {
  const files = ['one', 'two'].map((name) => join(directory, name));
  for (const file of files) writeFileSync(file, '');
  let changes = 0;
  const watch = new FileWatch(files, fileState(files), 1, () => void changes++);
  for (const file of files) {
    const before: number = changes;
    appendFileSync(file, 'x');
    await expect.poll(() => changes).toBe(before + 1);
  }
  watch.close();
});

test('files that are to be forgotten are told of again, though they stay as they are', async () => {
  const file = join(directory, 'file');
  let changes = 0;
  const watch = new FileWatch([file], null, 1, () => void changes++);
  await expect.poll(() => changes).toBe(1);
  watch.forget();
  await expect.poll(() => changes).toBe(2);
  watch.close();
});

test('no change is told of while the last one is dealt with', async () => {
  const file = join(directory, 'file');
  const dealing: (() => void)[] = [];
  const watch = new FileWatch([file], null, 1, () => new Promise((resolve) => void dealing.push(resolve)));
  await expect.poll(() => dealing.length).toBe(1);
  writeFileSync(file, 'another');
  for (let i = 0; i < 100; i++) await setImmediate();
  expect(dealing).toHaveLength(1);
  dealing[0]!();
  await expect.poll(() => dealing.length).toBe(2);
  watch.close();
});
