/** Bans and rules of a whole broker, by its commands. */
import { afterEach, describe, expect, test } from 'vitest';
import { unique, WireClient } from '../../support/wire-client.ts';
import { RunningApp } from './running-app.ts';

let running: RunningApp;
afterEach(() => running.stop());

const connect = (options: { clientId: string; username?: string }) =>
  WireClient.connect(running.port, { version: 5, ...options });

describe('a ban of an operator', () => {
  test('ends the connections of a user and shuts them out, from exempt addresses too, until it is cleared', async () => {
    running = await RunningApp.start();
    const [ada, other] = [unique('ada'), unique('other')];
    const theirs = await connect({ clientId: unique('a'), username: ada });
    const another = await connect({ clientId: unique('b'), username: other });
    const made = await running.ask('POST', '/bans', { user: ada, forSeconds: 60, why: 'a stolen password' });
    const ban = { address: null, user: ada, client: null, why: 'a stolen password' };
    expect(made).toMatchObject({ status: 200, json: { ban, disconnected: 1 } });
    expect(await theirs.closed()).toMatchObject([{ cmd: 'disconnect', reasonCode: 0x98 }]);
    await another.nothingElse();
    await expect(connect({ clientId: unique('a'), username: ada })).rejects.toThrow(/138|0x8a/i);
    expect((await running.ask('GET', '/bans')).json.bans).toMatchObject([ban]);

    expect((await running.ask('POST', '/bans/clear', { address: 'all', user: other })).json).toEqual({ count: 0 });
    expect((await running.ask('POST', '/bans/clear', { address: 'all', user: ada })).json).toEqual({ count: 1 });
    await connect({ clientId: unique('a'), username: ada });
  });

  test('may be of a client everywhere, or of an address', async () => {
    running = await RunningApp.start();
    const clientId = unique('client');
    await running.ask('POST', '/bans', { client: clientId, forSeconds: 60 });
    await expect(connect({ clientId })).rejects.toThrow();
    await connect({ clientId: unique('another') });
    const made = await running.ask('POST', '/bans', { address: '127.0.0.1', forSeconds: 60, disconnect: false });
    expect(made.json).toMatchObject({ ban: { address: '127.0.0.1' }, disconnected: 0 });
    await expect(connect({ clientId: unique('another') })).rejects.toThrow();
    expect((await running.ask('POST', '/bans/clear', { address: 'all' })).json).toEqual({ count: 2 });
  });

  test.each([
    ['of nobody', { forSeconds: 1 }, 409],
    ['of a user and a client', { user: 'a', client: 'b', forSeconds: 1 }, 409],
    ['of no address', { address: 'here', forSeconds: 1 }, 400],
    ['for no time', { user: 'a' }, 400],
  ])('%s is refused', async (_, body, status) => {
    running = await RunningApp.start();
    expect((await running.ask('POST', '/bans', body)).status).toBe(status);
  });
});

describe('what a client may do is explained', () => {
  const rules = [
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder of rules
    { allow: 'all', topics: ['site/${username}/#'] },
    { allow: 'subscribe', topics: ['news/#'], for: { group: 'readers' } },
  ];
  const explain = async (query: Record<string, string>) =>
    (await running.ask('GET', `/access/explain?${new URLSearchParams(query)}`)).json;

  test('by the rules in force, with the rule that says so', async () => {
    running = await RunningApp.start({ authorization: { default: 'deny', rules } as never });
    const own = await explain({ action: 'publish', topic: 'site/ada/x', username: 'ada', clientId: 'c' });
    expect(own).toMatchObject({ isAllowed: true, code: 0, client: { clientId: 'c', username: 'ada', groups: [] } });
    expect(own.rule).toMatch(/authorization\.rules\.0/);
    const foreign = await explain({ action: 'publish', topic: 'site/bob/x', username: 'ada' });
    expect(foreign).toMatchObject({ isAllowed: false, code: 0x87, rule: expect.stringContaining('no rule matches') });
    const news = await explain({ action: 'subscribe', topic: 'news/today', groups: 'readers', qos: '1' });
    expect(news).toMatchObject({ isAllowed: true, code: 1, delivery: { isAllowed: true } });
    expect(await explain({ action: 'subscribe', topic: 'news/#' })).toMatchObject({ isAllowed: false, delivery: null });
    expect(await explain({ action: 'subscribe', topic: 'a/#/b' })).toMatchObject({ isAllowed: false, code: 0x8f });
  });

  test('for a client that is connected, as whom it came in', async () => {
    running = await RunningApp.start({ authorization: { default: 'deny', rules } as never });
    const clientId = unique('client');
    await connect({ clientId, username: 'ada' });
    const own = await explain({ action: 'publish', topic: 'site/ada/x', clientId });
    expect(own).toMatchObject({ isAllowed: true, client: { username: 'ada' } });
  });

  test('where identifiers belong to users', async () => {
    running = await RunningApp.start({ clientIds: 'own' });
    const foreign = await explain({ action: 'publish', topic: 'a', clientId: 'bob:1', username: 'ada' });
    expect(foreign).toMatchObject({ isAllowed: false, code: 0x85 });
  });
});
