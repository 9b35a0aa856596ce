/** The HTTP API: who gets in, what a request becomes, and what is answered to those that are none. */
import { statSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Commands } from '../../../src/admin/commands.ts';
import { CursorError } from '../../../src/base/pages.ts';
import { type CommandHandlers, type CommandName, commands } from '../../../src/contracts/commands.ts';
import { CommandFailure, RequestError } from '../../../src/contracts/failures.ts';
import { areas, program } from '../../../src/contracts/roles.ts';
import { TestApi } from './api-client.ts';

let api: TestApi;
beforeEach(async () => {
  api = await TestApi.open();
});
afterEach(() => api.close());

const emptyPage = { items: [], cursor: null };

test('the socket is for its owner only, who needs no key', async () => {
  expect(statSync(api.socketPath).mode & 0o777).toBe(0o600);
  api.handlers['clients list'] = async () => emptyPage;
  expect(await api.onSocket('GET', '/api/v1/clients')).toMatchObject({ status: 200, json: emptyPage });
});

describe('a request over the network', () => {
  test.each([
    ['without a key', undefined],
    ['with a key that is none', 'nonsense'],
    ['with a key that nobody made', `sluice_${'a'.repeat(8)}_${'b'.repeat(43)}`],
  ])('%s is told that it needs one', async (_, key) => {
    const { status, headers, json } = await api.ask('GET', '/api/v1/clients', { key });
    expect(status).toBe(401);
    expect(headers).toMatchObject({ 'www-authenticate': 'Bearer', 'content-type': 'application/problem+json' });
    expect(json).toMatchObject({
      type: '/api/v1/problems/unauthenticated',
      remedy: expect.stringMatching(/sluice admin key create/),
    });
  });

  test('with a key may do what its role and areas say, and the audit log has what it may not', async () => {
    api.handlers['clients list'] = async () => emptyPage;
    api.handlers.reload = async () => ({ summary: 'done' });
    const viewer = await api.keyFor('viewer');
    expect((await api.ask('GET', '/api/v1/clients', { key: viewer })).status).toBe(200);
    const refused = await api.ask('POST', '/api/v1/broker/reload', { key: viewer });
    expect(refused).toMatchObject({
      status: 403,
      json: { detail: expect.stringMatching(/key viewer may not.*needs the role operator/) },
    });
    expect(api.audited).toMatchObject([{ event: 'command', command: 'reload', by: 'key viewer', outcome: 'failed' }]);
    expect(api.audited[0]!.from).toMatch(/^127\.0\.0\.1:\d+$/);
    const elsewhere = await api.keyFor('operator', ['clients']);
    expect((await api.ask('POST', '/api/v1/broker/reload', { key: elsewhere })).status).toBe(403);
    const operator = await api.keyFor('operator');
    expect((await api.ask('POST', '/api/v1/broker/reload', { key: operator })).json).toEqual({ summary: 'done' });
  });

  test('with a key that has expired or was deleted gets no further', async () => {
    api.handlers['clients list'] = async () => emptyPage;
    const admin = await api.keyFor('admin');
    const made = await api.ask('POST', '/api/v1/keys', {
      key: admin,
      body: { name: 'a', role: 'viewer', areas: ['clients'], expiresInSeconds: 9 },
    });
    expect(made.json).toMatchObject({
      name: 'a',
      role: 'viewer',
      key: expect.stringMatching(/^sluice_[\w-]{8}_[\w-]{43}$/),
    });
    const body = { name: 'b', role: 'viewer', areas: ['clients'] };
    const other = await api.ask('POST', '/api/v1/keys', { key: admin, body });
    const ask = async ({ json }: typeof made) => (await api.ask('GET', '/api/v1/clients', { key: json.key })).status;
    expect([await ask(made), await ask(other)]).toEqual([200, 200]);
    api.now += 9_000;
    expect([await ask(made), await ask(other)]).toEqual([401, 200]);
    expect((await api.ask('DELETE', `/api/v1/keys/${other.json.id}`, { key: admin })).status).toBe(200);
    expect(await ask(other)).toBe(401);
    expect((await api.ask('GET', '/api/v1/keys', { key: admin })).text).not.toContain('hash');
  });
});

