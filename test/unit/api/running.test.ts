/** The HTTP API of a whole broker: what it shares with MQTT. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
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

test('users of a password file log in as admin.users says, and their failures count with those of MQTT', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'sluice-login-')), 'passwords');
  writeFileSync(
    file,
    `ada:${await hashPassword('scrypt', Buffer.from('secret'))}\nbob:${await hashPassword('scrypt', Buffer.from('secret'))}\n`,
  );
  running = await RunningApp.start({
    authentication: [{ kind: 'password-file', file }],
    penalties: { failuresPerUser: 3, delayMs: 0 },
    limits: { exemptAddresses: [] },
    admin: { listeners: [{ port: 0 }], users: [{ username: 'ada', role: 'viewer' }] },
  });
  const logIn = (username: string, password: string) =>
    fetch(`${running.url}/api/v1/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ username, password }),
    });
  const answer = await logIn('ada', 'secret');
  expect(answer.status).toBe(200);
  expect(await answer.json()).toMatchObject({ username: 'ada', role: 'viewer' });
  expect((await logIn('bob', 'secret')).status).toBe(401);
  for (let i = 0; i < 3; i++) expect((await logIn('ada', 'wrong')).status).toBe(401);
  expect((await logIn('ada', 'secret')).status).toBe(403);
  expect((await running.ask('GET', '/bans')).json.bans).toMatchObject([{ address: '127.0.0.1', user: 'ada' }]);
  rmSync(dirname(file), { recursive: true });
});

test('an exempt address is neither banned nor limited', async () => {
  running = await RunningApp.start({
    penalties: { failuresPerUser: 3, delayMs: 0 },
    limits: { exemptAddresses: ['127.0.0.0/8'] },
    admin: { listeners: [{ port: 0 }], requestsPerSecondPerAddress: 1, connectionsPerAddress: 1 },
  });
  for (let i = 0; i < 10; i++) expect(await ask(wrongKey)).toEqual([401, 'unauthenticated']);
});
