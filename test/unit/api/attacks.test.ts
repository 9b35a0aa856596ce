/** What is sent to the HTTP API in order to harm: it is refused with a problem document, and nobody else notices. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Ban } from '../../../src/contracts/bans.ts';
import { TestApi } from './api-client.ts';

let api: TestApi;
let key: string;
const emptyPage = { items: [], cursor: null };

async function open(options: Parameters<typeof TestApi.open>[0] = {}): Promise<void> {
  api = await TestApi.open(options);
  api.handlers['clients list'] = async () => emptyPage;
  key = await api.keyFor('admin');
}
beforeEach(() => open());
afterEach(() => api.close());

async function reopen(options: Parameters<typeof TestApi.open>[0]): Promise<void> {
  await api.close();
  await open(options);
}

function raw(): Socket {
  const { hostname, port } = new URL(api.url);
  return connect(Number(port), hostname).on('error', () => {});
}

/** All that is answered to these bytes, until the broker closes the connection. */
async function send(text: string): Promise<string> {
  const socket = raw();
  socket.write(text);
  let answer = '';
  socket.on('data', (chunk) => (answer += chunk));
  await once(socket, 'close');
  return answer;
}

const head = (line: string, ...headers: string[]) =>
  `${[line, 'Host: localhost', `Authorization: Bearer ${key}`, ...headers].join('\r\n')}\r\n\r\n`;

/** That there is one answer, with this status, and that it is a problem document. */
function expectProblem(answer: string, status: number): void {
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1);
  expect(answer).toMatch(/content-type: application\/problem\+json\r\n/i);
  const body = answer.slice(answer.indexOf('\r\n\r\n') + 4);
  expect(JSON.parse(body)).toMatchObject({ status });
}

/** That the API still does what it is asked. */
async function expectAlive(): Promise<void> {
  expect((await api.ask('GET', '/api/v1/clients', { key })).status).toBe(200);
}

