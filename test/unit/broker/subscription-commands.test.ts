/** Subscriptions on behalf of a client, who gets a topic, and retained messages by command. */
import { describe, expect, test } from 'vitest';
import { messageView } from '../../../src/contracts/commands/messages.ts';
import { subscriberView } from '../../../src/contracts/views.ts';
import { apiBroker } from '../../support/api-broker.ts';
import { unique } from '../../support/wire-client.ts';

const broker = apiBroker({
  authorization: {
    default: 'allow',
    rules: [
      { deny: 'subscribe', topics: ['secret/#'], for: { username: 'ada' } },
      { allow: 'subscribe', topics: ['once/#'], for: { username: 'ada' }, maxQoS: 0 },
    ],
  },
});
const of = (clientId: string) => `/clients/${encodeURIComponent(clientId)}/subscriptions`;

describe('subscriptions create', () => {
  test('subscribes a client that is connected, which gets retained messages and what follows', async () => {
    const [clientId, topic] = [unique('here'), unique('topic')];
    await broker.sluice.publish(topic, 'kept', { retain: true });
    const client = await broker.stay(clientId);
    const body = { topicFilter: topic, qos: 1, identifier: 7 };
    expect(await broker.ask('POST', of(clientId), { body })).toMatchObject({ status: 200, json: { qos: 1 } });
    expect(await client.next('publish')).toMatchObject({ topic, retain: true });
    await broker.sluice.publish(topic, 'new', { qos: 1 });
    expect(await client.next('publish')).toMatchObject({ qos: 1, properties: { subscriptionIdentifier: 7 } });
    const path = `${of(clientId)}?topicFilter=${encodeURIComponent(topic)}`;
    expect((await broker.ask('DELETE', path)).json).toEqual({ existed: true });
    expect((await broker.ask('DELETE', path)).json).toEqual({ existed: false });
    await client.vanish();
  });

  test('subscribes a client that is away, and has that stored', async () => {
    const [clientId, topic] = [unique('away'), unique('topic')];
    await broker.sluice.publish(topic, 'kept', { qos: 1, retain: true });
    await (await broker.stay(clientId)).disconnect();
    await broker.sluice.command('subscriptions create', { clientId, topicFilter: topic, qos: 1 });
    await broker.restart();
    await broker.sluice.publish(topic, 'later', { qos: 1 });
    const client = await broker.stay(clientId);
    const got = await client.collect('publish', 2);
    expect(got.map(({ payload }) => `${payload}`).sort()).toEqual(['kept', 'later']);
    await client.vanish();
    await broker.sluice.command('subscriptions delete', { clientId, topicFilter: topic });
    await broker.restart();
    expect(await broker.sluice.command('subscriptions list', { clientId })).toMatchObject({ items: [] });
  });

  test('asks the rules of the client', async () => {
    const clientId = unique('ada');
    const client = await broker.stay(clientId, { username: 'ada' });
    const body = { topicFilter: 'secret/x' };
    expect((await broker.ask('POST', of(clientId), { body })).status).toBe(403);
    const granted = await broker.ask('POST', of(clientId), { body: { topicFilter: 'once/x', qos: 2 } });
    expect(granted.json).toEqual({ qos: 0 });
    expect((await broker.ask('POST', of('nobody'), { body })).status).toBe(404);
    await client.disconnect();
  });

  test.each(['', 'a/#/b', 'a+', '$share/g', '$share//a', '$share/g/', '$share/a+/b'])(
    'refuses %j, which is no filter',
    async (topicFilter) => {
      expect((await broker.ask('POST', of('anybody'), { body: { topicFilter } })).status).toBe(400);
    },
  );
});

