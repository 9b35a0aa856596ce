/** The HTTP API of a whole broker: what it shares with MQTT. */
import { request } from 'node:http';
import { afterEach, expect, test } from 'vitest';
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

test('an exempt address is neither banned nor limited', async () => {
  running = await RunningApp.start({
    penalties: { failuresPerUser: 3, delayMs: 0 },
    limits: { exemptAddresses: ['127.0.0.0/8'] },
    admin: { listeners: [{ port: 0 }], requestsPerSecondPerAddress: 1, connectionsPerAddress: 1 },
  });
  for (let i = 0; i < 10; i++) expect(await ask(wrongKey)).toEqual([401, 'unauthenticated']);
});
