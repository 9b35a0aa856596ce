/**
 * Who a client is and what it may do, as the broker applies it: the answers come from a policy of the test.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Broker } from '../../../src/broker/broker.ts';
import type { AccessPolicy } from '../../../src/contracts/access.ts';
import type { ClientIdentity, Hooks } from '../../../src/contracts/hooks.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { defaultPipelineLimits } from '../../../src/contracts/pipeline-settings.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import { listen } from '../../../src/net/listen.ts';
import type { Topic } from '../../../src/protocol/topic.ts';
import { LevelStore } from '../../../src/store/level/level-store.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { timeless } from '../../support/rounds.ts';
import { unique, WireClient } from '../../support/wire-client.ts';

const notAuthorized = 0x87;
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Running {
  readonly broker: Broker;
  connect(options?: Parameters<typeof WireClient.connect>[1]): Promise<WireClient>;
  close(): Promise<void>;
}

/** `directory`: keeps its data there. */
async function start(options: { access?: AccessPolicy; hooks?: Hooks }, directory?: string): Promise<Running> {
  const store =
    directory === undefined
      ? new MemoryStore()
      : new LevelStore({
          directory,
          durability: 'sync',
          topics: [],
          maxCommitDelayMs: 0,
          cacheBytes: 1_000_000,
          quarantine: defaultPipelineLimits,
          acceptLoss: false,
          log: silentLog,
        });
  const broker = new Broker({
    scheduler: timeless(),
    settings: { ...defaultSettings, sysIntervalSeconds: 0 },
    store,
    ...options,
  });
  await broker.start();
  const accept = (url: string) => (stream: Parameters<Broker['accept']>[0]) => broker.accept(stream, url);
  const listener = await listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, accept);
  let isClosed = false;
  const close = async () => {
    if (isClosed) return;
    isClosed = true;
    await listener.close();
    await broker.close();
  };
  closing.push(close);
  return { broker, connect: (connect) => WireClient.connect(listener.port, connect), close };
}

/** Nobody but `admin` may do anything with topics that begin with `secret`. */
const secrets = { isOpen: false };
const policy: AccessPolicy = {
  rightsOf({ username }) {
    const mayUse = (name: string) => secrets.isOpen || username === 'admin' || !name.startsWith('secret');
    const publish = (topic: Topic) => (mayUse(topic.name) ? 0 : notAuthorized);
    return {
      publish,
      will: publish,
      subscribe: ({ filter }, qos) => (mayUse(filter) ? qos : notAuthorized),
      receive: mayUse,
    };
  },
};
afterEach(() => {
  secrets.isOpen = false;
});

test.each([4, 5] as const)(
  'a publish that the rules refuse reaches nobody, whatever its QoS (version %i)',
  async (version) => {
    const { connect } = await start({ access: policy });
    const admin = await connect({ version, username: 'admin' });
    await admin.subscribe('#', { qos: 2 });
    const guest = await connect({ version });
    await guest.publish('secret/1', 'a');
    const puback = await guest.publish('secret/1', 'b', { qos: 1 });
    const pubrec = await guest.publish('secret/1', 'c', { qos: 2 });
    await guest.publish('open', 'd', { qos: 1 });

    const codes = [puback, pubrec].map((answer) => answer?.reasonCode ?? 0);
    expect(codes).toEqual(version === 5 ? [notAuthorized, notAuthorized] : [0, 0]);
    expect(await admin.next('publish')).toMatchObject({ topic: 'open' });
    await admin.nothingElse();
  },
);

test('a filter that the rules refuse is refused by itself', async () => {
  const { connect } = await start({ access: policy });
  const guest = await connect({ version: 5 });
  expect((await guest.subscribe('secret/#', { qos: 1 })).granted).toEqual([notAuthorized]);
  expect((await guest.subscribe('open/#', { qos: 1 })).granted).toEqual([1]);
});

