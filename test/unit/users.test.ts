/** Lists of large password files. */

import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { program } from '../../src/contracts/roles.ts';
import { PasswordFiles } from '../../src/users.ts';

vi.mock('node:fs/promises', async (original) => {
  const actual = await original<typeof import('node:fs/promises')>();
  return { ...actual, readFile: vi.fn(actual.readFile) };
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-users-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a file is read once for all pages of its list, and again when it has changed', async () => {
  const file = join(folder, 'users');
  writeFileSync(file, 'a:x\nb:x\nc:x\n');
  const config = { authentication: [{ kind: 'password-file', file }], listeners: [] };
  const { handlers } = new PasswordFiles(() => config as never);
  const page = async (cursor: string | null) => {
    const { items, cursor: next } = await handlers['users list']({ file: null, cursor, limit: 1 }, program);
    return { names: items.map(({ username }) => username), next };
  };
  const first = await page(null);
  expect(await page(first.next)).toMatchObject({ names: ['b'] });
  expect(await page(null)).toEqual(first);
  expect(vi.mocked(readFile)).toHaveBeenCalledTimes(1);
  appendFileSync(file, 'd:x\n');
  expect(await page('3')).toEqual({ names: ['d'], next: null });
  expect(vi.mocked(readFile)).toHaveBeenCalledTimes(2);
});
