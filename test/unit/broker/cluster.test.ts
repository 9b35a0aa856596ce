/** Where a broker asks the others of its cluster, which here are the test. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Broker } from '../../../src/broker/broker.ts';
import type { Cluster } from '../../../src/contracts/cluster.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import { listen } from '../../../src/net/listen.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { WireClient } from '../../support/wire-client.ts';

/** Questions that wait for their answer, in order. */
let claims: { clientId: string; answer: (code: number) => void }[];
let forwarded: { payloads: string[]; answer: (code: number) => void }[];
let broker: Broker;
let listener: Awaited<ReturnType<typeof listen>>;

const cluster: Cluster = {
  claim: (clientId) => new Promise((answer) => claims.push({ clientId, answer })),
  forward: (messages) => {
    const payloads = messages.map(({ topic, payload }) => `${topic.name}: ${payload}`);
    return new Promise((answer) => forwarded.push({ payloads, answer }));
  },
};

beforeEach(async () => {
  claims = [];
  forwarded = [];
  broker = new Broker({ settings: { ...defaultSettings, sysIntervalSeconds: 1 }, store: new MemoryStore(), cluster });
  await broker.start();
  listener = await listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, (url) => (stream) => broker.accept(stream, url));
});
afterEach(async () => {
  await listener.close();
  await broker.close();
});

const asked = async <T>(questions: T[], count = 1): Promise<T> => {
  await expect.poll(() => questions.length).toBe(count);
  return questions[count - 1]!;
};

async function connect(clientId: string, will?: object): Promise<WireClient> {
  const client = await WireClient.open(listener.port, 5);
  client.sendConnect({ version: 5, clientId, ...(will === undefined ? {} : { will: will as never }) });
  const claim = await asked(claims, claims.length + 1);
  expect(claim.clientId).toBe(clientId);
  expect(client.waiting).toEqual([]);
  claim.answer(0);
  await client.next('connack');
  return client;
}

test('a client comes in once its session is claimed, and not if it cannot be', async () => {
  await connect('a');
  const refused = await WireClient.open(listener.port, 5);
  refused.sendConnect({ version: 5, clientId: 'b' });
  (await asked(claims, 2)).answer(0x88);
  expect((await refused.next('connack')).reasonCode).toBe(0x88);
});

test('a message is acknowledged, and reaches clients here, once the others have taken it', async () => {
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('a/#', { qos: 1 });
  const publisher = await connect('publisher');
  const answer = publisher.publish('a/b', 'x', { qos: 1 });
  const question = await asked(forwarded);
  expect(question.payloads).toEqual(['a/b: x']);
  await subscriber.nothingElse();
  question.answer(0);
  expect((await answer)?.reasonCode).toBe(0);
  expect((await subscriber.next('publish')).payload?.toString()).toBe('x');
});

test('a message that the others do not take is refused, and reaches nobody', async () => {
  const subscriber = await connect('subscriber');
  await subscriber.subscribe('a/#');
  const publisher = await connect('publisher');
  const answer = publisher.publish('a/b', 'x', { qos: 1 });
  (await asked(forwarded)).answer(0x97);
  expect((await answer)?.reasonCode).toBe(0x97);
  await subscriber.nothingElse();
});

test('a will and a message of the program go the same way, $SYS does not leave its node', async () => {
  const subscriber = await connect('subscriber');
  for (const filter of ['a/#', '$SYS/broker/version']) await subscriber.subscribe(filter);
  expect((await subscriber.next('publish')).topic).toBe('$SYS/broker/version');
  const dying = await connect('dying', { topic: 'a/will', payload: 'gone' });
  await dying.vanish();
  const will = await asked(forwarded);
  expect(will.payloads).toEqual(['a/will: gone']);
  will.answer(0);
  expect((await subscriber.next('publish')).topic).toBe('a/will');
  const outcome = broker.publish('a/program', { payload: Buffer.from('y'), qos: 1 });
  const own = await asked(forwarded, 2);
  expect(own.payloads).toEqual(['a/program: y']);
  own.answer(0);
  expect(await outcome).toMatchObject({ reasonCode: 0 });
});
