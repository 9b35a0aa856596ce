/** Login of people: what becomes a session, what ends one, and what nobody can do with somebody else's. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PasswordAnswer } from '../../../src/contracts/login.ts';
import { areas } from '../../../src/contracts/roles.ts';
import { type Answer, TestApi } from './api-client.ts';

let api: TestApi;
let passwordAnswer: PasswordAnswer;
let checked: string[];

beforeEach(async () => {
  checked = [];
  passwordAnswer = 'right';
  api = await TestApi.open();
  Object.assign(api.login, {
    users: [
      { username: 'ada', role: 'operator', areas: [...areas] },
      { username: 'bob', role: 'viewer', areas: ['clients'] },
    ],
    checkPassword: async (username: string, password: Buffer) => {
      checked.push(`${username}:${password}`);
      return passwordAnswer;
    },
  });
  api.handlers['clients list'] = async () => ({ items: [], cursor: null });
  api.handlers.reload = async () => ({ summary: 'done' });
});
afterEach(() => api.close());

const path = '/api/v1/login';
const logIn = (body: object = { username: 'ada', password: 'secret' }, headers: Record<string, string> = {}) =>
  api.ask('POST', path, { body, headers });
const cookieIn = ({ headers }: Answer) => headers['set-cookie']![0]!.split(';')[0]!;
const asked = (method: string, to: string, cookie: string, headers: Record<string, string> = {}) =>
  api.ask(method, to, { headers: { Cookie: cookie, ...headers } });

test('a right password of a user who may becomes a session, which the page shows with each change', async () => {
  const answer = await logIn();
  expect(answer).toMatchObject({
    status: 200,
    json: { name: 'user ada', username: 'ada', role: 'operator', expiresAt: api.now + 12 * 3_600_000 },
  });
  expect(answer.headers['set-cookie']).toEqual([
    expect.stringMatching(/^sluice_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/),
  ]);
  const cookie = cookieIn(answer);
  const { csrfToken } = answer.json;
  expect((await asked('GET', '/api/v1/clients', cookie)).status).toBe(200);
  expect((await asked('GET', path, cookie)).json).toEqual(answer.json);
  expect((await asked('POST', '/api/v1/broker/reload', cookie, { 'X-CSRF-Token': csrfToken })).status).toBe(200);
  const from = expect.stringMatching(/^127\.0\.0\.1:\d+$/);
  expect(api.audited).toMatchObject([
    { event: 'command', command: 'login', by: 'user ada', from },
    { event: 'command', command: 'reload', by: 'user ada', from },
  ]);
  expect(JSON.stringify(api.audited)).not.toContain('secret');
});

test('a role and areas bound a user as they do a key', async () => {
  const { json, ...answer } = await logIn({ username: 'bob', password: 'x' });
  const cookie = cookieIn(answer as Answer);
  const token = { 'X-CSRF-Token': json.csrfToken };
  expect((await asked('GET', '/api/v1/clients', cookie)).status).toBe(200);
  expect((await asked('GET', '/api/v1/bans', cookie)).status).toBe(403);
  expect((await asked('POST', '/api/v1/broker/reload', cookie, token)).status).toBe(403);
});

describe('who logs in wrongly', () => {
  test('gets the same answer whatever is wrong, and it counts', async () => {
    const failed: unknown[] = [];
    Object.assign(api.penalties, { failed: (...failure: unknown[]) => failed.push(failure) * 0 });
    passwordAnswer = 'wrong';
    const wrong = await logIn();
    passwordAnswer = 'right';
    const unknown = await logIn({ username: 'eve', password: 'secret' });
    expect(wrong).toMatchObject({ status: 401, json: { type: '/api/v1/problems/wrong-credentials' } });
    expect(unknown.json).toEqual(wrong.json);
    expect(checked).toEqual(['ada:secret', 'eve:secret']);
    expect(failed).toEqual([
      ['127.0.0.1', 'ada'],
      ['127.0.0.1', 'eve'],
    ]);
    expect(api.audited).toMatchObject([
      { event: 'authenticationFailed', user: 'ada', mechanism: 'API login' },
      { event: 'authenticationFailed', user: 'eve' },
    ]);
    expect(api.sessions.size).toBe(0);
  });

  test('is not even asked about while banned', async () => {
    const ban = { address: '127.0.0.1', user: 'ada', client: null, why: 'guessing', since: 0, until: api.now };
    Object.assign(api.penalties, { banOf: (_: string, user: string | null) => (user === 'ada' ? ban : null) });
    expect((await logIn()).json).toMatchObject({ type: '/api/v1/problems/banned' });
    expect(checked).toEqual([]);
    expect((await logIn({ username: 'bob', password: 'x' })).status).toBe(200);
  });

  test.each([
    ['busy' as const, 503],
    ['unavailable' as const, 503],
  ])('is told if passwords cannot be checked: %s', async (what, status) => {
    passwordAnswer = what;
    expect((await logIn()).status).toBe(status);
  });

  test('with too many at one time is told to wait', async () => {
    let letIn = (_: PasswordAnswer) => {};
    const open = new Promise<PasswordAnswer>((resolve) => (letIn = resolve));
    Object.assign(api.login, { checkPassword: () => open });
    const all = Array.from({ length: 5 }, () => logIn());
    const refused = await Promise.any([
      ...all.map(async (each) => ((await each).status === 429 ? each : Promise.reject())),
    ]);
    expect(refused.headers['retry-after']).toBe('1');
    letIn('right');
    expect((await Promise.all(all)).map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 429]);
  });

  test.each([
    [{}],
    [{ username: 'ada' }],
    [{ username: 'ada', password: '' }],
    [{ username: ['ada'], password: 'x' }],
    [{ username: 'ada', password: 'x'.repeat(1_025) }],
    [{ username: 'ada', password: 'x', role: 'admin' }],
    [{ token: 1 }],
  ])('%j is no login', async (body) => {
    expect((await logIn(body)).status).toBe(400);
    expect(checked).toEqual([]);
  });

  test('with 10 kB is not listened to', async () => {
    expect((await logIn({ username: 'ada', password: 'x'.repeat(10_000) })).status).toBe(413);
  });
});

describe('a session', () => {
  test('takes no cookie that was there before the login, and ends the one that was', async () => {
    const before = cookieIn(await logIn());
    const fixed = `sluice_session=${'A'.repeat(43)}`;
    const after = await logIn({ username: 'ada', password: 'secret' }, { Cookie: fixed });
    expect(cookieIn(after)).not.toBe(fixed);
    expect((await asked('GET', '/api/v1/clients', fixed)).status).toBe(401);
    const again = await logIn({ username: 'ada', password: 'secret' }, { Cookie: before });
    expect((await asked('GET', '/api/v1/clients', before)).status).toBe(401);
    expect((await asked('GET', '/api/v1/clients', cookieIn(again))).status).toBe(200);
  });

  test('changes nothing for a page that does not have its token', async () => {
    const first = await logIn();
    const other = await logIn();
    const cookie = cookieIn(first);
    for (const given of ['', 'x', other.json.csrfToken as string, `${first.json.csrfToken} `.slice(1)]) {
      const { status, json } = await asked('POST', '/api/v1/broker/reload', cookie, { 'X-CSRF-Token': given });
      expect({ status, type: json.type }).toEqual({ status: 403, type: '/api/v1/problems/csrf-refused' });
    }
    expect((await asked('DELETE', path, cookie)).status).toBe(403);
    expect(api.audited.filter(({ command }) => command === 'reload')).toEqual([]);
  });

  test('is not used by pages of other sites', async () => {
    const { json, ...answer } = await logIn();
    const cookie = cookieIn(answer as Answer);
    for (const site of ['cross-site', 'same-site']) {
      expect((await asked('GET', '/api/v1/clients', cookie, { 'Sec-Fetch-Site': site })).status).toBe(403);
    }
    expect((await asked('GET', '/api/v1/clients', cookie, { Origin: 'http://evil.example' })).status).toBe(403);
    const token = { 'X-CSRF-Token': json.csrfToken as string };
    expect((await asked('POST', '/api/v1/broker/reload', cookie, { ...token, Origin: 'null' })).status).toBe(403);
    expect((await asked('GET', '/api/v1/clients', cookie, { 'Sec-Fetch-Site': 'same-origin' })).status).toBe(200);
  });

  test('is none if there are two cookies of the name', async () => {
    const cookie = cookieIn(await logIn());
    expect((await asked('GET', '/api/v1/clients', `${cookie}; sluice_session=x`)).status).toBe(401);
    expect((await asked('GET', '/api/v1/clients', `a=b; ${cookie}; c="d"`)).status).toBe(200);
  });

  test('ends by logout, after half an hour without use, and after twelve hours', async () => {
    const first = await logIn();
    const cookie = cookieIn(first);
    const out = await asked('DELETE', path, cookie, { 'X-CSRF-Token': first.json.csrfToken });
    expect({ status: out.status, cookie: out.headers['set-cookie']![0] }).toEqual({
      status: 204,
      cookie: expect.stringContaining('Max-Age=0'),
    });
    expect((await asked('GET', '/api/v1/clients', cookie)).status).toBe(401);
    const idle = cookieIn(await logIn());
    api.now += 30 * 60_000;
    expect((await asked('GET', '/api/v1/clients', idle)).status).toBe(401);
    const used = cookieIn(await logIn());
    for (let i = 0; i < 35; i++) {
      api.now += 20 * 60_000;
      expect((await asked('GET', '/api/v1/clients', used)).status).toBe(200);
    }
    api.now += 20 * 60_000;
    expect((await asked('GET', '/api/v1/clients', used)).status).toBe(401);
  });

  test('ends when its user has sixteen newer ones', async () => {
    const cookie = cookieIn(await logIn());
    for (let i = 0; i < 15; i++) await logIn();
    expect((await asked('GET', '/api/v1/clients', cookie)).status).toBe(200);
    await logIn();
    expect((await asked('GET', '/api/v1/clients', cookie)).status).toBe(401);
    expect(api.sessions.size).toBe(16);
  });
});

test('a link logs in as an admin, once and within ten minutes', async () => {
  const link = async () => (await api.onSocket('POST', '/api/v1/login-links')).json;
  const { token, urls } = await link();
  expect(urls).toEqual([`${api.url}/dashboard/#token=${token}`]);
  const answer = await logIn({ token });
  expect(answer).toMatchObject({ status: 200, json: { name: 'login link', role: 'admin', username: null } });
  expect((await asked('GET', '/api/v1/keys', cookieIn(answer))).status).toBe(200);
  expect(await logIn({ token })).toMatchObject({ status: 401, json: { type: '/api/v1/problems/wrong-credentials' } });
  const late = await link();
  api.now += 10 * 60_000;
  expect((await logIn({ token: late.token })).status).toBe(401);
  const many = [];
  for (let i = 0; i < 17; i++) many.push((await link()).token);
  expect((await logIn({ token: many[0] })).status).toBe(401);
  expect((await logIn({ token: many[1] })).status).toBe(200);
});

test('whoever shows a key is told who that is, and has no session to end', async () => {
  const key = await api.keyFor('viewer');
  const { json } = await api.ask('GET', path, { key });
  expect(json).toMatchObject({ name: 'key viewer', role: 'viewer', csrfToken: null, expiresAt: null });
  expect((await api.ask('DELETE', path, { key })).status).toBe(409);
  expect((await api.ask('GET', path)).status).toBe(401);
});