describe('what is no request, or two in one', () => {
  test.each([
    ['nonsense', () => 'nonsense\r\n\r\n', 400],
    [
      'a length and chunks',
      () => `${head('POST /api/v1/bans/clear HTTP/1.1', 'Content-Length: 4', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
      400,
    ],
    [
      'two lengths',
      () => `${head('POST /api/v1/bans/clear HTTP/1.1', 'Content-Length: 4', 'Content-Length: 5')}{"a"`,
      400,
    ],
    ['a length that is none', () => `${head('POST /api/v1/bans/clear HTTP/1.1', 'Content-Length: +4')}{"a"`, 400],
    [
      'an encoding that hides chunks',
      () => `${head('POST /api/v1/bans/clear HTTP/1.1', 'Transfer-Encoding: xchunked')}0\r\n\r\n`,
      400,
    ],
    [
      'a chunk of a length that is none',
      () =>
        head('POST /api/v1/bans/clear HTTP/1.1', 'Content-Type: application/json', 'Transfer-Encoding: chunked') +
        'zz\r\n',
      400,
    ],
    ['a space before a colon', () => head('GET /api/v1/clients HTTP/1.1', 'Content-Length : 4'), 400],
    [
      'a header that goes on in the next line',
      () => head('GET /api/v1/clients HTTP/1.1', 'X-A: 1\r\n Content-Length: 4'),
      400,
    ],
    ['lines that end without a carriage return', () => 'GET /api/v1/clients HTTP/1.1\nHost: localhost\n\n', 400],
    ['a zero byte in a header', () => head('GET /api/v1/clients HTTP/1.1', 'X-A: \0'), 400],
    ['no host', () => 'GET /api/v1/clients HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['headers of 20 kB', () => head('GET /api/v1/clients HTTP/1.1', `X-A: ${'x'.repeat(20_000)}`), 431],
    ['a query of 20 kB', () => head(`GET /api/v1/clients?a=${'x'.repeat(20_000)} HTTP/1.1`), 431],
    ['an expectation that nobody knows', () => head('GET /api/v1/clients HTTP/1.1', 'Expect: the worst'), 400],
    ['a proxy wanted', () => head('CONNECT example.com:443 HTTP/1.1'), 404],
  ])('%s', async (_, text, status) => {
    expectProblem(await send(text()), status);
    await expectAlive();
  });

  test('a second request that is none gets no answer that could be taken for that to the first', async () => {
    let answer = (_: typeof emptyPage) => {};
    api.handlers['clients list'] = () => new Promise((resolve) => (answer = resolve));
    const text = await send(`${head('GET /api/v1/clients HTTP/1.1')}nonsense\r\n\r\n`);
    expect(text).not.toContain('HTTP/1.1 400');
    answer(emptyPage);
    api.handlers['clients list'] = async () => emptyPage;
    await expectAlive();
  });
});

describe('a header twice', () => {
  test.each([
    'Host: 127.0.0.1',
    'Authorization: Bearer x',
    'Origin: a',
    'Content-Type: a',
    'Cookie: a=b',
    'X-CSRF-Token: a',
  ])('%s is refused, whichever of them would count', async (header) => {
    const own = /^(Host|Auth)/.test(header) ? [header] : [header, header];
    expectProblem(await send(head('GET /api/v1/clients HTTP/1.1', 'Connection: close', ...own)), 400);
  });
});

describe('methods and forms of paths', () => {
  test.each(['OPTIONS', 'TRACE', 'PROPFIND', 'PATCH', 'M-SEARCH'])(
    '%s is refused on a path that is there',
    async (method) => {
      const { status, headers } = await api.ask(method, '/api/v1/clients', { key });
      expect({ status, type: headers['content-type'] }).toEqual({ status: 405, type: 'application/problem+json' });
      expect(headers.allow).toMatch(/GET, HEAD/);
    },
  );

  test('HEAD is answered as GET without a body', async () => {
    const { status, headers, text } = await api.ask('HEAD', '/api/v1/clients', { key });
    expect({ status, length: headers['content-length'], text }).toEqual({
      status: 200,
      length: `${JSON.stringify(emptyPage).length}`,
      text: '',
    });
    expect((await api.ask('HEAD', '/api/v1/clients')).status).toBe(401);
  });

  test('HTTP/1.0 is understood, and needs a host and a key as well', async () => {
    expect(
      await send(`GET /api/v1/clients HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\n\r\n`),
    ).toMatch(/^HTTP\/1.1 200 /);
    expectProblem(await send('GET /api/v1/clients HTTP/1.0\r\n\r\n'), 400);
    expectProblem(await send('GET /api/v1/clients HTTP/1.0\r\nHost: localhost\r\n\r\n'), 401);
  });

  test.each([
    '/api/v1/../../etc/passwd',
    '/api/v1/%2e%2e/%2e%2e/etc/passwd',
    '/api/v1/problems/../openapi.json',
    '/api/v1/problems/..%2fopenapi.json',
    '/api/v1/problems/__proto__',
    '/api/v1/problems/constructor',
    '/api/v1//clients',
    '/api/v1/clients/',
    '/API/v1/clients',
    '/api/v1/clients;a=b',
    '/api/v1/clients%00',
    '/api/v1\\clients',
    '/%2fapi/v1/clients',
    '*',
  ])('%s leads nowhere', async (path) => {
    const answer = await send(head(`GET ${path} HTTP/1.1`, 'Connection: close'));
    expectProblem(answer, 404);
    expect(answer).not.toContain('root:');
  });

  test.each(['/api/v1/clients/%zz/queue', '/api/v1/clients/%ff/queue', '/api/v1/%c0%ae/clients'])(
    '%s is no path',
    async (path) => {
      const { status, headers } = await api.ask('GET', path, { key });
      expect({ status: status >= 400 && status < 500, type: headers['content-type'] }).toEqual({
        status: true,
        type: 'application/problem+json',
      });
    },
  );

  test.each([
    ['%2e%2e', '..'],
    ['a%2F..%2Fb', 'a/../b'],
    ['%0d%0aSet-Cookie:%20a=b', '\r\nSet-Cookie: a=b'],
    ['%00', '\0'],
    ['__proto__', '__proto__'],
  ])('%s is a client identifier like any other', async (encoded, clientId) => {
    const asked: unknown[] = [];
    api.handlers['queue list'] = async (request) => {
      asked.push(request.clientId);
      return emptyPage;
    };
    const { status, headers } = await api.ask('GET', `/api/v1/clients/${encoded}/queue`, { key });
    expect({ status, asked, cookie: headers['set-cookie'] }).toEqual({
      status: 200,
      asked: [clientId],
      cookie: undefined,
    });
  });
});

describe('queries and bodies', () => {
  test.each([
    '?limit=1e400',
    '?limit=99999999999999999999',
    '?limit=-1',
    '?limit=1.5',
    '?limit=0x10',
    '?limit=NaN',
    '?limit=%00',
    '?limit[]=1',
    '?__proto__=a',
    '?__proto__=a&__proto__=b',
    '?constructor=a',
    '?cursor=a&cursor=b',
    `?${'a&'.repeat(2_000)}`,
  ])('%s is refused', async (query) => {
    const { status, json, text } = await api.ask('GET', `/api/v1/clients${query}`, { key });
    expect({ status, type: json?.type }).toEqual({ status: 400, type: '/api/v1/problems/invalid-request' });
    expect(text.length).toBeLessThan(10_000);
  });

  const nested = (count: number) => `{"ids":${'['.repeat(count)}${']'.repeat(count)}}`;
  test.each([
    ['nested 100,000 deep', nested(100_000), 400],
    ['nested as deep as it may be', nested(60), 400],
    ['nested in objects', '{"a":'.repeat(100_000), 400],
    ['of half a million values', `{"ids":[${'0,'.repeat(500_000)}0]}`, 413],
    ['of as many wrong values as it may have', `{"ids":[${'0,'.repeat(19_000)}0]}`, 400],
    ['of as many wrong keys', `{${Array.from({ length: 19_000 }, (_, i) => `"${i}":0`).join()}}`, 400],
    ['with one text', `{"ids":"${'\\"'.repeat(400_000)}"}`, 400],
    ['with __proto__', '{"ids":[1],"__proto__":{"role":"admin"}}', 400],
    ['with a constructor', '{"ids":[1],"constructor":{"prototype":{"role":"admin"}}}', 400],
    ['of a number without end', `{"ids":[${'9'.repeat(500_000)}]}`, 400],
    ['that is no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString('latin1'), 400],
    ['that ends early', '{"ids":[1', 400],
    ['of two documents', '{"ids":[1]}{}', 400],
  ])('JSON %s is refused without holding anybody up', async (_, body, status) => {
    api.handlers['quarantine drop'] = async () => ({ count: 0 });
    const all = await api.keyFor('admin', ['pipelines']);
    const before = process.cpuUsage();
    const answer = await api.ask('POST', '/api/v1/quarantine/drop', { key: all, body });
    const { user, system } = process.cpuUsage(before);
    expect(answer.status, answer.text).toBe(status);
    expect(answer.text.length).toBeLessThan(20_000);
    expect((user + system) / 1_000).toBeLessThan(400);
    expect(({} as { role?: string }).role).toBeUndefined();
    expect(JSON.stringify(api.audited).length).toBeLessThan(20_000);
  });
});

describe('bytes of strangers', () => {
  test('a body is not read before it is known who sends it, and its connection ends', async () => {
    const socket = raw();
    socket.write('POST /api/v1/bans/clear HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{');
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk));
    await once(socket, 'close');
    expectProblem(answer, 401);
    expect(answer).toMatch(/connection: close/i);
  });

  test('who asks first whether to send a body is told so only with a key', async () => {
    const line = 'POST /api/v1/bans/clear HTTP/1.1';
    const more = ['Expect: 100-continue', 'Content-Type: application/json', 'Content-Length: 17', 'Connection: close'];
    const text = await send(`${[line, 'Host: localhost', ...more].join('\r\n')}\r\n\r\n`);
    expectProblem(text, 401);
    api.handlers['bans clear'] = async () => ({ count: 0 });
    const all = await api.keyFor('admin', ['access']);
    const socket = raw();
    socket.write(head(line, ...more).replace(key, all));
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk));
    await once(socket, 'data');
    expect(answer).toMatch(/^HTTP\/1.1 100 Continue/);
    socket.write('{"address":"all"}');
    await once(socket, 'close');
    expect(answer).toMatch(/HTTP\/1.1 200 OK/);
  });

  test('a connection goes on after a refusal, and a hundred requests without waiting end it', async () => {
    const socket = raw();
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk));
    socket.write(head('GET /api/v1/nothing HTTP/1.1'));
    await once(socket, 'data');
    expect(answer).toMatch(/^HTTP\/1.1 404 /);
    answer = '';
    socket.write(head('GET /api/v1/clients HTTP/1.1'));
    await once(socket, 'data');
    expect(answer).toMatch(/^HTTP\/1.1 200 /);
    socket.write(head('GET /api/v1/clients HTTP/1.1').repeat(100));
    await once(socket, 'close');
    await expectAlive();
  });

  // What the audit log makes of them, `test/unit/admin/audit.test.ts` says.
  test('control characters of a request are not in the answer, and begin no header', async () => {
    const answer = await send(
      head('DELETE /api/v1/clients?%0d%0aa=%1b[31m HTTP/1.1', 'Accept: \u001b[31m', 'Connection: close'),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(answer).not.toContain('\u001b');
    const { status, headers, text } = await api.ask('DELETE', '/api/v1/keys/%0d%0aX-Evil:1%1b', { key });
    expect([status, headers['x-evil']]).toEqual([404, undefined]);
    expect(text).not.toMatch(/[\r\u001b]/);
  });
});