describe('a key of an admin for some areas', () => {
  test('makes no key for others, which would give it those', async () => {
    const key = await api.keyFor('admin', ['keys', 'clients']);
    const make = (more: object) =>
      api.ask('POST', '/api/v1/keys', { key, body: { name: 'a', role: 'viewer', ...more } });
    for (const more of [{}, { areas: ['keys', 'access'] }]) {
      const refused = await make(more);
      expect(refused).toMatchObject({ status: 403, json: { detail: expect.stringMatching(/leave out .*access/) } });
    }
    expect((await make({ role: 'admin', areas: ['clients', 'keys'] })).status).toBe(200);
  });

  test('makes no link to log in, which is for all areas', async () => {
    const ask = (key: string) => api.ask('POST', '/api/v1/login-links', { key });
    expect((await ask(await api.keyFor('admin', ['keys']))).status).toBe(403);
    expect((await ask(await api.keyFor('admin', [...areas]))).status).toBe(200);
  });
});

describe('a request that a browser sends for a web page', () => {
  test.each([
    ['under a name that leads here', { Host: 'evil.example' }, 'host-refused'],
    ['under a name that begins as an address', { Host: '127.0.0.1.evil.example' }, 'host-refused'],
    ['under no name', { Host: ' ' }, 'host-refused'],
    ['of another origin', { Origin: 'http://evil.example' }, 'origin-refused'],
    ['of no origin', { Origin: 'null' }, 'origin-refused'],
    ['of another port of this machine', { Origin: 'http://127.0.0.1:1' }, 'origin-refused'],
  ])('%s is refused', async (_, headers, kind) => {
    const { status, json } = await api.ask('GET', '/api/v1/openapi.json', { headers });
    expect({ status, type: json.type }).toEqual({ status: 403, type: `/api/v1/problems/${kind}` });
  });

  test('of its own origin, of a known one, or under a known name is taken', async () => {
    const { host } = new URL(api.url);
    for (const headers of [
      { Origin: api.url },
      { Origin: 'https://ops.example' },
      { Host: `localhost:${host.split(':')[1]}` },
      { Host: '[::1]:18083' },
      { Host: 'broker.example' },
    ]) {
      expect((await api.ask('GET', '/api/v1/openapi.json', { headers })).status, JSON.stringify(headers)).toBe(200);
    }
  });
});

describe('what is no request is refused with what is wrong', () => {
  test.each([
    ['no JSON', 'POST', '/broker/backup', '{', 400, 'invalid-request', /JSON/],
    ['a list', 'POST', '/broker/backup', '[]', 400, 'invalid-request', /expected object, found a list/],
    [
      'null in the place of an object',
      'POST',
      '/broker/drain',
      'null',
      400,
      'invalid-request',
      /expected object, found/,
    ],
    [
      'a key too many',
      'POST',
      '/broker/reload',
      '{"at":1}',
      400,
      'invalid-request',
      /^reload: at: there is no such key$/,
    ],
    [
      'a key too few',
      'POST',
      '/broker/backup',
      '{}',
      400,
      'invalid-request',
      /directory: expected string, it is missing/,
    ],
    ['no body where there is to be one', 'POST', '/broker/backup', undefined, 400, 'invalid-request', /it is missing/],
    [
      'a number too small',
      'GET',
      '/quarantine/0',
      undefined,
      400,
      'invalid-request',
      /id: expected at least 1, found 0/,
    ],
    [
      'text for a number',
      'GET',
      '/clients?limit=many',
      undefined,
      400,
      'invalid-request',
      /limit: expected a whole number, found "many"/,
    ],
    ['a key twice', 'GET', '/clients?cursor=a&cursor=b', undefined, 400, 'invalid-request', /cursor: expected string/],
    ['a path that is not there', 'GET', '/client', undefined, 404, 'no-such-path', /nothing for GET/],
    ['a method that is not taken', 'DELETE', '/clients', undefined, 405, 'no-such-method', /GET, HEAD are/],
    [
      'a body too large',
      'POST',
      '/broker/backup',
      `{"directory":"${'x'.repeat(1_100_000)}"}`,
      413,
      'too-large',
      /larger/,
    ],
  ])('%s', async (_, method, path, body, status, kind, detail) => {
    const answer = await api.onSocket(method, `/api/v1${path}`, { body });
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.json).toMatchObject({
      type: `/api/v1/problems/${kind}`,
      status,
      detail: expect.stringMatching(detail),
    });
    expect((await api.ask('GET', answer.json.type)).text).toContain(answer.json.title);
  });

  test('a body of another type', async () => {
    const asked = { headers: { 'Content-Type': 'application/xml' }, body: '<directory/>' };
    expect(await api.onSocket('POST', '/api/v1/broker/backup', asked)).toMatchObject({ status: 415 });
  });

  test('errors name where each mistake is', async () => {
    const { json } = await api.onSocket('GET', '/api/v1/clients?limit=0&colour=red');
    expect(json.errors).toEqual([
      { at: 'limit', message: 'expected at least 1, found 0' },
      { at: 'colour', message: 'there is no such key' },
    ]);
  });
});

