/** The HTTP API of a whole broker: what it shares with MQTT. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { hashPassword } from '../../../src/auth/authentication/password-hash.ts';
import { RunningApp } from './running-app.ts';

let running: RunningApp;
afterEach(() => running.stop());

const wrongKey = `sluice_${'a'.repeat(8)}_${'b'.repeat(43)}`;

/** Status and kind of the answer to a request over the network. */
function ask(key: string | undefined, path = '/api/v1/clients'): Promise<[status: number, kind: string]> {
  const headers = key === undefined ? {} : { Authorization: `Bearer ${key}` };
  return new Promise((resolve, reject) => {
    const asked = request(`${running.url}${path}`, { agent: false, headers }, async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      resolve([response.statusCode!, (JSON.parse(text) as { type?: string }).type?.split('/').at(-1) ?? '']);
    });
    asked.on('error', reject);
    asked.end();
  });
}

test('wrong keys ban an address as wrong passwords do, and who lifts the ban lets it in again', async () => {
  running = await RunningApp.start({ penalties: { failuresPerUser: 3, delayMs: 0 }, limits: { exemptAddresses: [] } });
  const { key } = (await running.ask('POST', '/keys', { name: 'a', role: 'admin' })).json;
  for (let i = 0; i < 3; i++) expect(await ask(wrongKey)).toEqual([401, 'unauthenticated']);
  expect(await ask(key)).toEqual([403, 'banned']);
  const { json } = await running.ask('GET', '/bans');
  expect(json.bans).toMatchObject([{ address: '127.0.0.1', why: 'authentication failed too often' }]);
  expect((await running.ask('POST', '/bans/clear', { address: '127.0.0.1' })).json).toEqual({ count: 1 });
  expect(await ask(key)).toEqual([200, '']);
});

describe('users of a password file', () => {
  const lineOf = async (name: string, password: string) =>
    `${name}:${await hashPassword('scrypt', Buffer.from(password))}\n`;
  let file: string;

  beforeEach(async () => {
    file = join(mkdtempSync(join(tmpdir(), 'sluice-login-')), 'passwords');
    writeFileSync(file, (await lineOf('ada', 'secret')) + (await lineOf('bob', 'secret')));
    running = await RunningApp.start({
      authentication: [{ kind: 'password-file', file }],
      penalties: { failuresPerUser: 3, delayMs: 0 },
      limits: { exemptAddresses: [] },
      admin: { listeners: [{ port: 0 }], users: [{ username: 'ada', role: 'viewer' }] },
    });
  });
  afterEach(() => rmSync(dirname(file), { recursive: true }));

  const logIn = (username: string, password: string) =>
    fetch(`${running.url}/api/v1/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ username, password }),
    });

  test('log in as admin.users says, and their failures count with those of MQTT', async () => {
    const answer = await logIn('ada', 'secret');
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ username: 'ada', role: 'viewer' });
    expect((await logIn('bob', 'secret')).status).toBe(401);
    for (let i = 0; i < 3; i++) expect((await logIn('ada', 'wrong')).status).toBe(401);
    expect((await logIn('ada', 'secret')).status).toBe(403);
    expect((await running.ask('GET', '/bans')).json.bans).toMatchObject([{ address: '127.0.0.1', user: 'ada' }]);
  });

  test('are logged out when their password changes', async () => {
    const Cookie = (await logIn('ada', 'secret')).headers.get('set-cookie')!.split(';')[0]!;
    const status = async () => (await fetch(`${running.url}/api/v1/clients`, { headers: { Cookie } })).status;
    expect(await status()).toBe(200);
    const changed = `${file}.new`;
    writeFileSync(changed, await lineOf('ada', 'another'));
    renameSync(changed, file);
    await vi.waitUntil(async () => (await status()) === 401, { timeout: 120_000 });
    expect((await logIn('ada', 'another')).status).toBe(200);
  });
});

test('an exempt address is neither banned nor limited', async () => {
  running = await RunningApp.start({
    penalties: { failuresPerUser: 3, delayMs: 0 },
    limits: { exemptAddresses: ['127.0.0.0/8'] },
    admin: { listeners: [{ port: 0 }], requestsPerSecondPerAddress: 1, connectionsPerAddress: 1 },
  });
  for (let i = 0; i < 10; i++) expect(await ask(wrongKey)).toEqual([401, 'unauthenticated']);
});
