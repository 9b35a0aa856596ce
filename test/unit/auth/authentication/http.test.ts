import { describe, expect, test } from 'vitest';
import { HttpMechanism } from '../../../../src/auth/authentication/http.ts';
import { BusyError } from '../../../../src/auth/authentication/work-queue.ts';
import { schema } from '../../../../src/config/schema.ts';
import type { HttpSettings } from '../../../../src/contracts/authentication.ts';
import { aContext, aRequest, testDirectory } from './support.ts';
import { json, webServer } from './web-server.ts';

const directory = testDirectory();

/** With the defaults of the configuration. */
function settings(url: string, more: Partial<HttpSettings> = {}): HttpSettings {
  return schema.parse({ authentication: [{ kind: 'http', url, ...more }] }).authentication[0] as HttpSettings;
}

const ada = { username: 'ada', password: 'pAssw0rd' };
const wrong = { outcome: 'refuse', reasonCode: 0x86, reason: 'Authentication failed' };
const unavailable = { outcome: 'refuse', reasonCode: 0x88, reason: 'Authentication is unavailable' };

describe('what it asks and what it makes of the answer', () => {
  test('the question has all there is to know of the client', async () => {
    const web = await webServer();
    web.answer = json({ result: 'allow' });
    const http = await HttpMechanism.open(settings(web.url), aContext());
    await http.authenticate(aRequest({ ...ada, clientId: 'me' }));
    expect(JSON.parse(web.seen[0]!.body)).toEqual({
      clientId: 'me',
      username: 'ada',
      password: 'pAssw0rd',
      address: '127.0.0.1',
      listener: 'mqtt://127.0.0.1:1883',
      transport: 'tcp',
      protocolVersion: 5,
      certificate: null,
    });
    await http.authenticate(aRequest({ username: 'ada', password: Buffer.from([0xff]) }));
    expect(JSON.parse(web.seen[1]!.body)).toMatchObject({ passwordBase64: '/w==' });
  });

  test('a service of EMQX is asked in its form, and tells of superusers and attributes', async () => {
    const web = await webServer();
    web.answer = json({ result: 'allow', is_superuser: true, client_attrs: { site: 'north' } });
    const http = await HttpMechanism.open(settings(web.url, { form: 'emqx' }), aContext());
    const attributes = { 'http.site': 'north', 'http.superuser': 'true' };
    expect(await http.authenticate(aRequest({ ...ada, clientId: 'me' }))).toEqual({ outcome: 'accept', attributes });
    const who = { clientid: 'me', username: 'ada', password: 'pAssw0rd', peerhost: '127.0.0.1' };
    expect(JSON.parse(web.seen[0]!.body)).toEqual({ ...who, cert_common_name: '', proto_name: 'MQTT' });
  });

  test('a service of mosquitto-go-auth is asked in its form, and answers by its status', async () => {
    const web = await webServer();
    web.answer = ({ body }, response) => {
      response.statusCode = body.includes('pAssw0rd') ? 200 : 401;
      response.end();
    };
    const form = { form: 'mosquitto-go-auth', paramsMode: 'form' } as const;
    const http = await HttpMechanism.open(settings(web.url, form), aContext());
    expect(await http.authenticate(aRequest({ ...ada, clientId: 'me' }))).toEqual({ outcome: 'accept' });
    expect(web.seen[0]!.body).toBe('username=ada&password=pAssw0rd&clientid=me');
    expect(await http.authenticate(aRequest({ username: 'ada', password: 'guess' }))).toEqual(wrong);
  });

  test('it may give another name, groups, attributes and an end', async () => {
    const web = await webServer();
    const context = aContext();
    const expiresAt = Math.floor(context.time / 1000) + 100;
    const attributes = { site: 'north', ['__proto__']: 'x' };
    web.answer = json({ result: 'allow', username: 'countess', groups: ['staff'], attributes, expiresAt });
    const http = await HttpMechanism.open(settings(web.url), context);
    expect(await http.authenticate(aRequest(ada))).toEqual({
      outcome: 'accept',
      username: 'countess',
      groups: ['staff'],
      attributes: { 'http.site': 'north', 'http.__proto__': 'x' },
      expiresAt: expiresAt * 1000,
    });
  });

  test.each([
    ['allow', { result: 'allow', username: null }, { outcome: 'accept' }],
    ['deny', { result: 'deny' }, wrong],
    ['ignore', { result: 'ignore' }, null],
    ['an end that is past', { result: 'allow', expiresAt: 1 }, wrong],
    ['nothing it knows', { result: 'yes' }, unavailable],
    ['no JSON', undefined, unavailable],
    ['a list', [], unavailable],
    ['null', null, unavailable],
    ['a name that is none', { result: 'allow', username: 7 }, unavailable],
    ['a name with a line end', { result: 'allow', username: 'a\n' }, unavailable],
    ['a name that is no Unicode', { result: 'allow', username: 'a\ud800' }, unavailable],
    ['groups that are none', { result: 'allow', groups: 'staff' }, unavailable],
    ['attributes that are no texts', { result: 'allow', attributes: { a: {} } }, unavailable],
    ['an end that is no time', { result: 'allow', expiresAt: 'soon' }, unavailable],
    ['more than fits', { result: 'allow', x: 'x'.repeat(100_000) }, unavailable],
  ])('the answer is %s', async (_, answer, expected) => {
    const web = await webServer();
    web.answer = json(answer);
    const http = await HttpMechanism.open(settings(web.url), aContext());
    expect(await http.authenticate(aRequest(ada))).toEqual(expected);
  });

  test.each([
    [401, wrong],
    [403, wrong],
    [204, unavailable],
    [302, unavailable],
    [500, unavailable],
  ])('the status is %i', async (status, expected) => {
    const web = await webServer();
    web.answer = (_, response) => void response.writeHead(status, { location: web.url }).end();
    const http = await HttpMechanism.open(settings(web.url), aContext());
    expect(await http.authenticate(aRequest(ada))).toEqual(expected);
    expect(web.seen).toHaveLength(1);
  });

  test('who shows nothing, or uses enhanced authentication, is not asked for', async () => {
    const web = await webServer();
    web.answer = json({ result: 'allow' });
    const http = await HttpMechanism.open(settings(web.url), aContext());
    expect(await http.authenticate(aRequest())).toBe(null);
    expect(await http.authenticate(aRequest({ ...ada, method: 'jwt' }))).toBe(null);
    expect(web.seen).toHaveLength(0);
    const all = await HttpMechanism.open(settings(web.url, { asksForAnonymous: true }), aContext());
    expect(await all.authenticate(aRequest())).toEqual({ outcome: 'accept' });
  });
});