describe('too much at once', () => {
  test('an address and a key may make so many requests, and are told when to ask again', async () => {
    await reopen({
      limits: {
        connections: 100,
        connectionsPerAddress: 0,
        requestsPerSecondPerAddress: 10,
        requestsPerSecondPerCaller: 2,
      },
    });
    const asked = async (given = key) => {
      const { status, headers, json } = await api.ask('GET', '/api/v1/clients', { key: given });
      return [status, headers['retry-after'], json.detail];
    };
    for (let i = 0; i < 4; i++) expect((await asked())[0]).toBe(200);
    expect(await asked()).toMatchObject([
      429,
      '1',
      expect.stringMatching(/^key admin asks more than 2 times a second/),
    ]);
    const other = await api.keyFor('viewer');
    expect((await asked(other))[0]).toBe(200);
    for (let i = 0; i < 14; i++) await asked();
    expect(await asked(other)).toMatchObject([429, '1', expect.stringMatching(/^127.0.0.1 asks more than 10 times/)]);
    api.now += 10_000;
    expect((await asked())[0]).toBe(200);
    expect((await api.onSocket('GET', '/api/v1/clients')).status).toBe(200);
  });

  test('an address may have so many connections, and one that asks nothing goes for a new one', async () => {
    await reopen({
      limits: {
        connections: 3,
        connectionsPerAddress: 0,
        requestsPerSecondPerAddress: 0,
        requestsPerSecondPerCaller: 0,
      },
    });
    const idle = [raw(), raw(), raw()];
    await Promise.all(idle.map((socket) => once(socket, 'connect')));
    const [gone] = await Promise.all([Promise.race(idle.map((socket) => once(socket, 'close'))), expectAlive()]);
    expect(gone).toBeDefined();
    for (const socket of idle) socket.destroy();
    await reopen({
      limits: {
        connections: 3,
        connectionsPerAddress: 1,
        requestsPerSecondPerAddress: 0,
        requestsPerSecondPerCaller: 0,
      },
    });
    const first = raw();
    await once(first, 'connect');
    const second = raw();
    await once(second, 'close');
    first.destroy();
    await once(first, 'close');
  });

  test('whoever is refused is told ten times a second, and then nothing', async () => {
    const ban = { address: '127.0.0.1', user: null, client: null, why: 'it was time', since: 0, until: Date.now() };
    await reopen({
      penalties: { sourceOf: (address) => address, banOf: () => ban, failed: () => 0, succeeded: () => {} },
    });
    const asked = () =>
      api.ask('GET', '/api/v1/clients', { key }).then(
        ({ status }) => status,
        () => 'closed',
      );
    for (let i = 0; i < 10; i++) expect(await asked()).toBe(403);
    expect(await asked()).toBe('closed');
    api.now += 1_000;
    expect(await asked()).toBe(403);
    expect((await api.onSocket('GET', '/api/v1/clients')).status).toBe(200);
  });

  test('wrong keys count for their address, are kept back, and end in a ban that every answer tells', async () => {
    const failures: unknown[] = [];
    let ban: Ban | null = null;
    const penalties = {
      sourceOf: (address: string) => address,
      banOf: () => ban,
      failed: (...failure: unknown[]) => {
        failures.push(failure);
        return 50;
      },
      succeeded: () => {},
    };
    await reopen({ penalties });
    const started = performance.now();
    const wrong = key.slice(0, -1) + (key.endsWith('A') ? 'B' : 'A');
    expect((await api.ask('GET', '/api/v1/clients', { key: wrong })).status).toBe(401);
    expect(performance.now() - started).toBeGreaterThan(45);
    expect((await api.ask('GET', '/api/v1/clients')).status).toBe(401);
    expect(failures).toEqual([['127.0.0.1', null]]);
    expect(api.audited).toMatchObject([
      { event: 'authenticationFailed', from: expect.stringMatching(/^127.0.0.1:/), mechanism: 'API key' },
    ]);
    ban = { address: '127.0.0.1', user: null, client: null, why: 'it was time', since: 0, until: Date.now() };
    const { status, json, headers } = await api.ask('GET', '/api/v1/openapi.json', { key });
    expect({ status, type: json.type, connection: headers.connection }).toEqual({
      status: 403,
      type: '/api/v1/problems/banned',
      connection: 'close',
    });
    expect(json.detail).toMatch(/it was time/);
  });
});
