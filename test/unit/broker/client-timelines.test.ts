/** What happened to a client: what its timeline has, with real packets, and that the memory for it is bounded. */
import { describe, expect, test } from 'vitest';
import { ClientTimelines } from '../../../src/broker/client-timelines.ts';
import { timelineEventView } from '../../../src/contracts/timeline.ts';
import { apiBroker } from '../../support/api-broker.ts';
import { unique } from '../../support/wire-client.ts';

describe('the timeline of a client', () => {
  const broker = apiBroker({
    limits: { queueMessages: 2 },
    authorization: {
      default: 'allow',
      rules: [
        { deny: 'publish', topics: ['closed/#'] },
        { deny: 'subscribe', topics: ['closed/#'] },
      ],
    },
  });
  const of = async (clientId: string) => {
    const { json } = await broker.ask('GET', `/clients/${encodeURIComponent(clientId)}/timeline`);
    return json.items.map((item: unknown) => timelineEventView.parse(item)).reverse();
  };

  test('has how it came, what it was refused, and how it left', async () => {
    const clientId = unique('lived');
    const client = await broker.stay(clientId, { username: 'ada' });
    await client.subscribe('open/a', { qos: 1 });
    await client.subscribe('closed/a', { qos: 1 });
    for (let i = 0; i < 3; i++) await client.publish('closed/b', 'x', { qos: 1 });
    await client.unsubscribe('open/a');
    await client.disconnect();
    await expect.poll(async () => (await of(clientId)).at(-1)?.event).toBe('disconnected');
    expect(await of(clientId)).toMatchObject([
      { event: 'connected', detail: 'MQTT 5.0, new session, as ada', address: expect.stringMatching(/^127/), count: 1 },
      { event: 'subscribed', topic: 'open/a', detail: 'QoS 1' },
      { event: 'subscribeRefused', topic: 'closed/a', detail: expect.stringContaining('closed/#') },
      { event: 'publishRefused', topic: 'closed/b', count: 3 },
      { event: 'unsubscribed', topic: 'open/a' },
      { event: 'disconnected' },
    ]);
  });

  test('has what was dropped for it, and how many', async () => {
    const clientId = unique('away');
    const topic = unique('topic');
    const client = await broker.stay(clientId);
    await client.subscribe(topic, { qos: 1 });
    await client.disconnect();
    for (let i = 0; i < 5; i++) await broker.sluice.publish(topic, 'x', { qos: 1 });
    await broker.sluice.publish(topic, 'x');
    const events = await of(clientId);
    expect(events).toContainEqual(expect.objectContaining({ event: 'dropped', detail: 'queueFull', count: 3 }));
    expect(events).toContainEqual(expect.objectContaining({ event: 'dropped', detail: 'clientAway', count: 1, topic }));
    await broker.ask('DELETE', `/clients/${clientId}/session`);
    expect((await of(clientId)).at(-1)).toMatchObject({ event: 'sessionEnded', detail: 'deleted' });
  });

  test('has who took its place, an operator who disconnected it, and its will', async () => {
    const clientId = unique('twice');
    const will = { topic: 'gone', payload: 'bye' };
    await broker.stay(clientId);
    await broker.stay(clientId, { will });
    await broker.ask('POST', `/clients/${clientId}/disconnect`, { body: {} });
    const details = async () => (await of(clientId)).map(({ detail }: { detail: string }) => detail);
    await expect.poll(details).toContain('disconnected by an operator');
    const events = await of(clientId);
    expect(events).toContainEqual(expect.objectContaining({ event: 'takenOver' }));
    expect(events).toContainEqual(expect.objectContaining({ event: 'willPublished', topic: 'gone' }));
  });

  test('of a client that nobody knows is empty', async () => {
    expect(await of('nobody')).toEqual([]);
  });
});

describe('the memory that timelines take', () => {
  const add = (timelines: ClientTimelines, clientId: string, detail: string, now = 0) =>
    timelines.add(clientId, 'connected', { detail }, now);

  test('is that of so many events, of which the oldest go', () => {
    const timelines = new ClientTimelines(100);
    for (let i = 0; i < 1_000; i++) add(timelines, `client ${i}`, 'x');
    expect(timelines.count).toBe(100);
    expect(timelines.list('client 899')).toEqual([]);
    expect(timelines.list('client 900')).toHaveLength(1);
  });

  test('is not taken by one client that does very much', () => {
    const timelines = new ClientTimelines(100);
    add(timelines, 'quiet', 'x');
    for (let i = 0; i < 10_000; i++) add(timelines, 'busy', `${i}`);
    expect(timelines.list('quiet')).toHaveLength(1);
    expect(timelines.list('busy')).toHaveLength(64);
    expect(timelines.list('busy')[0]).toMatchObject({ detail: '9999' });
  });

  test('is not more for long texts', () => {
    const timelines = new ClientTimelines(100);
    for (let i = 0; i < 1_000; i++) {
      timelines.add(`client ${i}`, 'subscribed', { detail: `${i}${'x'.repeat(70_000)}`, topic: 'y'.repeat(65_535) }, 0);
    }
    expect(timelines.characters).toBeLessThanOrEqual(10_000);
    expect(timelines.list('client 999')).toHaveLength(1);
  });

  test('is not taken by what strangers do in the name of others', () => {
    const timelines = new ClientTimelines(100);
    for (let i = 0; i < 1_000; i++) timelines.addIfKnown(`client ${i}`, 'connectRefused', { detail: 'x' }, 0);
    expect(timelines.count).toBe(0);
    add(timelines, 'known', 'x');
    timelines.addIfKnown('known', 'connectRefused', { detail: 'wrong password' }, 1);
    expect(timelines.list('known')).toMatchObject([{ event: 'connectRefused' }, { event: 'connected' }]);
  });

  test('counts what happens again in one event, also where a client comes and goes', () => {
    const timelines = new ClientTimelines(100);
    for (let i = 0; i < 500; i++) {
      timelines.add('flapping', 'connected', { detail: 'x', address: `1.2.3.4:${i}` }, i * 1_000);
      timelines.add('flapping', 'disconnected', { detail: 'keep-alive' }, i * 1_000 + 1);
    }
    expect(timelines.list('flapping')).toEqual([
      {
        event: 'disconnected',
        detail: 'keep-alive',
        time: 1,
        lastTime: 499_001,
        count: 500,
        topic: null,
        address: null,
      },
      { event: 'connected', detail: 'x', time: 0, lastTime: 499_000, count: 500, topic: null, address: '1.2.3.4:499' },
    ]);
  });

  test('is none where none is wanted', () => {
    const timelines = new ClientTimelines(0);
    add(timelines, 'client', 'x');
    expect(timelines.list('client')).toEqual([]);
  });
});