test('topics subscribers has everybody who would get it, and all members of a group, page by page', async () => {
  const base = unique('where');
  const [plain, wild, first, second] = [unique('plain'), unique('wild'), unique('first'), unique('second')];
  const clients = await Promise.all([plain, wild, first, second].map((clientId) => broker.stay(clientId)));
  await clients[0]!.subscribe(`${base}/a`, { qos: 1 });
  await clients[1]!.subscribe(`${base}/#`, { qos: 2 });
  for (const member of [clients[2]!, clients[3]!]) await member.subscribe(`$share/g/${base}/+`, { qos: 0 });
  await clients[1]!.subscribe(`${base}/b`);
  await clients[3]!.disconnect();
  const found: object[] = [];
  for (let cursor: string | null = null; ; ) {
    const query = `topic=${encodeURIComponent(`${base}/a`)}&limit=1${cursor === null ? '' : `&cursor=${cursor}`}`;
    const { json } = await broker.ask('GET', `/topics/subscribers?${query}`);
    found.push(...json.items.map((item: unknown) => subscriberView.parse(item)));
    if ((cursor = json.cursor) === null) break;
  }
  const wanted = [
    { clientId: plain, isConnected: true, topicFilter: `${base}/a`, qos: 1, shareName: null },
    { clientId: wild, isConnected: true, topicFilter: `${base}/#`, qos: 2, shareName: null },
    { clientId: first, isConnected: true, topicFilter: `$share/g/${base}/+`, qos: 0, shareName: 'g' },
    { clientId: second, isConnected: false, topicFilter: `$share/g/${base}/+`, qos: 0, shareName: 'g' },
  ];
  expect(found).toHaveLength(4);
  expect(found).toEqual(expect.arrayContaining(wanted));
  await Promise.all(clients.slice(0, 3).map((client) => client.vanish()));
});

describe('retained messages', () => {
  const show = (topic: string) => broker.ask('GET', `/retained/message?topic=${encodeURIComponent(topic)}`);

  test('are published, shown and deleted, and that is stored', async () => {
    const topic = unique('retained');
    const watcher = await broker.connect({ version: 5 });
    await watcher.subscribe(topic);
    const body = { topic, payload: 'x', qos: 1, contentType: 'text/plain', userProperties: [['a', '1']] };
    expect((await broker.ask('POST', '/retained', { body })).json).toMatchObject({ reasonCode: 0, matched: true });
    await watcher.next('publish');
    await broker.restart();
    expect(messageView.parse((await show(topic)).json)).toMatchObject({
      ...{ topic, payload: Buffer.from('x').toString('base64'), qos: 1, retain: true },
      ...{ contentType: 'text/plain', userProperties: [['a', '1']], responseTopic: null, messageExpirySeconds: null },
    });
    const remove = () => broker.ask('DELETE', `/retained/message?topic=${encodeURIComponent(topic)}`);
    expect((await remove()).json).toEqual({ existed: true });
    expect((await remove()).json).toEqual({ existed: false });
    await broker.restart();
    expect((await show(topic)).status).toBe(404);
  });

  test('are cleared by a filter, and no others', async () => {
    const base = unique('many');
    const messages = Array.from({ length: 300 }, (_, i) => ({ topic: `${base}/${i}/x`, payload: 'x', retain: true }));
    await broker.sluice.command('publish', { messages: [...messages, { topic: base, payload: 'x', retain: true }] });
    const clear = await broker.ask('DELETE', `/retained?topicFilter=${encodeURIComponent(`${base}/+/x`)}`);
    expect(clear.json).toEqual({ count: 300 });
    await broker.restart();
    expect((await broker.sluice.command('retained list', { topicFilter: `${base}/#` })).items).toMatchObject([
      { topic: base },
    ]);
  });

  test('of the broker itself stay', async () => {
    expect(
      (await broker.ask('DELETE', `/retained/message?topic=${encodeURIComponent('$SYS/broker/version')}`)).status,
    ).toBe(409);
    expect((await broker.sluice.command('retained clear', { topicFilter: '$SYS/#' })).count).toBe(0);
  });
});
