/**
 * What the simulation found once (docs/measurements/simulation.md), each as the few steps that it takes: by the core,
 * else over sockets.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Broker } from '../../../src/broker/broker.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import type { ByteReceiver, ByteStream } from '../../../src/contracts/transport.ts';
import { handleAck } from '../../../src/core/handlers/acknowledge.ts';
import { ready, restore } from '../../../src/core/lifecycle.ts';
import { createBroker, type SluiceBroker } from '../../../src/index.ts';
import { Message } from '../../../src/protocol/message.ts';
import { PacketType } from '../../../src/protocol/packets.ts';
import { ReasonCode } from '../../../src/protocol/reason-codes.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { RecordingStore, start, World } from '../../support/core-world.ts';
import { Rounds, timeless } from '../../support/rounds.ts';
import { wire } from '../../support/wire.ts';
import { type ConnectOptions, type Received, WireClient } from '../../support/wire-client.ts';

test('a message for a shared subscription whose members are all away goes to one for which it is kept [MQTT5 4.8.2]', () => {
  const world = new World();
  world.leave(world.member('unkept', 0, '$share/s/a'), world.member('kept', 1, '$share/s/a'));
  world.publish('x');
  world.publish('y');
  world.connected('unkept');
  world.connected('kept');
  expect(world.told).toEqual(['kept gets x by QoS 1', 'kept gets y by QoS 1']);
});

test('a session that ended with its connection has no queue that could keep out the wills of others after a restart', () => {
  const world = new World();
  const there: (string | undefined)[] = [];
  world.core.sink.publishWill = () => there.push(world.core.directory.get('ended')?.clientId);
  const message = Message.of(Topic.of('a'), Buffer.from('gone'), { qos: 1 });
  const nothing = { subscriptions: [], sendings: [], received: [], backlog: { messages: 0, bytes: 0 } };
  const last = { protocolVersion: 5, disconnectedAt: null, identity: null, progress: null } as const;
  const dying = { sid: 1, clientId: 'dying', expirySeconds: 100, will: { message, delaySeconds: 0 }, ...last };
  const ended = { sid: 2, clientId: 'ended', expirySeconds: 0, will: null, ...last };
  const sessions = [dying, ended].map((session) => ({ session, ...nothing }));
  restore(world.core, { sessions, retained: [], wills: [], notes: new Map(), lastMessageId: 0 });
  world.core.advance(start + 20_000);
  expect(there).toEqual([undefined]);
});

test('a will that was on its way at a crash goes before the one that its client left next [MQTT5 3.1.2-8]', () => {
  const world = new World();
  const will = (payload: string) => {
    return { message: Message.of(Topic.of('a'), Buffer.from(payload), { qos: 1 }), delaySeconds: 0 };
  };
  const client = { clientId: 'c', protocolVersion: 5, identity: null } as const;
  const nothing = { subscriptions: [], sendings: [], received: [], backlog: { messages: 0, bytes: 0 } };
  const session = { sid: 1, ...client, expirySeconds: 100, disconnectedAt: null, progress: null, will: will('next') };
  const wills = [{ number: 1, ...client, dueAt: start - 1, will: will('first') }];
  restore(world.core, { sessions: [{ session, ...nothing }], retained: [], wills, notes: new Map(), lastMessageId: 1 });
  world.connected('c');
  const before = [...world.told];
  world.core.advance(start + 20_000);
  expect([before, world.told]).toEqual([['will first'], ['will first']]);
});

test('an expired message is not handed on to another member of a shared subscription [MQTT5 3.3.2-5]', () => {
  const world = new World();
  const first = world.member('first', 1, '$share/s/a');
  world.member('second', 1, '$share/s/a');
  world.publish('x', 1, start + 1_000);
  world.core.advance(start + 1_000);
  world.leave(first);
  expect(world.told).toEqual(['first gets x by QoS 1', 'dropped: expired']);
});

test('with queueQoS0, messages kept for an absent client come before those that follow [MQTT5 4.6.0-6]', () => {
  const world = new World({ inflight: 1 }, true);
  const session = world.member('c', 1, 'a');
  world.publish('0', 1);
  world.leave(session);
  world.publish('1', 0);
  world.connected('c');
  world.publish('2', 0);
  handleAck(world.core, session, PacketType.puback, 1, ReasonCode.Success);
  const sent = [0, 0, 1, 2].map((number) => `c gets ${number} by QoS ${number === 0 ? 1 : 0}`);
  expect(world.told).toEqual(sent);
});

test('a session that comes back is sent nothing before its CONNACK [MQTT5 3.2.0-1]', () => {
  const world = new World();
  world.leave(world.member('c', 1, 'a'));
  const session = world.connecting('c');
  world.publish('by QoS 0', 0);
  world.publish('x', 1);
  expect(world.told).toEqual([]);
  ready(world.core, session);
  expect(world.told).toEqual(['c gets x by QoS 1']);
});

test('the copies by a plain and a shared subscription of one session have numbers of their own', () => {
  const world = new World();
  const session = world.member('c', 1, 'a', '$share/s/a');
  world.publish('x');
  const ids = [...session.window].map((packetId) => session.window.delivery(packetId)!.message.id);
  expect(world.told).toEqual(['c gets x by QoS 1', 'c gets x by QoS 1']);
  expect(new Set(ids).size).toBe(2);
});

test('a will that is published after its delay does not renew the time at which its client left', () => {
  const world = new World();
  const message = Message.of(Topic.of('will'), Buffer.from('gone'));
  const session = world.connecting('c', undefined, { message, delaySeconds: 5 });
  ready(world.core, session);
  world.leave(session);
  world.core.advance(start + 6_000);
  expect(world.told).toEqual(['will gone']);
  expect(world.store.leftAt).toEqual([null, start]);
});

test('what is sent again keeps to a Maximum Packet Size that has become smaller [MQTT5 3.1.2-24]', () => {
  const world = new World();
  const session = world.member('c', 2, 'a');
  world.publish('too large', 1);
  world.publish('large too', 2);
  world.publish('small', 1);
  world.leave(session);
  world.told.length = 0;
  world.connected('c', 10);
  // The identifier of QoS 2 is released: the client may have had the message.
  expect(world.told).toEqual([
    'dropped: packetTooLarge',
    `c gets ${PacketType.pubrel} for 2`,
    'dropped: packetTooLarge',
    'c gets small by QoS 1',
  ]);
});

test('queuePolicy reject: queueBytes holds for sessions whose clients are away, too', () => {
  const world = new World({ queuePolicy: 'reject', queueBytes: 15 });
  world.leave(world.member('c', 1, 'a'));
  expect(world.publishOrRefuse('12345678')).toBe(ReasonCode.Success);
  expect(world.publishOrRefuse('12345678')).toBe(ReasonCode.QuotaExceeded);
  expect(world.told).toEqual(['dropped: queueFull']);
});

test('queuePolicy reject: a full queue of the publisher itself counts only if its message would go there', () => {
  const world = new World({ queuePolicy: 'reject', queueMessages: 1, inflight: 1 });
  const publisher = world.member('publisher', 1, 'a');
  expect([world.publish('1'), world.publish('2')]).toEqual([ReasonCode.Success, ReasonCode.Success]);
  const publish = () => world.publishOrRefuse('3', publisher);
  expect(publish()).toBe(ReasonCode.QuotaExceeded);
  world.subscribe(publisher, 1, 'a', true);
  expect(publish()).toBe(ReasonCode.NoMatchingSubscribers);
  world.subscribe(publisher, 0, '+');
  expect(publish()).toBe(ReasonCode.Success);
});

test('queuePolicy reject: a shared subscription whose members all have full queues refuses, and one with room takes', () => {
  const world = new World({ queuePolicy: 'reject', queueMessages: 1 });
  world.leave(world.member('first', 1, '$share/s/a'), world.member('second', 1, '$share/s/a'));
  expect([world.publish('1'), world.publish('2')]).toEqual([ReasonCode.Success, ReasonCode.Success]);
  expect(world.publishOrRefuse('3')).toBe(ReasonCode.QuotaExceeded);
  world.connected('first');
  expect(world.told).toEqual(['dropped: queueFull', 'first gets 1 by QoS 1']);
});

test('a shared subscription gives to a member whose queue has room before one whose queue is full', () => {
  const world = new World({ queueMessages: 1 });
  world.leave(world.member('full', 1, '$share/s/a'), world.member('other', 1, '$share/s/a'));
  world.publish('1');
  world.publish('2');
  world.connected('other');
  world.leave(world.core.directory.get('other')!);
  world.publish('3');
  world.connected('other');
  expect(world.told).toEqual([2, 2, 3].map((number) => `other gets ${number} by QoS 1`));
});

/** Runs `steps` against a broker on a directory of its own, which `restart` closes and starts again. */
async function onDisk(limits: object, steps: (connect: Connect, restart: () => Promise<void>) => Promise<void>) {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-found-'));
  const store = { kind: 'level', directory } as const;
  const config = { listeners: [{ kind: 'tcp' as const, port: 0 }], log: { level: 'silent' as const }, store, limits };
  let broker: SluiceBroker = await createBroker({ config });
  const restart = async () => {
    await broker.close();
    broker = await createBroker({ config });
  };
  const port = () => broker.listeners[0]!.port;
  try {
    await steps((options) => WireClient.connect(port(), { version: 5, clean: false, ...options }), restart);
  } finally {
    await broker.close();
    await rm(directory, { recursive: true });
  }
}
type Connect = (options: ConnectOptions) => Promise<WireClient>;