test('a wildcard brings only what the client may have: live, retained, and by a shared subscription', async () => {
  const { broker, connect } = await start({ access: policy });
  await broker.publish('secret/kept', { payload: Buffer.from('x'), retain: true });
  await broker.publish('open/kept', { payload: Buffer.from('x'), retain: true });
  const guest = await connect({ version: 5 });
  const member = await connect({ version: 5 });
  await guest.subscribe('#', { qos: 1 });
  await member.subscribe('$share/g/#', { qos: 1 });
  await broker.publish('secret/live', { payload: Buffer.from('x'), qos: 1 });
  await broker.publish('open/live', { payload: Buffer.from('x'), qos: 1 });

  expect((await guest.next('publish')).topic).toBe('open/kept');
  expect((await guest.next('publish')).topic).toBe('open/live');
  expect((await member.next('publish')).topic).toBe('open/live');
  await guest.nothingElse();
  await member.nothingElse();
});

test('rules that change apply to subscriptions that are there already', async () => {
  const { broker, connect } = await start({ access: policy });
  const guest = await connect({ version: 5 });
  await guest.subscribe('#', { qos: 0 });
  await broker.publish('secret/1', { payload: Buffer.from('closed') });
  secrets.isOpen = true;
  broker.rulesChanged();
  await broker.publish('secret/1', { payload: Buffer.from('open') });
  expect((await guest.next('publish')).payload?.toString()).toBe('open');
});

test('what was queued before the rules changed is not delivered, and counted', async () => {
  const { broker, connect } = await start({ access: policy });
  const clientId = unique('away');
  const properties = { sessionExpiryInterval: 100 };
  secrets.isOpen = true;
  const guest = await connect({ version: 5, clientId, properties });
  await guest.subscribe('#', { qos: 1 });
  const left = new Promise((resolve) => broker.events.on('disconnected', resolve));
  await guest.vanish();
  await left;
  await broker.publish('secret/1', { payload: Buffer.from('x'), qos: 1 });
  await broker.publish('open/1', { payload: Buffer.from('x'), qos: 1 });
  secrets.isOpen = false;
  broker.rulesChanged();
  const again = await connect({ version: 5, clientId, clean: false, properties });
  expect((await again.next('publish')).topic).toBe('open/1');
  expect(broker.counters.dropped.notAuthorized).toBe(1);
});

test('a client that comes back as who it was leaves found routes as they are; as somebody else, it does not', async () => {
  const asked: string[] = [];
  const access: AccessPolicy = {
    rightsOf: ({ groups, clientId }) => ({
      publish: () => 0,
      will: () => 0,
      subscribe: (_, qos) => qos,
      receive: () => {
        asked.push(`${clientId} in ${groups.length} groups`);
        return true;
      },
    }),
  };
  let groups: string[] = [];
  const { broker, connect } = await start({ access, hooks: { authenticate: () => ({ outcome: 'accept', groups }) } });
  const options = { version: 5, clientId: 'a', clean: false, properties: { sessionExpiryInterval: 100 } } as const;
  const publisher = await connect({ version: 5 });
  const first = await connect(options);
  await first.subscribe('x', { qos: 0 });
  await publisher.publish('x', '1', { qos: 1 });
  await first.disconnect();
  const second = await connect(options);
  await publisher.publish('x', '2', { qos: 1 });
  expect(asked).toEqual(['a in 0 groups']);
  await second.disconnect();
  groups = ['new'];
  await connect(options);
  await publisher.publish('x', '3', { qos: 1 });
  expect(asked).toEqual(['a in 0 groups', 'a in 1 groups']);
  expect(broker.counters.dropped.notAuthorized).toBe(0);
});

