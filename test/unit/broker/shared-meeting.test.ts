/**
 * Where what a member of a shared subscription leaves behind meets full queues, pages that are being read, and the
 * broker's own stop.
 */
import { generate, type Packet } from 'mqtt-packet';
import { afterEach, expect, test } from 'vitest';
import { KillableBroker, type KillableOptions } from '../../support/killable-broker.ts';
import type { Received, WireClient } from '../../support/wire-client.ts';

const filter = '$share/group/work';
let broker: KillableBroker;
afterEach(() => broker.remove());

const begin = async (options: KillableOptions = {}) => {
  broker = await KillableBroker.start(options);
};

/** Takes one message at a time, and answers none by itself. */
const member = (clientId: string, properties: object = {}) => {
  return broker.connect({
    version: 5,
    clientId,
    clean: false,
    properties: { sessionExpiryInterval: 1_000, receiveMaximum: 1, ...properties },
  });
};

async function joined(clientId: string, qos: 1 | 2 = 1, properties: object = {}): Promise<WireClient> {
  const client = await member(clientId, properties);
  await client.subscribe(filter, { qos });
  return client;
}

async function publish(qos: 1 | 2, from: number, to: number, topic = 'work'): Promise<void> {
  const publisher = await broker.connect({ version: 5 });
  for (let i = from; i < to; i++) await publisher.publish(topic, `${i}`, { qos });
  await publisher.disconnect();
}

/** Answers what comes, until these clients have had all of these messages, each at least once. */
async function takeAll(clients: readonly WireClient[], to: number, from = 0): Promise<void> {
  const found = new Set<number>();
  for (const client of clients) void answerAll(client, found);
  await expect.poll(() => [...found].filter((each) => each >= from).sort((a, b) => a - b)).toEqual(range(from, to));
}

async function answerAll(client: WireClient, found: Set<number>): Promise<void> {
  for (;;) {
    const { cmd, messageId, qos, payload } = await client.next().catch(() => ({ cmd: 'closed' }) as Received);
    if (cmd === 'closed') return;
    if (cmd === 'pubrel') client.send({ cmd: 'pubcomp', messageId });
    if (cmd !== 'publish') continue;
    found.add(Number(payload!.toString()));
    client.send({ cmd: qos === 2 ? 'pubrec' : 'puback', messageId });
  }
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

test('what is left on disk goes to the others also if the member unsubscribes while a page is read for it', async () => {
  await begin();
  await (await joined('away')).disconnect();
  await publish(1, 0, 1_500);
  const other = await joined('other', 1, { receiveMaximum: 1_000 });
  const back = await member('away', { receiveMaximum: 250 });
  const sent = await back.collect('publish', 250);
  // In one go: the first answers make room, for which a page is read, and the UNSUBSCRIBE is taken right after.
  const answers = sent.map(({ messageId }) => generate({ cmd: 'puback', messageId } as Packet, { protocolVersion: 5 }));
  const unsubscribe = { cmd: 'unsubscribe', messageId: 1, unsubscriptions: [filter] } as Packet;
  back.sendBytes(Buffer.concat([...answers, generate(unsubscribe, { protocolVersion: 5 })]));
  // It answers nothing more, so what was sent to it at that moment stays with it.
  await takeAll([other], 1_500, 500);
});

test('a member that loses its connection keeps what waits for it, if the others have no room', async () => {
  await begin({ limits: { queueMessages: 20 } });
  const one = await joined('one');
  const two = await joined('two');
  await publish(1, 0, 42);
  await one.vanish();
  await takeAll([two, await member('one')], 42);
});

test('a stop loses nothing of what waits for several members', async () => {
  await begin({ limits: { queueMessages: 20 } });
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) await joined(name);
  await publish(1, 0, 84);
  await broker.restart('stop');
  await takeAll(await Promise.all(names.map((name) => member(name))), 84);
});

test('a stop leaves QoS 2 with a member whose session stays', async () => {
  await begin();
  await joined('kept', 2);
  await publish(2, 0, 20);
  await joined('passing', 2, { sessionExpiryInterval: 0, receiveMaximum: 1_000 });
  await broker.restart('stop');
  await takeAll([await member('kept')], 20);
});

test('a stop gives what a member has whose session ends to one whose session stays', async () => {
  await begin();
  const kept = await joined('kept', 2);
  const first = await joined('first', 2, { sessionExpiryInterval: 0 });
  await publish(2, 0, 2);
  await Promise.all([kept.next('publish'), first.next('publish')]);
  // Both are busy, so each has half of these.
  await publish(2, 2, 30);
  await joined('second', 2, { sessionExpiryInterval: 0, receiveMaximum: 1_000 });
  await broker.restart('stop');
  await takeAll([await member('kept')], 30, 2);
});
