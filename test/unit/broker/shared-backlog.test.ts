/**
 * What waits on disk for an away member of a shared subscription, when the member will not come back for it. [MQTT5
 * 4.8.2]
 */
import { expect, test } from 'vitest';
import { restartableBroker } from '../../support/restartable-broker.ts';
import { WireClient } from '../../support/wire-client.ts';

const filter = '$share/group/work';
/** Beyond what of a queue is kept in memory. */
const count = 600;
const numbers = Array.from({ length: count }, (_, i) => `${i}`);

const broker = restartableBroker();
const { connect, restart } = broker;

async function publish(qos: 1 | 2, ...payloads: string[]): Promise<void> {
  const publisher = await connect('publisher');
  for (const payload of payloads) await publisher.publish('work', payload, { qos });
  await publisher.disconnect();
}

/** An only member that is away, with its backlog. */
async function awayWithBacklog(qos: 1 | 2 = 1): Promise<void> {
  const member = await connect('away');
  await member.subscribe(filter, { qos });
  await member.disconnect();
  await publish(qos, ...numbers);
}

async function joined(clientId: string, qos = 1): Promise<WireClient> {
  const member = await connect(clientId);
  await member.subscribe(filter, { qos });
  return member;
}

/** Answers so many messages to the end of their exchanges, and sees that no more come. */
async function take(member: WireClient, wanted: number): Promise<string[]> {
  const found: string[] = [];
  for (let open = 0; found.length < wanted || open > 0; ) {
    const { cmd, messageId, qos, payload } = await member.next();
    if (cmd === 'pubrel') member.send({ cmd: 'pubcomp', messageId });
    if (cmd === 'pubrel') open--;
    if (cmd !== 'publish') continue;
    found.push(payload!.toString());
    if (qos === 2) open++;
    member.send({ cmd: qos === 2 ? 'pubrec' : 'puback', messageId });
  }
  await member.nothingElse();
  return found;
}

const endAway = async () => (await connect('away', { clean: true })).disconnect();

test('a stop while it is passed on ends cleanly, and the next start goes on with it', async () => {
  await awayWithBacklog();
  const other = await connect('other', { properties: { sessionExpiryInterval: 1_000, receiveMaximum: 10 } });
  await other.subscribe(filter, { qos: 1 });
  await connect('away', { clean: true });
  await restart();
  const member = await connect('other');
  expect(await take(member, count)).toEqual(numbers);
});

test.each([1, 2] as const)(
  'all of it goes to another member, in order, when the session ends (QoS %i)',
  async (qos) => {
    await awayWithBacklog(qos);
    const other = await joined('other', qos);
    await endAway();
    expect(await take(other, count)).toEqual(numbers);
  },
);

test('all of it goes to another member also if it was there before a restart, behind ordinary messages', async () => {
  const member = await connect('away');
  await member.subscribe('ordinary', { qos: 1 });
  await member.subscribe(filter, { qos: 1 });
  await member.disconnect();
  const publisher = await connect('publisher');
  for (let i = 0; i < count; i++) await publisher.publish('ordinary', 'x', { qos: 1 });
  await publisher.disconnect();
  await publish(1, ...numbers);
  await restart();
  const other = await joined('other');
  await endAway();
  expect(await take(other, count)).toEqual(numbers);
});

test('what was in flight to a member whose session ends goes to another one, before what waited behind it', async () => {
  const member = await connect('away', { properties: { sessionExpiryInterval: 1_000, receiveMaximum: 2 } });
  await member.subscribe(filter, { qos: 1 });
  await publish(1, ...numbers);
  await member.collect('publish', 2);
  await member.vanish();
  await restart();
  const other = await joined('other');
  await endAway();
  expect(await take(other, count)).toEqual(numbers);
});

test('it is divided among the others, and each gets its part in order', async () => {
  await awayWithBacklog();
  const others = await Promise.all([joined('one'), joined('two')]);
  await endAway();
  const parts = await Promise.all(others.map((other) => take(other, count / 2)));
  for (const part of parts) expect(part).toEqual([...part].sort((a, b) => Number(a) - Number(b)));
  expect(parts.flat().sort()).toEqual([...numbers].sort());
});

test('it waits for another member that is away as well, and what it had otherwise does not', async () => {
  await (await joined('other')).disconnect();
  const publisher = await connect('publisher');
  const member = await connect('away');
  await member.subscribe(filter, { qos: 1 });
  await member.subscribe('ordinary', { qos: 1 });
  await member.disconnect();
  for (const payload of numbers) {
    await publisher.publish('work', payload, { qos: 1 });
    await publisher.publish('ordinary', 'x', { qos: 1 });
  }
  await endAway();
  await restart();
  expect((await take(await connect('other'), count)).sort()).toEqual([...numbers].sort());
});

test('all of it goes to the others when the member unsubscribes, and its other messages stay with it', async () => {
  await awayWithBacklog();
  const other = await joined('other');
  const member = await connect('away', { properties: { sessionExpiryInterval: 1_000, receiveMaximum: 1 } });
  expect((await member.next('publish')).payload!.toString()).toBe('0');
  await member.unsubscribe(filter);
  expect(await take(other, count - 1)).toEqual(numbers.slice(1));
});

test('a restart goes on with what a session had that ended just before', async () => {
  await awayWithBacklog();
  await (await joined('other')).disconnect();
  // Closed in the same turn as it ends, or nearly.
  const ending = await WireClient.open(broker.port, 5);
  ending.sendConnect({ clientId: 'away', clean: true });
  await ending.next('connack');
  await restart();
  expect(await take(await connect('other'), count)).toEqual(numbers);
  await restart();
  await (await connect('other')).nothingElse();
});