test('an absent client gets no more than it may have, over a restart too', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  closing.push(async () => rmSync(directory, { recursive: true }));
  const first = await start({ access: policy }, directory);
  const clientId = unique('away');
  const properties = { sessionExpiryInterval: 100 };
  const guest = await first.connect({ version: 5, clientId, username: 'guest', properties });
  await guest.subscribe('#', { qos: 1 });
  await first.close();

  const second = await start({ access: policy }, directory);
  closing.reverse();
  await second.broker.publish('secret/1', { payload: Buffer.from('x'), qos: 1 });
  await second.broker.publish('open/1', { payload: Buffer.from('x'), qos: 1 });
  expect(second.broker.counters.dropped.notAuthorized).toBe(0);
  const again = await second.connect({ version: 5, clientId, username: 'guest', clean: false, properties });
  expect((await again.next('publish')).topic).toBe('open/1');
  expect(second.broker.counters.dropped.notAuthorized).toBe(0);
});

test('a will that the rules refuse keeps the client out; one that they refuse later is not published', async () => {
  const { broker, connect } = await start({ access: policy });
  const will = { topic: 'secret/will', payload: 'gone' };
  await expect(connect({ version: 5, will })).rejects.toThrow();
  const admin = await connect({ version: 5, username: 'admin' });
  await admin.subscribe('#', { qos: 1 });
  secrets.isOpen = true;
  const guest = await connect({ version: 5, will });
  secrets.isOpen = false;
  await guest.vanish();
  await expect.poll(() => broker.counters.dropped.willRefused).toBe(1);
  await admin.nothingElse();
});

const anyPassword: Hooks = { authenticate: () => ({ outcome: 'accept' }) };

test("another user's session can be neither resumed nor taken over", async () => {
  const { connect } = await start({ hooks: anyPassword });
  const clientId = unique('owned');
  const owner = await connect({ version: 5, clientId, username: 'owner', properties: { sessionExpiryInterval: 100 } });
  await expect(connect({ version: 5, clientId, username: 'thief' })).rejects.toThrow();
  await owner.nothingElse();
  await owner.vanish();
  await expect(connect({ version: 5, clientId, username: 'thief' })).rejects.toThrow();
  const back = await connect({ version: 5, clientId, username: 'owner', clean: false });
  expect(back.connack?.sessionPresent).toBe(true);
});

test('a connection ends when its credentials expire', async () => {
  const expiresAt = Date.now() + 300;
  const { connect } = await start({ hooks: { authenticate: () => ({ outcome: 'accept', expiresAt }) } });
  const client = await connect({ version: 5 });
  expect(await client.next('disconnect')).toMatchObject({ reasonCode: notAuthorized });
  expect(Date.now()).toBeGreaterThanOrEqual(expiresAt);
});

test('re-authentication brings new groups and a later end, but no other user', async () => {
  const seen: ClientIdentity[] = [];
  const access: AccessPolicy = {
    rightsOf(client) {
      seen.push(client);
      const isIn = client.groups.includes('late');
      return { publish: () => 0, will: () => 0, subscribe: (_, qos) => qos, receive: () => isIn };
    },
  };
  let username = 'a';
  const hooks: Hooks = {
    authenticate: ({ isReAuthentication }) => ({
      outcome: 'accept',
      username,
      groups: isReAuthentication ? ['late'] : [],
      expiresAt: Date.now() + (isReAuthentication ? 60_000 : 2_000),
    }),
  };
  const { broker, connect } = await start({ access, hooks });
  const client = await connect({ version: 5, properties: { authenticationMethod: 'any' } });
  await client.subscribe('x', { qos: 0 });
  await broker.publish('x', { payload: Buffer.from('before') });
  client.send({ cmd: 'auth', reasonCode: 0x19, properties: { authenticationMethod: 'any' } });
  expect(await client.next('auth')).toMatchObject({ reasonCode: 0 });
  await broker.publish('x', { payload: Buffer.from('after') });
  expect((await client.next('publish')).payload?.toString()).toBe('after');
  expect(seen.map(({ groups }) => groups)).toEqual([[], ['late']]);

  username = 'b';
  client.send({ cmd: 'auth', reasonCode: 0x19, properties: { authenticationMethod: 'any' } });
  expect(await client.next('disconnect')).toMatchObject({ reasonCode: notAuthorized });
});

