/** Users of password files, changed on a whole broker. */
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Area, Caller } from '../../../src/contracts/roles.ts';
import { unique, WireClient } from '../../support/wire-client.ts';
import { RunningApp } from './running-app.ts';

let running: RunningApp;
let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-users-'));
  file = join(folder, 'users');
  writeFileSync(file, '# people\n');
  running = await RunningApp.start({ authentication: [{ kind: 'password-file', file }] });
});
afterEach(async () => {
  await running.stop();
  await rm(folder, { recursive: true });
});

const connect = (username: string, password: string) =>
  WireClient.connect(running.port, {
    version: 5,
    clientId: unique('client'),
    username,
    password: Buffer.from(password),
  });
const isLetIn = (username: string, password: string) =>
  connect(username, password).then(
    (client) => client.disconnect().then(() => true),
    () => false,
  );

test('a user who is added may connect, with another password once that was changed, and not once taken out', async () => {
  const put = (password: string) => running.ask('PUT', '/users/ada', { password });
  expect(await put('first')).toMatchObject({ status: 200, json: { username: 'ada', file, isNew: true } });
  await expect.poll(() => isLetIn('ada', 'first')).toBe(true);
  expect((await put('second')).json.isNew).toBe(false);
  await expect.poll(() => isLetIn('ada', 'second')).toBe(true);
  expect(await isLetIn('ada', 'first')).toBe(false);
  const text = readFileSync(file, 'utf8');
  expect(text).toMatch(/^# people\nada:\$argon2id\$/);
  expect(text).not.toContain('second');
  expect((await running.ask('GET', '/users')).json).toEqual({ items: [{ username: 'ada', file }], cursor: null });
  expect((await running.ask('DELETE', '/users/ada')).json).toEqual({ username: 'ada', file });
  expect(readFileSync(file, 'utf8')).toBe('# people\n');
  await expect.poll(() => isLetIn('ada', 'second')).toBe(false);
});

test('a user who may log in is changed only by who may do as much', async () => {
  await running.stop();
  const users = [{ username: 'boss', role: 'admin' as const, areas: ['access' as const, 'keys' as const] }];
  running = await RunningApp.start({
    authentication: [{ kind: 'password-file', file }],
    admin: { listeners: [{ port: 0 }], users },
  });
  const as = (areas: Area[]): Caller => ({ name: 'key a', from: null, role: 'admin', areas, username: null });
  const commands = await running.app.commands();
  const put = (username: string, areas: Area[]) => commands.run('users put', { username, password: 'word' }, as(areas));
  await expect(put('boss', ['access'])).rejects.toMatchObject({ kind: 'forbidden' });
  await put('boss', ['access', 'keys']);
  await put('ada', ['access']);
  const remove = commands.run('users delete', { username: 'boss' }, as(['access']));
  await expect(remove).rejects.toMatchObject({ kind: 'forbidden' });
  expect(readFileSync(file, 'utf8')).toMatch(/^boss:/m);
});

test('users are listed page by page, and changes at one time all count', async () => {
  const names = Array.from({ length: 5 }, (_, index) => `user${index}`);
  await Promise.all(names.map((name) => running.ask('PUT', `/users/${name}`, { password: 'word' })));
  const first = (await running.ask('GET', '/users?limit=3')).json;
  const second = (await running.ask('GET', `/users?limit=3&cursor=${first.cursor}`)).json;
  const found = [...first.items, ...second.items].map(({ username }: { username: string }) => username);
  expect(found.sort()).toEqual(names);
  expect(second.cursor).toBe(null);
});

test.each([
  ['of a file that the configuration does not name', 'PUT', '/users/ada', { password: 'x', file: '/etc/passwd' }, 404],
  ['who is not there', 'DELETE', '/users/ada', undefined, 404],
  ['with a colon', 'PUT', '/users/a%3Ab', { password: 'x' }, 400],
  ['without a password', 'PUT', '/users/ada', { password: '' }, 400],
  ['behind a cursor that is none', 'GET', '/users?cursor=x', undefined, 410],
])('a user %s is refused', async (_, method, path, body, status) => {
  expect((await running.ask(method, path, body)).status).toBe(status);
  expect(readFileSync(file, 'utf8')).toBe('# people\n');
});
