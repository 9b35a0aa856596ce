/** Clients of a listener with a mount point live below it: they name topics without it, and the broker with it. */
import { afterEach, describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import { testBroker } from '../../support/broker.ts';
import { type ConnectOptions, type Received, WireClient } from '../../support/wire-client.ts';

const broker = testBroker({
  listeners: [
    { kind: 'tcp', port: 0 },
    { kind: 'tcp', port: 0, mountPoint: 'site/' },
    { kind: 'tcp', port: 0, mountPoint: 'other/' },
  ],
  outboundTopicAliases: 2,
});
const clients: WireClient[] = [];
const through =
  (listener: number) =>
  async (options: ConnectOptions = {}) => {
    const client = await WireClient.connect(broker.sluice.listeners[listener]!.port, { version: 5, ...options });
    clients.push(client);
    return client;
  };
const outside = through(0);
const site = through(1);
const other = through(2);
afterEach(async () => {
  for (const client of clients.splice(0)) if (!client.isClosed) await client.vanish();
});

const seen = async (client: WireClient) => {
  const { topic, payload, qos, retain } = await client.next('publish');
  return `${topic} ${payload} ${qos}${retain ? ' retained' : ''}`;
};

async function received(client: WireClient): Promise<Received> {
  const message = await client.next('publish');
  await client.acknowledge(message);
  return message;
}

describe.each([4, 5] as const)('with MQTT %i', (version) => {
  test('what they publish has the prefix for everybody else, and not among themselves', async () => {
    const [all, here, there] = [await outside({ version }), await site({ version }), await other({ version })];
    for (const client of [all, here, there]) await client.subscribe('#', { qos: 2 });

    const publisher = await site({ version });
    for (const qos of [0, 1, 2]) await publisher.publish('room/7', 'x', { qos });

    for (const qos of [0, 1, 2]) {
      expect(await received(all)).toMatchObject({ topic: 'site/room/7', qos });
      expect(await received(here)).toMatchObject({ topic: 'room/7', qos });
    }
    await there.nothingElse();
  });

  test('they get what others publish below it, and nothing else', async () => {
    const [all, here] = [await outside({ version }), await site({ version })];
    await here.subscribe('#', { qos: 1 });

    for (const topic of ['room', 'sites/room', 'site', 'site/a']) await all.publish(topic, 'x', { qos: 1 });

    expect(await received(here)).toMatchObject({ topic: 'a' });
    await here.nothingElse();
    expect((await broker.sluice.command('drops list', { reason: 'notAuthorized' })).items).toContainEqual(
      expect.objectContaining({ topic: 'site', detail: expect.stringContaining('not below "site/", the mountPoint') }),
    );
  });

  test('retained messages and wills are below it', async () => {
    const [all, here] = [
      await outside({ version }),
      await site({ version, will: { topic: 'gone', payload: Buffer.from('y'), retain: true } }),
    ];
    await here.publish('state', 'x', { retain: true, qos: 1 });
    await all.subscribe('site/#');
    expect(await seen(all)).toBe('site/state x 0 retained');

    await here.vanish();

    expect(await seen(all)).toMatch(/^site\/gone y 0/);
    const later = await site({ version });
    await later.subscribe('state');
    expect(await seen(later)).toBe('state x 0 retained');
    const cleaner = await outside({ version });
    for (const topic of ['site/state', 'site/gone']) await cleaner.publish(topic, '', { retain: true, qos: 1 });
  });

  test('a subscription ends under the name that it began with', async () => {
    const [all, here] = [await outside({ version }), await site({ version })];
    await here.subscribe('a/+', { qos: 1 });
    const { items } = await broker.sluice.command('subscriptions list', {});
    expect(items.map(({ topicFilter }) => topicFilter)).toContain('site/a/+');

    await here.unsubscribe('a/+');

    await all.publish('site/a/b', 'x', { qos: 1 });
    await here.nothingElse();
  });

  test('members of a shared subscription may come through both', async () => {
    const [member, whole, publisher] = [await site({ version }), await outside({ version }), await site({ version })];
    await member.subscribe('$share/g/jobs/#', { qos: 1 });
    await whole.subscribe('$share/g/site/jobs/#', { qos: 1 });

    for (let job = 1; job <= 4; job++) await publisher.publish('jobs/new', `${job}`, { qos: 1 });

    const [first, second] = await Promise.all([member, whole].map((client) => client.collect('publish', 2)));
    expect(new Set(first!.map(({ topic }) => topic))).toEqual(new Set(['jobs/new']));
    expect(new Set(second!.map(({ topic }) => topic))).toEqual(new Set(['site/jobs/new']));
  });

  test("the broker's own topics are elsewhere", async () => {
    const here = await site({ version });
    await here.subscribe('$SYS/#');
    await here.nothingElse();
    const all = await outside({ version });
    await all.subscribe('site/$SYS/#');

    await here.publish('$SYS/broker/version', 'x');

    expect(await seen(all)).toBe('site/$SYS/broker/version x 0');
    expect(await seen(here)).toBe('$SYS/broker/version x 0');
  });
});

test('No Local holds [MQTT5 3.8.3-3]', async () => {
  const here = await site();
  await here.subscribe('a', { nl: true });
  await here.publish('a', 'x', { qos: 1 });
  await here.nothingElse();
});

test('topic aliases stand for the name of the client, in both directions [MQTT5 3.3.2.3.4]', async () => {
  const here = await site({ properties: { topicAliasMaximum: 2 } });
  await here.subscribe('a', { qos: 1 });
  await here.publish('a', '1', { properties: { topicAlias: 1 } });
  await here.publish('', '2', { properties: { topicAlias: 1 } });

  const [first, second] = await here.collect('publish', 2);
  expect(first).toMatchObject({ topic: 'a', properties: { topicAlias: 1 } });
  expect(second).toMatchObject({ topic: '', properties: { topicAlias: 1 } });
});

test('a Response Topic stays as it is', async () => {
  const [asker, answerer] = [await site(), await site()];
  await answerer.subscribe('ask');
  await asker.publish('ask', 'x', { qos: 1, properties: { responseTopic: 'answers/1' } });
  expect((await answerer.next('publish')).properties).toMatchObject({ responseTopic: 'answers/1' });
});

test('a message with a large payload reaches both kinds of subscribers whole', async () => {
  const [all, one, two] = [await outside(), await site(), await site()];
  for (const client of [one, two]) await client.subscribe('big');
  await all.subscribe('site/big');
  const payload = Buffer.alloc(400_000, 'b');

  await one.publish('big', payload);

  for (const client of [one, two, all])
    expect(payload.equals((await client.next('publish')).payload as Buffer)).toBe(true);
});

test('a session that came through another listener begins anew, and one from here goes on', async () => {
  const properties = { sessionExpiryInterval: 60 };
  const before = await other({ clientId: 'moves', clean: false, properties });
  await before.subscribe('a', { qos: 1 });
  await before.disconnect();
  await (await outside()).publish('other/a', 'theirs', { qos: 1 });

  const here = await site({ clientId: 'moves', clean: false, properties });
  expect(here.connack).toMatchObject({ sessionPresent: false });
  await here.subscribe('a', { qos: 1 });
  await here.disconnect();
  await (await outside()).publish('site/a', 'ours', { qos: 1 });

  const again = await site({ clientId: 'moves', clean: false, properties });
  expect(again.connack).toMatchObject({ sessionPresent: true });
  expect(await received(again)).toMatchObject({ topic: 'a' });
  await again.nothingElse();
});

test('what has no topic, or no valid filter, has none with the prefix either', async () => {
  const here = await site();
  expect((await here.subscribe('a#')).granted).toEqual([0x8f]);
  expect((await here.subscribe('$share/g/')).granted).toEqual([0x8f]);
  const refused = await WireClient.open(broker.sluice.listeners[1]!.port, 5);
  // CONNECT of `c` with a will whose topic is empty, and whose payload is `x`.
  refused.sendBytes('10 14 00 04 4d515454 05 06 0000 00 0001 63 00 0000 0001 78');
  expect(await refused.next('connack')).toMatchObject({ reasonCode: 0x90 });
  await refused.closed();
});

describe('explain', () => {
  test('is asked by whole names, and tells how the publisher calls the topic', async () => {
    const here = await site({ clientId: 'inside' });
    await site({ clientId: 'speaks' });
    await here.subscribe('a');
    const asked = { from: 'speaks', to: 'inside', qos: 0 as const };

    const arrives = await broker.sluice.command('explain', { ...asked, topic: 'site/a' });
    const cannot = await broker.sluice.command('explain', { ...asked, topic: 'a' });

    expect(arrives.arrives).toBe('yes');
    expect(JSON.stringify(arrives.findings)).toContain(
      String.raw`it calls the topic \"a\" itself, without the mountPoint`,
    );
    expect(cannot.arrives).toBe('no');
    expect(JSON.stringify(cannot.findings)).toContain('it can only publish below the mountPoint');
  });

  test('knows that the level above is not below', async () => {
    const here = await site({ clientId: 'wild' });
    await here.subscribe('#');

    const { arrives, conclusion } = await broker.sluice.command('explain', { to: 'wild', topic: 'site', qos: 0 });

    expect(arrives).toBe('no');
    expect(conclusion).toContain('not below "site/"');
  });
});

test.each(['a/+/', '#', '$SYS/x/', '$share/g/', ''])('a mount point %j is refused', (mountPoint) => {
  expect(() => parseConfig({ listeners: [{ kind: 'tcp', mountPoint }] })).toThrow(/mountPoint/);
});
