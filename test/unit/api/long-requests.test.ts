/** Requests that are longer than an address can be: all of one is in the body, beside the name of its command. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { commands } from '../../../src/contracts/commands.ts';
import { httpRequestOf } from '../../../src/contracts/http.ts';
import { TestApi } from './api-client.ts';

let api: TestApi;
let operator: string;
beforeAll(async () => {
  api = await TestApi.open();
  operator = await api.keyFor('operator');
});
afterAll(() => api.close());

const longest = 'x'.repeat(65_535);
const give = (body: unknown, key: string | undefined = operator) => api.ask('POST', '/api/v1/commands', { key, body });

test('a client whose identifier has 65,535 bytes is asked for, and disconnected', async () => {
  const asked: unknown[] = [];
  api.handlers['clients show'] = async (request) => {
    asked.push(request);
    return { clientId: request.clientId } as never;
  };
  api.handlers['clients disconnect'] = async (request) => {
    asked.push(request);
    return { wasConnected: true };
  };
  for (const [name, request] of [
    ['clients show', { clientId: longest }],
    ['clients disconnect', { clientId: longest, publishWill: false }],
  ] as const) {
    const { method, path, body } = httpRequestOf(name, commands[name].route, request);
    expect(path).toBe('/api/v1/commands');
    expect((await api.ask(method, path, { key: operator, body: JSON.parse(body!) })).status).toBe(200);
  }
  expect(asked).toEqual([{ clientId: longest }, { clientId: longest, publishWill: false }]);
});

test('what is short goes to its own address', () => {
  expect(httpRequestOf('clients show', commands['clients show'].route, { clientId: 'a b' })).toEqual({
    method: 'GET',
    path: '/api/v1/clients/a%20b',
    body: null,
  });
});

test('a long key of a query goes into the body as well, without those that are null', () => {
  const { path, body } = httpRequestOf('clients list', commands['clients list'].route, {
    clientIdContains: longest,
    username: null,
  });
  expect(path).toBe('/api/v1/commands');
  expect(JSON.parse(body!)).toEqual({ command: 'clients list', request: { clientIdContains: longest } });
});

test('rights, the audit log and what is wrong with a request are those of its command', async () => {
  const viewer = await api.keyFor('viewer');
  const asked = { command: 'clients disconnect', request: { clientId: longest } };
  expect((await give(asked, viewer)).status).toBe(403);
  expect(api.audited.at(-1)).toMatchObject({ event: 'command', command: 'clients disconnect' });
  expect((await api.ask('POST', '/api/v1/commands', { body: asked })).status).toBe(401);
  const wrong = await give({ command: 'clients disconnect', request: { clientId: 1 } });
  expect(wrong.json).toMatchObject({ status: 400, errors: [{ at: 'clientId' }] });
});

test.each([
  [undefined, 'The body is'],
  [{}, 'The body is'],
  [{ command: 7 }, 'The body is'],
  [{ command: 'clients list', limit: 1 }, 'The body is'],
  [['clients list'], 'The body is'],
  [{ command: '__proto__' }, 'There is no command __proto__'],
  [{ command: longest }, 'There is no command xxx'],
])('%j is no command', async (body, detail) => {
  const { status, json } = await give(body);
  expect(status).toBe(400);
  expect(json.detail).toContain(detail);
  expect(json.detail.length).toBeLessThan(300);
});

test('other methods are refused', async () => {
  expect((await api.ask('GET', '/api/v1/commands', { key: operator })).status).toBe(405);
});