test('path and query become the request, with its defaults', async () => {
  const asked: object[] = [];
  api.handlers['queue list'] = async (request) => {
    asked.push(request);
    return emptyPage;
  };
  await api.onSocket('GET', `/api/v1/clients/${encodeURIComponent('a/b c?ü')}/queue?limit=7`);
  expect(asked).toEqual([{ clientId: 'a/b c?ü', cursor: null, limit: 7 }]);
});

test('a failure is answered in its own words, and a bug without them', async () => {
  api.handlers['clients list'] = async () => {
    throw new CursorError('begin anew');
  };
  expect(await api.onSocket('GET', '/api/v1/clients')).toMatchObject({ status: 410, json: { detail: 'begin anew' } });
  api.handlers.backup = async () => {
    throw new CommandFailure('conflict', 'the folder is not empty');
  };
  const body = { directory: '/x' };
  const refused = await api.onSocket('POST', '/api/v1/broker/backup', { body });
  expect(refused).toMatchObject({ status: 409, json: { detail: 'the folder is not empty' } });
  expect(api.audited).toMatchObject([{ by: 'control socket', outcome: 'failed', reason: 'the folder is not empty' }]);
  api.handlers.backup = async () => {
    throw new Error('secret');
  };
  const broken = await api.onSocket('POST', '/api/v1/broker/backup', { body });
  expect(broken.status).toBe(500);
  expect(broken.text).not.toContain('secret');
  expect(api.logged).toHaveLength(1);
});

test('the audit log has neither passwords nor payloads', async () => {
  const own = new Commands({} as CommandHandlers, {
    wants: () => true,
    record: (event) => void api.audited.push(event),
  });
  const given = { address: 1, password: 'hush', messages: [{ payload: 'hush' }] };
  await expect(own.receive('bans clear', given, program)).rejects.toThrow(RequestError);
  expect(JSON.stringify(api.audited)).toContain('bans clear');
  expect(JSON.stringify(api.audited)).not.toContain('hush');
});

test.each([
  [{ password: ['hush'] }],
  [{ password: 12_345_678 }],
  [{ password: 'hush'.repeat(300) }],
  [{ pass: 'hush' }],
  [{ passwort: 'hush' }],
  [{ password: 'right', file: { password: 'hush' } }],
  [[{ password: 'hush' }]],
  [['hush']],
  ['hush'],
])('a request that is wrong shows no password, in the audit log or in the answer: %j', async (body) => {
  const answer = await api.onSocket('PUT', '/api/v1/users/zed', { body: JSON.stringify(body) });
  expect(answer.status).toBe(400);
  expect(api.audited).toHaveLength(1);
  expect(`${answer.text} ${JSON.stringify(api.audited)}`).not.toMatch(/hush|12345678/);
});

test('one that asks and is gone before its answer harms nobody', async () => {
  let answer = (_: { summary: string }) => {};
  const asked = new Promise<void>((resolve) => {
    api.handlers.reload = () => {
      resolve();
      return new Promise((done) => (answer = done));
    };
  });
  const controller = new AbortController();
  const gone = fetch(`${api.url}/api/v1/broker/reload`, {
    method: 'POST',
    signal: controller.signal,
    headers: { Authorization: `Bearer ${await api.keyFor('admin')}` },
  }).catch(() => 'gone');
  await asked;
  controller.abort();
  expect(await gone).toBe('gone');
  answer({ summary: 'x'.repeat(1_000_000) });
  api.handlers['clients list'] = async () => emptyPage;
  expect((await api.onSocket('GET', '/api/v1/clients')).status).toBe(200);
});

test('whatever is asked is done, or refused as a wrong request', async () => {
  const asked: string[] = [];
  const names = Object.keys(commands) as CommandName[];
  const note = (name: CommandName) => async () => void asked.push(name);
  const own = new Commands(Object.fromEntries(names.map((name) => [name, note(name)])) as never, null);
  const command = fc.oneof(fc.constantFrom<string>(...names), fc.string(), fc.constant('__proto__'));
  const keys = fc.constantFrom(
    'limit',
    'cursor',
    'id',
    'ids',
    'address',
    'directory',
    'after',
    'clientId',
    '__proto__',
  );
  const values = fc.oneof(fc.jsonValue(), fc.constant('all'), fc.nat());
  const request = fc.oneof(fc.jsonValue(), fc.dictionary(keys, values, { maxKeys: 1 }));
  await fc.assert(
    fc.asyncProperty(command, request, async (name, given) => {
      await own.receive(name, given, program).catch((error: unknown) => expect(error).toBeInstanceOf(RequestError));
    }),
    { numRuns: 3_000 },
  );
  expect(new Set(asked).size).toBeGreaterThan(5);
});
