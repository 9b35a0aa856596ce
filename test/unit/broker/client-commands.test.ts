/** Commands about one client: what it has, how it is disconnected, and what becomes of its session and queue. */
import { describe, expect, test } from 'vitest';
import { clientView, inflightView } from '../../../src/contracts/views.ts';
import { apiBroker } from '../../support/api-broker.ts';
import { unique } from '../../support/wire-client.ts';

const broker = apiBroker();
const of = (clientId: string, what = '') => `/clients/${encodeURIComponent(clientId)}${what}`;

/** A client that is away, with so many messages in its queue. */
async function away(messages: number): Promise<{ clientId: string; topic: string }> {
  const [clientId, topic] = [unique('away'), unique('topic')];
  const client = await broker.stay(clientId);
  await client.subscribe(topic, { qos: 1 });
  await client.disconnect();
  for (let i = 0; i < messages; i++) await broker.sluice.publish(topic, `${i}`, { qos: 1 });
  return { clientId, topic };
}

describe('clients show', () => {
  test('has the session, the connection and the will of a client', async () => {
    const clientId = unique('shown');
    const will = { topic: 'gone', payload: 'bye', qos: 1, properties: { willDelayInterval: 5 } } as const;
    const client = await broker.stay(clientId, { username: 'ada', keepalive: 30, will });
    await client.subscribe('a/b', { qos: 1 });
    const { status, json } = await broker.ask('GET', of(clientId));
    expect(status).toBe(200);
    expect(clientView.parse(json)).toMatchObject({
      clientId,
      username: 'ada',
      groups: [],
      isConnected: true,
      protocolVersion: 5,
      subscriptions: 1,
      receivedInFlight: 0,
      will: { topic: 'gone', qos: 1, retain: false, payloadBytes: 3, delaySeconds: 5 },
      disconnectReason: null,
      connection: { transport: 'tcp', tls: null, keepAliveSeconds: 30, publishing: 0, isCongested: false },
    });
    expect(json.connection.connectedAt).toBeGreaterThan(1e12);
    expect(JSON.stringify(json)).not.toContain('bye');
    await client.disconnect();
  });

  test('says why the last connection ended, and which will waits', async () => {
    const clientId = unique('lost');
    const will = { topic: 'gone', payload: 'bye', properties: { willDelayInterval: 500 } };
    const client = await broker.stay(clientId, { will });
    client.sendBytes('f0 00');
    await client.closed();
    const show = () => broker.sluice.command('clients show', { clientId });
    await expect.poll(show).toMatchObject({ isConnected: false, connection: null, hasWill: false });
    expect(await show()).toMatchObject({
      disconnectReason: expect.stringMatching(/./),
      will: { topic: 'gone', delaySeconds: 500 },
    });
  });

  test('of a client that was taken over says so', async () => {
    const clientId = unique('twice');
    const first = await broker.stay(clientId);
    const second = await broker.stay(clientId);
    await first.closed();
    expect((await broker.sluice.command('clients show', { clientId })).disconnectReason).toMatch(/taken over/);
    await second.disconnect();
  });

  test('of nobody is refused', async () => {
    expect(await broker.ask('GET', of('nobody'))).toMatchObject({
      status: 404,
      json: { detail: 'There is no session of client "nobody"' },
    });
  });
});

describe('clients disconnect', () => {
  test('ends the connection with 0x98, and the session stays', async () => {
    const clientId = unique('out');
    const client = await broker.stay(clientId);
    const { json } = await broker.ask('POST', of(clientId, '/disconnect'));
    expect(json).toEqual({ wasConnected: true });
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x98 });
    await client.closed();
    expect(await broker.sluice.command('clients show', { clientId })).toMatchObject({
      isConnected: false,
      disconnectReason: 'disconnected by an operator',
    });
    expect((await broker.ask('POST', of(clientId, '/disconnect'))).json).toEqual({ wasConnected: false });
  });

  test.each([true, false])('publishes the will or not, as is asked (%s)', async (publishWill) => {
    const [clientId, topic] = [unique('will'), unique('gone')];
    const watcher = await broker.connect({ version: 5 });
    await watcher.subscribe(topic);
    const client = await broker.stay(clientId, { will: { topic, payload: 'bye' } });
    await broker.sluice.command('clients disconnect', { clientId, publishWill });
    await client.closed();
    if (publishWill) expect(await watcher.next('publish')).toMatchObject({ topic });
    await watcher.nothingElse();
    await watcher.disconnect();
  });

  test('of a client within the process is refused', async () => {
    const own = await broker.sluice.client({ onMessage() {} });
    const { items } = await broker.sluice.command('clients list', { clientIdPrefix: '\0' });
    expect(items).toHaveLength(1);
    const { clientId } = items[0]!;
    await expect(broker.sluice.command('clients disconnect', { clientId })).rejects.toThrow(/within the process/);
    await own.close();
  });
});