describe('from the moment that rules have changed, nothing is sent that they forbid:', () => {
  const properties = { sessionExpiryInterval: 100 };
  const forbid = (broker: Broker) => {
    secrets.isOpen = false;
    broker.rulesChanged();
  };
  const publish = (broker: Broker, topic: string, qos: 1 | 2 = 1, retain = false) =>
    broker.publish(topic, { payload: Buffer.from('x'), qos, retain });

  /** A client with a full window: one message is under way to it, and what follows waits. */
  async function busy({ broker, connect }: Running, qos: 1 | 2, filter = '#'): Promise<WireClient> {
    secrets.isOpen = true;
    const clientId = unique('busy');
    const guest = await connect({ version: 5, clientId, properties: { ...properties, receiveMaximum: 1 } });
    await guest.subscribe(filter, { qos });
    await publish(broker, 'open/first', qos);
    return guest;
  }

  test('what waits in memory for a connected client', async () => {
    const running = await start({ access: policy });
    const guest = await busy(running, 1);
    const first = await guest.next('publish');
    await publish(running.broker, 'secret/1');
    await publish(running.broker, 'open/2');
    forbid(running.broker);
    await guest.acknowledge(first);
    expect((await guest.next('publish')).topic).toBe('open/2');
    expect(running.broker.counters.dropped.notAuthorized).toBe(1);
  });

  test('what waits on disk for a client that is away', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
    const { broker, connect } = await start({ access: policy }, directory);
    closing.push(async () => rmSync(directory, { recursive: true }));
    secrets.isOpen = true;
    const clientId = unique('away');
    const guest = await connect({ version: 5, clientId, properties });
    await guest.subscribe('#', { qos: 1 });
    await guest.disconnect(0, properties);
    await publish(broker, 'secret/1');
    await publish(broker, 'open/2');
    forbid(broker);
    const again = await connect({ version: 5, clientId, clean: false, properties });
    expect((await again.next('publish')).topic).toBe('open/2');
  });

  test.each([1, 2] as const)('what was under way when the connection was lost (QoS %i)', async (qos) => {
    const { broker, connect } = await start({ access: policy });
    secrets.isOpen = true;
    const clientId = unique('lost');
    const guest = await connect({ version: 5, clientId, properties });
    await guest.subscribe('#', { qos });
    await publish(broker, 'secret/1', qos);
    await guest.next('publish');
    await guest.vanish();
    await publish(broker, 'open/2', qos);
    forbid(broker);
    const again = await connect({ version: 5, clientId, clean: false, properties });
    // The client may have the message and the identifier: only the exchange goes on.
    if (qos === 2) expect((await again.next('pubrel')).messageId).toBe(1);
    expect((await again.next('publish')).topic).toBe('open/2');
    expect(broker.counters.dropped.notAuthorized).toBe(1);
  });

  test('a QoS 2 message whose identifier is on its way to the disk', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
    const { broker, connect } = await start({ access: policy }, directory);
    closing.push(async () => rmSync(directory, { recursive: true }));
    secrets.isOpen = true;
    const guest = await connect({ version: 5, properties: { ...properties, receiveMaximum: 1 } });
    await guest.subscribe('#', { qos: 2 });
    const stored = publish(broker, 'secret/1', 2);
    forbid(broker);
    await stored;
    await publish(broker, 'open/2', 2);
    // The withdrawn message has left its place in the window to the next one.
    expect((await guest.next('publish')).topic).toBe('open/2');
    expect(broker.counters.dropped.notAuthorized).toBe(1);
  });

  test('retained messages for a new subscription, of which some are still to be sent', async () => {
    const running = await start({ access: policy });
    const { broker, connect } = running;
    secrets.isOpen = true;
    await publish(broker, 'kept/1', 1, true);
    await publish(broker, 'secret/kept', 1, true);
    const guest = await connect({ version: 5, properties: { ...properties, receiveMaximum: 1 } });
    await guest.subscribe('kept/1', { qos: 1 });
    const first = await guest.next('publish');
    await guest.subscribe('secret/kept', { qos: 1 });
    forbid(broker);
    await guest.acknowledge(first);
    await guest.nothingElse();
  });

  test('what waits for a member of a shared subscription goes to no other member either', async () => {
    const running = await start({ access: policy });
    const { broker, connect } = running;
    const member = await busy(running, 1, '$share/g/#');
    await member.next('publish');
    await publish(broker, 'secret/1');
    await publish(broker, 'open/2');
    const other = await connect({ version: 5 });
    await other.subscribe('$share/g/#', { qos: 1 });
    forbid(broker);
    await member.vanish();
    // The first was under way, and its client is gone.
    const topics = (await other.collect('publish', 2)).map(({ topic }) => topic);
    expect(topics).toEqual(['open/first', 'open/2']);
    await other.nothingElse();
  });
});

