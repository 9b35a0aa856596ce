/**
 * `queuePolicy: reject` and `retainedMessages`: who gets a message that there is no room for somewhere, and what its
 * publisher is told.
 */
import { describe, expect, test } from 'vitest';
import type { Hooks } from '../../../src/index.ts';
import { testBroker } from '../../support/broker.ts';
import { type Received, unique, type WireClient } from '../../support/wire-client.ts';

const text = (packet: Received) => packet.payload?.toString();
const lasting = { sessionExpiryInterval: 1_000 };

/** A payload of `a,b` becomes two messages; `a>topic` goes to another topic. */
const onPublish: Hooks['onPublish'] = (_client, message) => {
  const parts = message.payload.toString().split(',');
  if (parts.length === 1) return { verdict: 'keep' };
  const messages = parts.map((part) => {
    const [payload, suffix] = part.split('>');
    return { payload: Buffer.from(payload!), ...(suffix === undefined ? {} : { topic: `${message.topic}/${suffix}` }) };
  });
  return { verdict: 'split', messages };
};

const limits = { queueMessages: 3, queuePolicy: 'reject', retainedMessages: 2 } as const;
const broker = testBroker({ limits }, { onPublish });

/** A session with a subscription whose client has left, and its queue full but for `room` messages. */
async function away(topicFilter: string, topic: string, room: number): Promise<string> {
  const clientId = unique('away');
  const client = await broker.connect({ version: 5, clientId, clean: false, properties: lasting });
  await client.subscribe(topicFilter, { qos: 2 });
  await client.disconnect();
  const publisher = await broker.connect({ version: 5 });
  for (let i = room; i < limits.queueMessages; i++) await publisher.publish(topic, `before ${i}`, { qos: 1 });
  await publisher.disconnect();
  return clientId;
}

async function live(topicFilter: string): Promise<WireClient> {
  const client = await broker.connect({ version: 5 });
  await client.subscribe(topicFilter, { qos: 2, rap: true });
  return client;
}

/** What the session's client finds waiting, without what filled its queue. */
async function waiting(clientId: string): Promise<unknown[]> {
  const client = await broker.connect({ version: 5, clientId, clean: false, properties: lasting });
  const found: (string | undefined)[] = [];
  client.send({ cmd: 'pingreq' });
  for (let next = await client.next(); next.cmd !== 'pingresp'; next = await client.next()) found.push(text(next));
  await client.disconnect();
  return found.filter((payload) => !payload!.startsWith('before'));
}

describe('a message for a session whose queue is full, and for one that is there', () => {
  test.each([1, 2])('a 3.1.1 publisher is answered, and all but the full session get it (QoS %i)', async (qos) => {
    const topic = unique('topic');
    const full = await away(topic, topic, 0);
    const here = await live(topic);
    const publisher = await broker.connect({ version: 4 });
    await publisher.publish(topic, 'x', { qos });
    expect(text(await here.next('publish'))).toBe('x');
    expect(await waiting(full)).toEqual([]);
  });

  test.each([1, 2])('a 5.0 publisher is told 0x97, and nobody gets it (QoS %i)', async (qos) => {
    const topic = unique('topic');
    await away(topic, topic, 0);
    const here = await live(topic);
    const publisher = await broker.connect({ version: 5 });
    const refused = () => broker.sluice.statistics().sluice_messages_refused_total!.samples[0]!.value as number;
    const before = refused();
    expect((await publisher.publish(topic, 'x', { qos }))?.reasonCode).toBe(0x97);
    expect(refused()).toBe(before + 1);
    await here.nothingElse();
  });

  test('a will goes to all but the full session', async () => {
    const topic = unique('topic');
    await away(topic, topic, 0);
    const here = await live(topic);
    const client = await broker.connect({ version: 5, will: { topic, payload: 'will', qos: 1 } });
    await client.vanish();
    expect(text(await here.next('publish'))).toBe('will');
  });
});

