/** Where commands find a broker that has no data directory. */
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { makeSocketDirectory, socketBeside } from '../../../src/admin/control-socket.ts';

/** As in a container that runs as a number that its /etc/passwd does not have. */
vi.mock(import('node:os'), async (original) => ({
  ...(await original()),
  userInfo: () => {
    throw new Error('uv_os_get_passwd returned ENOENT');
  },
}));

let folder: string;
beforeEach(async () => {
  const { tmpdir } = await vi.importActual<typeof import('node:os')>('node:os');
  folder = mkdtempSync(join(tmpdir(), 'sluice-control-'));
  vi.stubEnv('TMPDIR', folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test('whoever looks for the socket makes nothing, since a container may have nowhere to write', () => {
  expect(dirname(dirname(socketBeside('./data')))).toBe(folder);
  expect(readdirSync(folder)).toEqual([]);
});

test('the broker makes a directory that only its user can use', () => {
  const socket = socketBeside('./data');

  makeSocketDirectory(socket);

  expect(statSync(dirname(socket)).mode & 0o777).toBe(0o700);
  chmodSync(dirname(socket), 0o777);
  expect(() => makeSocketDirectory(socket)).toThrow(/is not a directory that only you can use; remove it$/);
  expect(() => socketBeside('./data')).toThrow(/is not a directory that only you can use; remove it$/);
});

test('a socket in the data directory needs none', () => {
  makeSocketDirectory(join(folder, 'data/control.sock'));

  expect(readdirSync(folder)).toEqual([]);
});