describe('a service that does not answer', () => {
  test('is given up in time, and nobody gets in by it', async () => {
    const web = await webServer();
    web.answer = () => {};
    const context = aContext();
    const http = await HttpMechanism.open(settings(web.url, { timeoutMs: 50 }), context);
    expect(await http.authenticate(aRequest(ada))).toEqual(unavailable);
    expect(context.log.text).toContain('no answer within 50 ms');
  });

  test('also if it begins to, and never ends', async () => {
    const web = await webServer();
    web.answer = (_, response) => void response.write('{"result":');
    const http = await HttpMechanism.open(settings(web.url, { timeoutMs: 50 }), aContext());
    expect(await http.authenticate(aRequest(ada))).toEqual(unavailable);
  });

  test('also if it wants to speak another protocol', async () => {
    const web = await webServer();
    web.answer = (_, response) => {
      response.socket!.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n');
    };
    const http = await HttpMechanism.open(settings(web.url, { timeoutMs: 50 }), aContext());
    expect(await http.authenticate(aRequest(ada))).toEqual(unavailable);
  });

  test('on a connection that it had just closed for being idle is asked on another one', async () => {
    const web = await webServer();
    const used = new Set<unknown>();
    web.answer = (_, response) => {
      if (used.has(response.socket)) return void response.destroy();
      used.add(response.socket);
      response.end('{"result":"allow"}');
    };
    const http = await HttpMechanism.open(settings(web.url), aContext());
    for (const username of ['a', 'b', 'c']) {
      expect(await http.authenticate(aRequest({ username, password: 'x' }))).toEqual({ outcome: 'accept' });
    }
    // And one that closes each is not asked for ever.
    web.answer = (_, response) => void response.destroy();
    expect(await http.authenticate(aRequest(ada))).toEqual(unavailable);
  });

  test('is not there at all: the log says so, seldom, and has no password in it', async () => {
    const context = aContext();
    const http = await HttpMechanism.open(settings('http://127.0.0.1:1/?key=secret'), context);
    for (let i = 0; i < 5; i++) expect(await http.authenticate(aRequest(ada))).toEqual(unavailable);
    expect(context.log.lines).toHaveLength(1);
    expect(context.log.text).toMatch(/^authentication by http:\/\/127\.0\.0\.1:1: .*nobody gets in by it/);
    expect(context.log.text).not.toMatch(/pAssw0rd|secret/);
    context.time += 10_001;
    await http.authenticate(aRequest(ada));
    expect(context.log.lines).toHaveLength(3);
    expect(context.log.lines[1]).toMatch(/^and 4 more such lines; the last: authentication by http:/);
  });

  test('so many calls at once, so many wait, the rest is turned away', async () => {
    const web = await webServer();
    const held: (() => void)[] = [];
    web.answer = (_, response) => void held.push(() => response.end('{"result":"allow"}'));
    const http = await HttpMechanism.open(settings(web.url, { callsAtOnce: 2, callsWaiting: 1 }), aContext());
    const asks = ['a', 'b', 'c'].map((username) => http.authenticate(aRequest({ username, password: 'x' })));
    await expect(http.authenticate(aRequest({ username: 'd', password: 'x' }))).rejects.toThrow(BusyError);
    for (let answered = 0; answered < 3; ) {
      await new Promise((resolve) => setImmediate(resolve));
      expect(web.seen.length - answered).toBeLessThanOrEqual(2);
      for (const answer of held.splice(0)) {
        answered++;
        answer();
      }
    }
    expect(await Promise.all(asks)).toEqual(Array(3).fill({ outcome: 'accept' }));
  });
});