const subscriber = { clientId: 'subscriber', properties: { sessionExpiryInterval: 1_000 } };
const seen = ({ payload, dup }: Received) => [payload?.toString(), dup];

test('what was in flight at an orderly stop keeps its DUP flag to itself [MQTT5 3.3.1-1]', () =>
  onDisk({ inflight: 1, queueMessages: 1 }, async (connect, restart) => {
    const before = await connect(subscriber);
    await before.subscribe('a', { qos: 1 });
    await (await connect({})).publish('a', 'sent', { qos: 1 });
    await before.next('publish');
    await restart();
    await (await connect({})).publish('a', 'never sent', { qos: 1 });
    const after = await connect(subscriber);
    const first = await after.next('publish');
    expect(seen(first)).toEqual(['sent', true]);
    await after.acknowledge(first);
    expect(seen(await after.next('publish'))).toEqual(['never sent', false]);
  }));

test('messages that waited for the same commit are written as far as the client takes them, and the others then', () => {
  const world = new World();
  const session = world.member('c', 2, 'a');
  world.waiting = [];
  for (const number of [1, 2, 3]) world.publish(String(number), 2);
  session.isCongested = true;
  for (const callback of world.waiting.splice(0)) callback();
  world.publish('4', 2);
  expect(world.told).toEqual([]);
  session.isCongested = false;
  world.core.delivering.pump(session);
  for (const callback of world.waiting.splice(0)) callback();
  expect(world.told).toEqual([1, 2, 3, 4].map((number) => `c gets ${number} by QoS 2`));
});