describe('a retained message beyond the limit', () => {
  const own = testBroker({ limits });
  const retain = true;

  async function full(): Promise<{ topic: string; here: WireClient }> {
    const topic = unique('topic');
    const publisher = await own.connect({ version: 5 });
    for (let i = 0; i < limits.retainedMessages; i++) await publisher.publish(`kept/${i}`, 'x', { qos: 1, retain });
    const here = await own.connect({ version: 5 });
    await here.subscribe(topic, { qos: 2, rap: true });
    return { topic, here };
  }

  test.each([
    [4, 0],
    [4, 1],
    [4, 2],
    [5, 0],
  ] as const)('goes out live and is not kept (version %i, QoS %i)', async (version, qos) => {
    const { topic, here } = await full();
    await (await own.connect({ version })).publish(topic, 'x', { qos, retain });
    expect(await here.next('publish')).toMatchObject({ retain: true, qos });
    const late = await own.connect({ version: 5 });
    await late.subscribe(topic, { qos: 1 });
    await late.nothingElse();
  });

  test('is refused with 0x97 where the publisher can be told, and goes to nobody', async () => {
    const { topic, here } = await full();
    const publisher = await own.connect({ version: 5 });
    expect((await publisher.publish(topic, 'x', { qos: 1, retain }))?.reasonCode).toBe(0x97);
    await here.nothingElse();
  });
});

describe('one message that is split into several', () => {
  test.each([1, 2])(
    'is refused as a whole where one part finds no room, and a resend doubles nothing (QoS %i)',
    async (qos) => {
      const topic = unique('topic');
      const full = await away(`${topic}/full`, `${topic}/full`, 0);
      const here = await live(topic);
      const publisher = await broker.connect({ version: 5 });
      for (let i = 0; i < 2; i++) {
        expect((await publisher.publish(topic, 'a,b>full,c', { qos }))?.reasonCode).toBe(0x97);
      }
      await here.nothingElse();
      expect(await waiting(full)).toEqual([]);
    },
  );

  test('is refused as a whole where there is room for some of its parts only', async () => {
    const topic = unique('topic');
    const nearlyFull = await away(topic, topic, 1);
    const publisher = await broker.connect({ version: 5 });
    expect((await publisher.publish(topic, 'a,b', { qos: 1 }))?.reasonCode).toBe(0x97);
    expect((await publisher.publish(topic, 'c', { qos: 1 }))?.reasonCode).toBe(0);
    expect(await waiting(nearlyFull)).toEqual(['c']);
  });

  test('counts what the members of a shared subscription have room for together', async () => {
    const topic = unique('topic');
    const [one, two] = [await away(`$share/s/${topic}`, topic, 1), await away(`$share/s/${topic}`, topic, 2)];
    const publisher = await broker.connect({ version: 5 });
    expect((await publisher.publish(topic, 'a,b,c,d', { qos: 1 }))?.reasonCode).toBe(0x97);
    expect((await publisher.publish(topic, 'a,b,c', { qos: 1 }))?.reasonCode).toBe(0);
    expect([...(await waiting(one)), ...(await waiting(two))].sort()).toEqual(['a', 'b', 'c']);
  });

  test('is refused as a whole where its retained messages are too many', async () => {
    const topic = unique('topic');
    const here = await live(`${topic}/#`);
    const publisher = await broker.connect({ version: 5 });
    const parts = 'a>1,b>2,c>3';
    expect((await publisher.publish(topic, parts, { qos: 2, retain: true }))?.reasonCode).toBe(0x97);
    await here.nothingElse();
    expect((await publisher.publish(topic, 'a>1,b>2,c>1', { qos: 2, retain: true }))?.reasonCode).toBe(0);
    expect((await here.collect('publish', 3)).map(text)).toEqual(['a', 'b', 'c']);
  });

  test('goes where there is room for it before 5.0, and the publisher is answered once', async () => {
    const topic = unique('topic');
    const nearlyFull = await away(topic, topic, 1);
    const here = await live(topic);
    const publisher = await broker.connect({ version: 4 });
    await publisher.publish(topic, 'a,b', { qos: 2 });
    expect((await here.collect('publish', 2)).map(text)).toEqual(['a', 'b']);
    expect(await waiting(nearlyFull)).toEqual(['a']);
  });
});