describe('the cache', () => {
  test('keeps both kinds of answers, each for its time', async () => {
    const web = await webServer();
    const context = aContext();
    web.answer = ({ body }, response) =>
      void response.end(JSON.stringify({ result: body.includes('pAssw0rd') ? 'allow' : 'deny' }));
    const more = { cacheSeconds: 60, refusalCacheSeconds: 5 };
    const http = await HttpMechanism.open(settings(web.url, more), context);
    const bad = { ...ada, password: 'bad' };
    for (let i = 0; i < 3; i++) {
      expect(await http.authenticate(aRequest(ada))).toEqual({ outcome: 'accept' });
      expect(await http.authenticate(aRequest(bad))).toEqual(wrong);
    }
    expect(web.seen).toHaveLength(2);
    context.time += 5_001;
    await http.authenticate(aRequest(ada));
    await http.authenticate(aRequest(bad));
    expect(web.seen).toHaveLength(3);
    context.time += 60_000;
    await http.authenticate(aRequest(ada));
    expect(web.seen).toHaveLength(4);
  });

  test('no longer than the answer itself holds, and never what failed', async () => {
    const web = await webServer();
    const context = aContext();
    web.answer = json({ result: 'allow', expiresAt: context.time / 1000 + 1 });
    const http = await HttpMechanism.open(settings(web.url), context);
    await http.authenticate(aRequest(ada));
    context.time += 1_001;
    expect(await http.authenticate(aRequest(ada))).toEqual(wrong);
    web.answer = (_, response) => void response.writeHead(500).end();
    await http.authenticate(aRequest(ada));
    await http.authenticate(aRequest(ada));
    expect(web.seen).toHaveLength(4);
  });

  test('another client, address or password is another question; the same at once is one', async () => {
    const web = await webServer();
    web.answer = json({ result: 'allow' });
    const http = await HttpMechanism.open(settings(web.url), aContext());
    await Promise.all(
      [aRequest(ada), aRequest(ada), aRequest({ ...ada, clientId: 'other' })].map((each) => http.authenticate(each)),
    );
    expect(web.seen).toHaveLength(2);
    const moved = aRequest(ada);
    await http.authenticate({ ...moved, client: { ...moved.client, remoteAddress: '127.0.0.1:6000' } });
    expect(web.seen).toHaveLength(2);
    await http.authenticate({ ...moved, client: { ...moved.client, remoteAddress: '127.0.0.2:5000' } });
    expect(web.seen).toHaveLength(3);
  });
});

describe('the secret', () => {
  test.each(['file', 'environment variable'])('comes from a %s, into the header', async (source) => {
    const web = await webServer();
    web.answer = json({ result: 'allow' });
    const where =
      source === 'file' ? { secretFile: directory.write('secret', 'Bearer abc\n') } : { secretEnv: 'AUTH_SECRET' };
    const context = aContext({ environment: { AUTH_SECRET: 'Bearer abc' } });
    const http = await HttpMechanism.open(settings(web.url, where), context);
    await http.authenticate(aRequest(ada));
    expect(web.seen[0]?.headers.authorization).toBe('Bearer abc');
    http.close();
  });

  test('one that is missing or no header keeps it from starting', async () => {
    const open = (more: Partial<HttpSettings>) => HttpMechanism.open(settings('http://127.0.0.1:1', more), aContext());
    await expect(open({ secretEnv: 'NONE' })).rejects.toThrow('there is no environment variable NONE');
    await expect(open({ secretFile: directory.path('none') })).rejects.toThrow(/there is no such file/);
    await expect(open({ secretFile: directory.write('lines', 'a\nb') })).rejects.toThrow(
      /printable ASCII, in one line/,
    );
  });
});
