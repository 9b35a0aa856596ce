/** What a client finds when the broker was stopped and started again on its data. */
import { expect, test } from 'vitest';
import { restartableBroker } from '../../support/restartable-broker.ts';
import type { Received, WireClient } from '../../support/wire-client.ts';

const { connect, restart } = restartableBroker({ limits: { inflight: 2 } });

/**
 * Answers what comes until so many different messages have come, and then as long as something does; what came, in its
 * order.
 */
async function take(client: WireClient, wanted: number): Promise<string[]> {
  const found: string[] = [];
  const unreleased = new Set<number>();
  const answer = (packet: Received) => {
    if (packet.cmd === 'pubrel' && unreleased.delete(packet.messageId!)) {
      client.send({ cmd: 'pubcomp', messageId: packet.messageId });
    }
    if (packet.cmd !== 'publish') return;
    if (packet.qos === 2) unreleased.add(packet.messageId!);
    found.push(packet.payload!.toString());
    client.send({ cmd: packet.qos === 2 ? 'pubrec' : 'puback', messageId: packet.messageId });
  };
  while (new Set(found).size < wanted || unreleased.size > 0) answer(await client.next());
  client.send({ cmd: 'pingreq' });
  for (let next = await client.next(); next.cmd !== 'pingresp'; next = await client.next()) answer(next);
  return found;
}

async function publish(qos: 1 | 2, ...payloads: string[]): Promise<void> {
  const publisher = await connect('publisher');
  for (const payload of payloads) await publisher.publish('a', payload, { qos });
  await publisher.disconnect();
}

test('QoS 1: what may have been sent before comes with DUP, what cannot have been without', async () => {
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('a', { qos: 1 });
  await publish(1, 'sent 1', 'sent 2', 'queued');
  expect((await subscriber.collect('publish', 2)).map(({ dup }) => dup)).toEqual([false, false]);
  await restart();
  const again = await connect('subscriber');
  expect(again.connack?.sessionPresent).toBe(true);
  const seen: unknown[] = [];
  for (let i = 0; i < 3; i++) {
    const packet = await again.next('publish');
    seen.push([packet.payload?.toString(), packet.dup]);
    await again.acknowledge(packet);
  }
  expect(seen).toEqual([
    ['sent 1', true],
    ['sent 2', true],
    ['queued', false],
  ]);
});

test('QoS 2: each exchange goes on where it was', async () => {
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('a', { qos: 2 });
  await publish(2, 'received', 'sent', 'queued');
  const [received, sent] = await subscriber.collect('publish', 2);
  subscriber.send({ cmd: 'pubrec', messageId: received!.messageId });
  await subscriber.next('pubrel');
  await restart();
  const again = await connect('subscriber');
  expect(await again.next('pubrel')).toMatchObject({ messageId: received!.messageId });
  const resent = await again.next('publish');
  expect(resent).toMatchObject({ messageId: sent!.messageId, dup: true });
  again.send({ cmd: 'pubcomp', messageId: received!.messageId });
  const next = await again.next('publish');
  expect([next.payload?.toString(), next.dup]).toEqual(['queued', false]);
});

test('retained messages, subscriptions and their options are there', async () => {
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('a', { qos: 1, rap: true }, { subscriptionIdentifier: 5 });
  await subscriber.disconnect();
  await restart();
  const publisher = await connect('publisher');
  await publisher.publish('a', 'kept', { qos: 1, retain: true });
  await restart();
  const again = await connect('subscriber');
  expect(await again.next('publish')).toMatchObject({ retain: true, properties: { subscriptionIdentifier: 5 } });
  const newcomer = await connect('newcomer');
  await newcomer.subscribe('#', { qos: 1 });
  expect((await newcomer.next('publish')).payload?.toString()).toBe('kept');
});

/** So many retained messages, of which a new subscription of this QoS has been sent the first two. */
async function cutShort(qos: 1 | 2, count: number): Promise<{ all: string[]; subscriber: WireClient }> {
  const all = Array.from({ length: count }, (_, i) => String(i).padStart(2, '0'));
  const publisher = await connect('publisher');
  for (const payload of all) await publisher.publish(`r/${payload}`, payload, { qos, retain: true });
  await publisher.disconnect();
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('r/#', { qos });
  await subscriber.collect('publish', 2);
  return { all, subscriber };
}

test.each([1, 2] as const)(
  'retained messages for a new subscription that a restart cuts short come after it, and once they have come no more (QoS %i)',
  async (qos) => {
    const { all } = await cutShort(qos, 20);
    await restart();
    const again = await connect('subscriber');
    expect(again.connack?.sessionPresent).toBe(true);
    expect(new Set(await take(again, all.length))).toEqual(new Set(all));
    await again.disconnect();
    await restart();
    await (await connect('subscriber')).nothingElse();
  },
);

test('retained messages for a new subscription that a lost connection cuts short go on where they were', async () => {
  const { all, subscriber } = await cutShort(1, 20);
  await subscriber.vanish();
  expect((await take(await connect('subscriber'), all.length)).sort()).toEqual(all);
});

test('a subscription that is gone is owed no retained messages after a restart', async () => {
  const { subscriber } = await cutShort(1, 20);
  await subscriber.unsubscribe('r/#');
  await subscriber.disconnect();
  await restart();
  expect(await take(await connect('subscriber'), 2)).toEqual(['00', '01']);
});