describe('sessions delete', () => {
  test('ends the session of a client that is connected, for good', async () => {
    const clientId = unique('deleted');
    const client = await broker.stay(clientId);
    await client.subscribe('a/b');
    expect((await broker.ask('DELETE', of(clientId, '/session'))).json).toEqual({ wasConnected: true });
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x98 });
    expect((await broker.ask('GET', of(clientId))).status).toBe(404);
    const again = await broker.stay(clientId);
    expect(again.connack).toMatchObject({ sessionPresent: false });
    await again.disconnect();
  });

  test('ends the session of a client that is away, also after a restart', async () => {
    const { clientId } = await away(3);
    const ended = new Promise((resolve) => broker.sluice.events.once('sessionEnded', (...told) => resolve(told)));
    expect((await broker.ask('DELETE', of(clientId, '/session'))).json).toEqual({ wasConnected: false });
    expect(await ended).toEqual([clientId, 'deleted']);
    await broker.restart();
    expect((await broker.ask('GET', of(clientId))).status).toBe(404);
  });
});

describe('queue purge', () => {
  test.each([1, 250, 700])('drops all of %i messages that wait, and counts them', async (messages) => {
    const { clientId } = await away(messages);
    const dropped = () => broker.sluice.statistics().sluice_messages_dropped_total!.samples;
    const purged = () => dropped().find(({ labels }) => labels.reason === 'purged')!.value as number;
    const before = purged();
    expect((await broker.ask('DELETE', of(clientId, '/queue'))).json).toEqual({ count: messages });
    expect(purged() - before).toBe(messages);
    expect(await broker.sluice.command('clients show', { clientId })).toMatchObject({ queuedMessages: 0 });
    const back = await broker.stay(clientId);
    await back.nothingElse();
    await back.disconnect();
  });

  test('of an empty queue drops nothing', async () => {
    const { clientId } = await away(0);
    expect(await broker.sluice.command('queue purge', { clientId })).toEqual({ count: 0 });
  });
});

test('inflight list has what was sent and not acknowledged, and what came and was not released', async () => {
  const [clientId, topic] = [unique('inflight'), unique('topic')];
  const client = await broker.stay(clientId);
  await client.subscribe(topic, { qos: 2 });
  for (const qos of [1, 2] as const) await broker.sluice.publish(topic, 'x', { qos });
  const sent = await client.collect('publish', 2);
  client.send({ cmd: 'pubrec', messageId: sent[1]!.messageId });
  await client.next('pubrel');
  client.send({ cmd: 'publish', topic: 'elsewhere', payload: 'y', qos: 2, messageId: 77 });
  await client.next('pubrec');
  const { json } = await broker.ask('GET', of(clientId, '/inflight'));
  expect(json.items.map((item: unknown) => inflightView.parse(item))).toMatchObject([
    { direction: 'toClient', packetId: sent[0]!.messageId, awaits: 'puback', qos: 1, topic },
    { direction: 'toClient', packetId: sent[1]!.messageId, awaits: 'pubcomp', qos: 2, topic },
    { direction: 'fromClient', packetId: 77, awaits: 'pubrel', qos: 2, topic: null },
  ]);
  expect(await broker.sluice.command('clients show', { clientId })).toMatchObject({
    inFlight: 2,
    receivedInFlight: 1,
    connection: { publishing: 1 },
  });
  await client.vanish();
});