test('a PUBLISH that waits for a hook is refused by rules that have changed meanwhile', async () => {
  let answer: (code: number) => void = () => {};
  const hooks: Hooks = { authorizePublish: () => new Promise((resolve) => (answer = resolve)) };
  const { broker, connect } = await start({ access: policy, hooks });
  secrets.isOpen = true;
  const seen: string[] = [];
  broker.subscribe('#', ({ topic }) => void seen.push(topic));
  const guest = await connect({ version: 5 });
  const puback = guest.publish('secret/1', 'x', { qos: 1 });
  const before = answer;
  await expect.poll(() => answer !== before).toBe(true);
  secrets.isOpen = false;
  broker.rulesChanged();
  answer(0);
  expect((await puback)?.reasonCode).toBe(notAuthorized);
  expect(seen).toEqual([]);
});

test('a will that waits for a hook is refused by rules that have changed meanwhile', async () => {
  const answers: ((code: number) => void)[] = [];
  const hooks: Hooks = { authorizePublish: () => new Promise((resolve) => answers.push(resolve)) };
  const { broker, connect } = await start({ access: policy, hooks });
  secrets.isOpen = true;
  const seen: string[] = [];
  broker.subscribe('#', ({ topic }) => void seen.push(topic));
  const dying = connect({ version: 5, will: { topic: 'secret/will', payload: 'x' } });
  await expect.poll(() => answers.length).toBe(1);
  answers[0]!(0);
  await (await dying).end();
  await expect.poll(() => answers.length).toBe(2);
  secrets.isOpen = false;
  broker.rulesChanged();
  answers[1]!(0);
  await expect.poll(() => broker.counters.dropped.willRefused).toBe(1);
  expect(seen).toEqual([]);
});

describe('a subscription that waits for a hook', () => {
  test('is refused by rules that have changed meanwhile', async () => {
    let answer: (code: number) => void = () => {};
    const hooks: Hooks = { authorizeSubscribe: () => new Promise((resolve) => (answer = resolve)) };
    const { broker, connect } = await start({ access: policy, hooks });
    secrets.isOpen = true;
    const guest = await connect({ version: 5 });
    const suback = guest.subscribe('secret/1', { qos: 1 });
    const before = answer;
    await expect.poll(() => answer !== before).toBe(true);
    secrets.isOpen = false;
    broker.rulesChanged();
    answer(1);
    expect((await suback).granted).toEqual([notAuthorized]);
  });

  test('is granted no more than the rules grant, whatever the hook says', async () => {
    const access: AccessPolicy = {
      rightsOf: (client) => ({ ...policy.rightsOf(client), subscribe: () => 0 }),
    };
    const { connect } = await start({ access, hooks: { authorizeSubscribe: () => 2 } });
    const guest = await connect({ version: 5 });
    expect((await guest.subscribe('a', { qos: 2 })).granted).toEqual([0]);
  });
});