test('what was held back for a client that did not read comes again with the others when it is back', () => {
  const world = new World();
  const session = world.member('c', 2, 'a');
  world.waiting = [];
  for (const number of [1, 2]) world.publish(String(number), 2);
  session.isCongested = true;
  for (const callback of world.waiting.splice(0)) callback();
  world.leave(session);
  world.connected('c');
  expect(world.told).toEqual([1, 2].map((number) => `c gets ${number} by QoS 2`));
});

test('a session that comes back with expiry 0 gets its old queue from the disk, then what follows', () =>
  onDisk({}, async (connect) => {
    const before = await connect(subscriber);
    await before.subscribe('a', { qos: 1 });
    await before.disconnect();
    const publisher = await connect({});
    // More than the broker reads ahead, so that some of it is on the disk only when another one comes.
    const rest = '.'.repeat(200_000);
    for (let number = 1; number <= 6; number++) await publisher.publish('a', number + rest, { qos: 1 });
    const after = await connect({ ...subscriber, properties: { sessionExpiryInterval: 0, receiveMaximum: 1 } });
    await publisher.publish('a', '7', { qos: 1 });
    for (let number = 1; number <= 7; number++) {
      const packet = await after.next('publish');
      expect(packet.payload?.toString()[0]).toBe(String(number));
      await after.acknowledge(packet);
    }
  }));

