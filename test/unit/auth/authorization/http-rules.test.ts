/** A service that is asked by HTTP what clients may do: the forms of its questions, its answers, what bounds them. */
import { afterEach, describe, expect, test } from 'vitest';
import { HttpRules } from '../../../../src/auth/authorization/http-rules.ts';
import { schema } from '../../../../src/config/schema.ts';
import type { ClientIdentity, Hooks } from '../../../../src/contracts/hooks.ts';
import type { HttpRulesSettings } from '../../../../src/contracts/http-service.ts';
import { createBroker, type SluiceBroker } from '../../../../src/index.ts';
import { WireClient } from '../../../support/wire-client.ts';
import { aContext, aRequest, testDirectory } from '../authentication/support.ts';
import { json, type Seen, webServer } from '../authentication/web-server.ts';

const directory = testDirectory();
const open: { close: () => unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

type More = Partial<HttpRulesSettings>;

async function rulesAt(url: string, more: More = {}, context = aContext(), whenIgnored: 'allow' | 'deny' = 'deny') {
  const settings = schema.parse({ authorization: { http: { url, ...more } } }).authorization.http!;
  const rules = await HttpRules.open(settings, whenIgnored, context);
  open.push(rules);
  return rules;
}

const ada: ClientIdentity = aRequest({ username: 'ada', clientId: 'device' }).client;
const status = (code: number) => (_: unknown, response: { statusCode: number; end: () => void }) => {
  response.statusCode = code;
  response.end();
};
const goAuth = { form: 'mosquitto-go-auth' } as const;
const bodies = (seen: readonly Seen[]) => seen.map(({ body }) => JSON.parse(body) as unknown);

describe('the questions', () => {
  test('of EMQX have the client, what it wants to do, and to which topic', async () => {
    const web = await webServer();
    web.answer = json({ result: 'allow' });
    const rules = await rulesAt(web.url);
    expect(await rules.publish(ada, 'a/b', 1, true)).toBe(0);
    expect(await rules.subscribe(ada, '$share/group/a/#', 2)).toBe(2);
    const who = { clientid: 'device', username: 'ada', peerhost: '127.0.0.1', proto_name: 'MQTT' };
    expect(bodies(web.seen)).toEqual([
      { ...who, action: 'publish', topic: 'a/b', qos: 1, retain: true },
      { ...who, action: 'subscribe', topic: 'a/#', qos: 2, retain: false },
    ]);
  });

  test('of mosquitto-go-auth have a number for it, and who subscribes must be able to read', async () => {
    const web = await webServer();
    web.answer = ({ body }, response) => {
      response.statusCode = (JSON.parse(body) as { acc: number }).acc === 1 ? 401 : 200;
      response.end();
    };
    const rules = await rulesAt(web.url, goAuth);
    expect(await rules.publish(ada, 'a/b', 1, true)).toBe(0);
    expect(await rules.subscribe(ada, 'a/#', 2)).toBe(0x87);
    const who = { username: 'ada', clientid: 'device' };
    expect(bodies(web.seen)).toEqual([
      { ...who, topic: 'a/b', acc: 2 },
      { ...who, topic: 'a/#', acc: 4 },
      { ...who, topic: 'a/#', acc: 1 },
    ]);
  });

  test('are written as a form where that is wanted', async () => {
    const web = await webServer();
    const rules = await rulesAt(web.url, { ...goAuth, paramsMode: 'form' });
    expect(await rules.publish(ada, 'a b/&', 0, false)).toBe(0);
    expect(web.seen[0]!.headers['content-type']).toBe('application/x-www-form-urlencoded');
    expect(web.seen[0]!.body).toBe('username=ada&topic=a+b%2F%26&clientid=device&acc=2');
  });

  test('show the service who is asking', async () => {
    const web = await webServer();
    const rules = await rulesAt(web.url, { secretFile: directory.write('secret', 'Bearer s3cret\n') });
    await rules.publish(ada, 'a', 0, false);
    expect(web.seen[0]!.headers.authorization).toBe('Bearer s3cret');
  });
});

describe('an answer', () => {
  test.each<[string, Parameters<typeof json>[0] | number, More, number]>([
    ['allow', { result: 'allow' }, {}, 0],
    ['deny', { result: 'deny' }, {}, 0x87],
    ['ignore, which leaves it to the default', { result: 'ignore' }, {}, 0x87],
    ['no result', { answer: 'allow' }, {}, 0x83],
    ['204', 204, {}, 0],
    ['403', 403, {}, 0x87],
    ['500', 500, {}, 0x83],
    ['200 for mosquitto-go-auth', 200, goAuth, 0],
    ['404 for mosquitto-go-auth', 404, goAuth, 0x87],
    ['503 for mosquitto-go-auth', 503, goAuth, 0x83],
    ['a redirect', 302, goAuth, 0x83],
    ['Ok', { Ok: true, Error: '' }, { ...goAuth, responseMode: 'json' }, 0],
    ['not Ok', { Ok: false, Error: 'no' }, { ...goAuth, responseMode: 'json' }, 0x87],
    ['neither', { Error: 'no' }, { ...goAuth, responseMode: 'json' }, 0x83],
    ['another text than ok', { not: 'ok' }, { ...goAuth, responseMode: 'text' }, 0x87],
  ])('%s', async (_, answer, more, code) => {
    const web = await webServer();
    web.answer = typeof answer === 'number' ? status(answer) : json(answer);
    expect(await (await rulesAt(web.url, more)).publish(ada, 'a', 1, false)).toBe(code);
  });

  test('of text', async () => {
    const web = await webServer();
    web.answer = (_, response) => void response.end('ok\n');
    expect(await (await rulesAt(web.url, { ...goAuth, responseMode: 'text' })).publish(ada, 'a', 1, false)).toBe(0);
  });

  test('that ignores the question leaves it to the default', async () => {
    const web = await webServer();
    web.answer = json({ result: 'ignore' });
    expect(await (await rulesAt(web.url, {}, aContext(), 'allow')).publish(ada, 'a', 1, false)).toBe(0);
  });

  test('that is a failure is not remembered', async () => {
    const web = await webServer();
    web.answer = status(500);
    const rules = await rulesAt(web.url);
    expect(await rules.publish(ada, 'a', 1, false)).toBe(0x83);
    expect(await rules.publish(ada, 'a', 1, false)).toBe(0x83);
    expect(web.seen).toHaveLength(2);
  });

  test('that does not come refuses, and is said once', async () => {
    const web = await webServer();
    web.answer = () => {};
    const context = aContext();
    const rules = await rulesAt(web.url, { timeoutMs: 20 }, context);
    expect(await rules.publish(ada, 'a', 1, false)).toBe(0x83);
    expect(await rules.publish(ada, 'a', 1, false)).toBe(0x83);
    const lines = context.log.lines.filter((line) => line.includes('nothing is allowed by it'));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('no answer within 20 ms');
  });
});

describe('answers are remembered', () => {
  test('for a time, those that allow and those that refuse, and are then there at once', async () => {
    const web = await webServer();
    web.answer = ({ body }, response) => json({ result: body.includes('secret') ? 'deny' : 'allow' })(body, response);
    const context = aContext();
    const rules = await rulesAt(web.url, { cacheSeconds: 10, refusalCacheSeconds: 5 }, context);
    expect(await rules.publish(ada, 'a', 1, false)).toBe(0);
    expect(await rules.publish(ada, 'secret', 1, false)).toBe(0x87);
    expect([rules.publish(ada, 'a', 1, false), rules.publish(ada, 'secret', 1, false)]).toEqual([0, 0x87]);
    context.time += 6_000;
    expect(rules.publish(ada, 'a', 1, false)).toBe(0);
    expect(await rules.publish(ada, 'secret', 1, false)).toBe(0x87);
    context.time += 5_000;
    await rules.publish(ada, 'a', 1, false);
    expect(web.seen).toHaveLength(4);
  });

  test('so many of them, also of topics that are long', async () => {
    const web = await webServer();
    web.answer = json({ result: 'allow' });
    const rules = await rulesAt(web.url, { cacheEntries: 2 });
    const topics = ['a', 'b', 'x'.repeat(60_000)];
    for (const topic of topics) await rules.publish(ada, topic, 0, false);
    for (const topic of topics) await rules.publish(ada, topic, 0, false);
    expect(web.seen.length).toBeGreaterThan(3);
    expect(rules.publish(ada, topics[2]!, 0, false)).toBe(0);
  });

  test('of others not: a client has those of its own', async () => {
    const web = await webServer();
    web.answer = ({ body }, response) => json({ result: body.includes('ada') ? 'allow' : 'deny' })(body, response);
    const rules = await rulesAt(web.url);
    expect(await rules.publish(ada, 'a', 1, false)).toBe(0);
    expect(await rules.publish({ ...ada, username: 'bob' }, 'a', 1, false)).toBe(0x87);
  });
});

test('the same question is asked once at a time, and too many others are refused', async () => {
  const web = await webServer();
  const held: (() => void)[] = [];
  web.answer = (seen, response) => void held.push(() => json({ result: 'allow' })(seen, response));
  const rules = await rulesAt(web.url, { callsAtOnce: 1, callsWaiting: 1 });
  const asked = ['a', 'a', 'b', 'c'].map((topic) => rules.publish(ada, topic, 1, false));
  expect(await asked[3]).toBe(0x97);
  await expect.poll(() => held.length).toBe(1);
  held[0]!();
  expect(await Promise.all(asked.slice(0, 2))).toEqual([0, 0]);
  await expect.poll(() => held.length).toBe(2);
  held[1]!();
  expect(await asked[2]).toBe(0);
  expect(web.seen).toHaveLength(2);
});

describe('superusers', () => {
  test('may do everything, and are asked for once', async () => {
    const [web, superusers] = [await webServer(), await webServer()];
    web.answer = status(403);
    superusers.answer = ({ body }, response) => status(body.includes('ada') ? 200 : 403)(body, response);
    const rules = await rulesAt(web.url, { ...goAuth, superuserUrl: superusers.url });
    expect(await rules.publish(ada, 'a', 1, false)).toBe(0);
    expect(rules.subscribe(ada, '#', 1)).toBe(1);
    expect(await rules.publish({ ...ada, username: 'bob' }, 'a', 1, false)).toBe(0x87);
    expect(bodies(superusers.seen)).toEqual([{ username: 'ada' }, { username: 'bob' }]);
    expect(web.seen).toHaveLength(1);
  });

  test('are nobody while that service does not answer', async () => {
    const [web, superusers] = [await webServer(), await webServer()];
    web.answer = json({ result: 'deny' });
    superusers.answer = status(500);
    const rules = await rulesAt(web.url, { superuserUrl: superusers.url });
    expect(await rules.publish(ada, 'a', 1, false)).toBe(0x87);
  });

  test('are those that authentication by HTTP calls so', async () => {
    const web = await webServer();
    const rules = await rulesAt(web.url);
    expect(rules.publish({ ...ada, attributes: { 'http.superuser': 'true' } }, 'a', 1, false)).toBe(0);
    expect(web.seen).toEqual([]);
  });
});

describe('of a broker', () => {
  async function brokerWith(authorization: object, hooks: Hooks = {}): Promise<SluiceBroker> {
    const broker = await createBroker({
      config: {
        listeners: [{ kind: 'tcp', port: 0 }],
        log: { level: 'silent' },
        store: { kind: 'memory' },
        authorization,
      },
      hooks,
    });
    open.push(broker);
    return broker;
  }

  test('a client waits for the answer, others do not, and the rules are asked before', async () => {
    const web = await webServer();
    const held: (() => void)[] = [];
    web.answer = (seen, response) => {
      const answer = () => json({ result: seen.body.includes('no') ? 'deny' : 'allow' })(seen, response);
      if (seen.body.includes('slow')) held.push(answer);
      else answer();
    };
    const rules = [{ deny: 'publish', topics: ['never/#'] }];
    const broker = await brokerWith({ rules, default: 'allow', http: { url: web.url } });
    const port = broker.listeners[0]!.port;
    const slow = await WireClient.connect(port, { version: 5 });
    const quick = await WireClient.connect(port, { version: 5 });
    expect((await quick.subscribe('no/#')).granted).toEqual([0x87]);
    expect((await quick.subscribe('#', { qos: 1 })).granted).toEqual([1]);
    slow.send({ cmd: 'publish', topic: 'slow', payload: '1', qos: 1, messageId: 1 });
    await expect.poll(() => held.length).toBe(1);
    expect((await quick.publish('no/1', 'x', { qos: 1 }))?.reasonCode).toBe(0x87);
    expect((await quick.publish('never/1', 'x', { qos: 1 }))?.reasonCode).toBe(0x87);
    await quick.nothingElse();
    held[0]!();
    expect((await slow.next('puback')).reasonCode).toBe(0);
    expect((await quick.next('publish')).topic).toBe('slow');
    expect(web.seen.some(({ body }) => body.includes('never'))).toBe(false);
    for (const client of [slow, quick]) await client.disconnect();
  });

  test('explain and the list of drops name the service, and the hook of the program if there is one', async () => {
    const web = await webServer();
    web.answer = json({ result: 'deny' });
    const hooks = { authorizePublish: () => 0 };
    const authorization = { default: 'allow', http: { url: web.url } } as const;
    for (const [broker, who] of [
      [await brokerWith(authorization), 'the service of authorization.http'],
      [await brokerWith(authorization, hooks), 'the service of authorization.http or the hook of the program'],
    ] as const) {
      const client = await WireClient.connect(broker.listeners[0]!.port, { version: 5, clientId: 'A' });
      const explained = await broker.command('explain', { topic: 'a/b', from: 'A' });
      expect(explained.findings).toContainEqual(
        expect.objectContaining({ step: 'hook', text: `${who} decides about it, and is not asked` }),
      );
      await client.publish('a/b', 'x', { qos: 1 });
      const { items } = await broker.command('drops list', {});
      expect(items).toMatchObject([{ reason: 'publishNotAllowed', detail: `${who} answered 0x87 not authorized` }]);
      await client.disconnect();
    }
  });

  test('one whose secret is not there does not start', async () => {
    const http = { url: 'http://127.0.0.1:9/', secretFile: '/nowhere/secret' };
    await expect(brokerWith({ http })).rejects.toThrow(/authorization\.http\.secretFile.*\/nowhere\/secret/);
  });
});
