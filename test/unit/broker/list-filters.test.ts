/** Lists that have only what was asked for. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CommandRequest } from '../../../src/index.ts';
import { apiBroker } from '../../support/api-broker.ts';
import { unique, type WireClient } from '../../support/wire-client.ts';

const broker = apiBroker();
const [pump, valve, other] = [unique('site/pump'), unique('site/valve'), unique('other')];
let clients: WireClient[] = [];

beforeAll(async () => {
  const left = await broker.stay(pump, { username: 'ada' });
  await left.subscribe('a/+', { qos: 1 });
  await left.subscribe('$share/g/a/b', { qos: 2 });
  await left.disconnect();
  const here = await broker.connect({ version: 4, clientId: valve, username: 'bob' });
  await here.subscribe('a/+');
  clients = [here, await broker.connect({ version: 5, clientId: other })];
  for (const topic of ['r/1', 'r/1/x', 'r/2', 's']) await clients[1]!.publish(topic, 'x', { qos: 1, retain: true });
});
afterAll(() => Promise.all(clients.map((client) => client.disconnect())));

const everybody = [other, pump, valve].sort();

describe('clients list', () => {
  const ids = async (request: CommandRequest<'clients list'>) =>
    (await broker.sluice.command('clients list', request)).items.map(({ clientId }) => clientId).sort();

  test.each<[CommandRequest<'clients list'>, string[]]>([
    [{}, everybody],
    [{ clientId: pump }, [pump]],
    [{ clientId: 'site' }, []],
    [{ clientId: pump, connected: true }, []],
    [{ clientIdPrefix: 'site/' }, [pump, valve]],
    [{ clientIdContains: 'valve' }, [valve]],
    [{ clientIdPrefix: 'site/', username: 'ada' }, [pump]],
    [{ connected: true }, [other, valve].sort()],
    [{ connected: false }, [pump]],
    [{ protocolVersion: 4 }, [valve]],
    [{ address: '127.0.0.1' }, everybody],
    [{ address: '127.0.0.0/8' }, everybody],
    [{ address: '::ffff:127.0.0.1' }, everybody],
    [{ address: '10.0.0.0/8' }, []],
    [{ address: '::1' }, []],
  ])('with %j', async (request, wanted) => {
    expect(await ids(request)).toEqual(wanted);
  });

  test('takes its filter from the query as well', async () => {
    const { json } = await broker.ask('GET', '/clients?connected=true&protocolVersion=5');
    expect(json.items).toMatchObject([{ clientId: other }]);
  });

  test('refuses an address that is none', async () => {
    for (const address of ['10.0.0.0/33', 'here', '10.0.0']) {
      const { status, json } = await broker.ask('GET', `/clients?address=${encodeURIComponent(address)}`);
      expect({ status, detail: json.detail }).toMatchObject({
        status: 400,
        detail: expect.stringMatching(/an address, or a network such as/),
      });
    }
  });

  test('has all that fits, on pages that may have nothing', async () => {
    const found: string[] = [];
    let cursor: string | null = null;
    do {
      const page: { items: readonly { clientId: string }[]; cursor: string | null } = await broker.sluice.command(
        'clients list',
        { clientIdPrefix: 'site/', limit: 1, cursor },
      );
      found.push(...page.items.map(({ clientId }) => clientId));
      ({ cursor } = page);
    } while (cursor !== null);
    expect(found.sort()).toEqual([pump, valve]);
  });
});

test('connections list goes by client, user and version', async () => {
  const ids = async (request: CommandRequest<'connections list'>) =>
    (await broker.sluice.command('connections list', request)).items.map(({ clientId }) => clientId);
  expect(await ids({ clientId: valve })).toEqual([valve]);
  expect(await ids({ clientId: pump })).toEqual([]);
  expect(await ids({ username: 'bob' })).toEqual([valve]);
  expect(await ids({ protocolVersion: 5 })).toEqual([other]);
  expect(await ids({ address: '10.0.0.1' })).toEqual([]);
});

test('subscriptions list goes by client, by filter, and by both', async () => {
  const list = async (request: CommandRequest<'subscriptions list'>) =>
    (await broker.sluice.command('subscriptions list', request)).items
      .map(({ clientId, topicFilter, qos }) => `${clientId} ${topicFilter} ${qos}`)
      .sort();
  const [wild, shared, atValve] = [`${pump} a/+ 1`, `${pump} $share/g/a/b 2`, `${valve} a/+ 0`];
  expect(await list({ clientId: pump })).toEqual([shared, wild]);
  expect(await list({ topicFilter: 'a/+' })).toEqual([wild, atValve]);
  expect(await list({ topicFilter: '$share/g/a/b' })).toEqual([shared]);
  expect(await list({ topicFilter: 'a/b' })).toEqual([]);
  expect(await list({ clientId: pump, topicFilter: 'a/+' })).toEqual([wild]);
  expect(await list({ clientId: 'nobody' })).toEqual([]);
  expect(await list({ clientId: other })).toEqual([]);
});

test('retained list goes by a filter, which must be one', async () => {
  const topics = async (topicFilter: string | null) =>
    (await broker.sluice.command('retained list', { topicFilter })).items.map(({ topic }) => topic).sort();
  expect(await topics('r/+')).toEqual(['r/1', 'r/2']);
  expect(await topics('r/1/#')).toEqual(['r/1', 'r/1/x']);
  expect(await topics('nothing')).toEqual([]);
  expect(await topics(null)).toHaveLength(4);
  for (const wrong of ['r+', 'r/#/x', '$share/g', '']) {
    const path = `/retained?topicFilter=${encodeURIComponent(wrong)}`;
    expect((await broker.ask('GET', path)).status, wrong).toBe(400);
  }
});