test('the time at which the last clients are left is the time after the last commit', async () => {
  let now = start;
  let isDurable = true;
  /** Commits take ten seconds. */
  class SlowStore extends RecordingStore {
    override commit(done: () => void): void {
      now += 10_000;
      isDurable = true;
      done();
    }
  }
  const store = new SlowStore();
  Object.defineProperty(store, 'isDurable', { get: () => isDurable });
  const broker = new Broker({
    scheduler: timeless(),
    settings: { ...defaultSettings, sysIntervalSeconds: 0 },
    store,
    log: silentLog,
    clock: { now: () => now },
    timers: { after: () => {}, every: () => () => {} },
  });
  let receiver: ByteReceiver | null = null;
  const close = () => receiver!.onClose(null);
  const stream: ByteStream = {
    kind: 'tcp',
    remoteAddress: '127.0.0.1:50000',
    certificate: null,
    pendingBytes: 0,
    write: () => {},
    pause: () => {},
    resume: () => {},
    end: close,
    destroy: close,
  };
  receiver = broker.accept(stream, 'mqtt://127.0.0.1:1883')!;
  // Not clean: the session stays.
  const bytes = wire`10 { 'MQTT' 04 00 0000 'c' }`;
  receiver.onBytes(Buffer.from(bytes), 0, bytes.length);
  isDurable = false;
  await broker.close();
  expect(store.leftAt).toEqual([null, start + 10_000]);
});

test('a client that says DISCONNECT late in a round is gone from then on, and not from the beginning of the round', () => {
  let now = start;
  const rounds = new Rounds();
  const store = new RecordingStore();
  const broker = new Broker({
    scheduler: rounds.scheduler,
    settings: { ...defaultSettings, sysIntervalSeconds: 0 },
    store,
    log: silentLog,
    clock: { now: () => now },
    timers: { after: () => {}, every: () => () => {} },
  });
  const open = (): ByteReceiver => {
    let receiver: ByteReceiver | null = null;
    const close = () => receiver!.onClose(null);
    const stream: ByteStream = {
      ...{ kind: 'tcp', remoteAddress: '127.0.0.1:50000', certificate: null, pendingBytes: 0 },
      ...{ write() {}, pause() {}, resume() {}, end: close, destroy: close },
    };
    receiver = broker.accept(stream, 'mqtt://127.0.0.1:1883')!;
    return receiver;
  };
  const send = (to: ByteReceiver, bytes: Buffer) => to.onBytes(bytes, 0, bytes.length);
  const [leaving, other] = [open(), open()];
  send(leaving, Buffer.from(wire`10 { 'MQTT' 04 00 0000 'c' }`));
  send(other, Buffer.from(wire`10 { 'MQTT' 04 02 0000 'd' }`));
  rounds.rest();
  now += 1_000;
  send(other, Buffer.from(wire`c0 { }`));
  now += 50;
  send(leaving, Buffer.from(wire`e0 { }`));
  rounds.rest();
  expect(store.leftAt).toEqual([null, start + 1_050]);
});
