/** Sessions of people over restarts of the broker. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LoginSessions, linkLifetime, passwordLifetime } from '../../../src/api/login-sessions.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import type { LoginUser } from '../../../src/contracts/login.ts';
import { areas } from '../../../src/contracts/roles.ts';

const ada: LoginUser = { username: 'ada', role: 'operator', areas: [...areas] };
const asAda = { name: 'user ada', username: 'ada', role: 'operator', areas } as const;
const byLink = { name: 'login link', username: null, role: 'admin', areas } as const;

let directory: string;
let path: string;
const warn = vi.fn();
const log = { ...silentLog, warn };
let passwordMark: string | null | undefined;
const passwordMarks = () => passwordMark;
const open = (users: readonly LoginUser[] = [ada]) => LoginSessions.open({ path, users, passwordMarks, log });
let now: number;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-sessions-'));
  path = join(directory, 'login-sessions.json');
  now = 1_000_000;
  passwordMark = 'first';
  warn.mockClear();
});
afterEach(() => rmSync(directory, { recursive: true }));

test('a session is the same after a restart, with the same token against forged requests', async () => {
  const before = await open();
  const { cookie, session } = before.create(asAda, now);
  await before.stored();
  const after = await open();
  expect(after.find(cookie, now)).toEqual({ who: asAda, expiresAt: session.expiresAt, csrfToken: session.csrfToken });
  expect(after.find(`${cookie.slice(1)}x`, now)).toBe(null);
});

test('the file has no cookie and no token, and only its owner may read it', async () => {
  const sessions = await open();
  const { cookie, session } = sessions.create(byLink, now);
  await sessions.stored();
  const text = readFileSync(path, 'utf8');
  expect(text).not.toContain(cookie);
  expect(text).not.toContain(session.csrfToken);
  expect(statSync(path).mode & 0o077).toBe(0);
});

test('what has ended before the restart is not there after it', async () => {
  const before = await open();
  const { cookie } = before.create(asAda, now);
  before.end(cookie);
  await before.stored();
  expect((await open()).find(cookie, now)).toBe(null);
});

describe('when the password of the user changes', () => {
  test('a session has ended, also for what has begun with it', async () => {
    const sessions = await open();
    const { cookie } = sessions.create(asAda, now);
    passwordMark = 'second';
    expect([sessions.has(cookie, now), sessions.find(cookie, now)]).toEqual([false, null]);
  });

  test('while the broker is away, it has ended after the restart', async () => {
    const before = await open();
    const { cookie } = before.create(asAda, now);
    await before.stored();
    passwordMark = 'second';
    expect((await open()).find(cookie, now)).toBe(null);
  });

  test('the session of a link goes on', async () => {
    const sessions = await open();
    const { cookie } = sessions.create(byLink, now);
    passwordMark = 'second';
    expect(sessions.find(cookie, now)?.who).toEqual(byLink);
  });

  test('nobody is sent away while the password file cannot be read', async () => {
    const sessions = await open();
    const { cookie } = sessions.create(asAda, now);
    passwordMark = undefined;
    expect(sessions.find(cookie, now)?.who).toEqual(asAda);
  });

  test('a user who is not in the file any more has none', async () => {
    const sessions = await open();
    const { cookie } = sessions.create(asAda, now);
    passwordMark = null;
    expect(sessions.find(cookie, now)).toBe(null);
  });
});

test('a user who may log in no more has no session after a restart, and another role is that of now', async () => {
  const before = await open();
  const { cookie } = before.create(asAda, now);
  await before.stored();
  const viewer: LoginUser = { username: 'ada', role: 'viewer', areas: ['clients'] };
  expect((await open([viewer])).find(cookie, now)?.who).toEqual({ ...asAda, role: 'viewer', areas: ['clients'] });
  expect((await open([])).find(cookie, now)).toBe(null);
});

test('who came by a link stays for a month, and for a week without use; who has a password for less', async () => {
  const sessions = await open();
  const link = sessions.create(byLink, now);
  const password = sessions.create(asAda, now);
  expect(link.session.expiresAt).toBe(now + linkLifetime.absoluteMs);
  expect(password.session.expiresAt).toBe(now + passwordLifetime.absoluteMs);
  now += passwordLifetime.idleMs;
  expect(sessions.find(password.cookie, now)).toBe(null);
  expect(sessions.find(link.cookie, now)).not.toBe(null);
  now += linkLifetime.idleMs - 1;
  expect(sessions.has(link.cookie, now)).toBe(true);
  expect(sessions.has(link.cookie, now + 1)).toBe(false);
});

test('when a session was used last is known after an orderly stop', async () => {
  const before = await open();
  const { cookie } = before.create(asAda, now);
  now += passwordLifetime.idleMs - 1;
  before.find(cookie, now);
  await before.close();
  expect((await open()).has(cookie, now + passwordLifetime.idleMs - 1)).toBe(true);
});

test('a file that cannot be read, or written, costs logins and is told in the log', async () => {
  writeFileSync(path, '{"format": 2}');
  const sessions = await open();
  expect(warn).toHaveBeenCalledTimes(1);
  const { cookie } = sessions.create(asAda, now);
  await sessions.stored();
  expect((await open()).has(cookie, now)).toBe(true);
  const nowhere = await LoginSessions.open({
    path: join(directory, 'missing', 'file.json'),
    users: [ada],
    passwordMarks,
    log,
  });
  const { cookie: other } = nowhere.create(asAda, now);
  await nowhere.stored();
  expect(warn).toHaveBeenCalledTimes(2);
  expect(nowhere.has(other, now)).toBe(true);
});
