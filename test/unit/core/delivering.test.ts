/** How the core gives messages to sessions, in cases that need no broker around it. */
import { expect, test, vi } from 'vitest';
import type { Step } from '../../../src/base/scheduler.ts';
import type { Resumable } from '../../../src/core/fan-out.ts';
import { handleAck } from '../../../src/core/handlers/acknowledge.ts';
import { subscribe, unsubscribe } from '../../../src/core/handlers/subscribe.ts';
import { end } from '../../../src/core/lifecycle.ts';
import { defaultStepSizes } from '../../../src/core/step-sizes.ts';
import { Message } from '../../../src/protocol/message.ts';
import { PacketType } from '../../../src/protocol/packets.ts';
import { parseFilter, Topic } from '../../../src/protocol/topic.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { PagingStore, start, World } from '../../support/core-world.ts';

/** A message waits for the only member of a shared subscription, which subscribes again; then there is another one. */
function subscribedAgain() {
  const world = new World();
  const first = world.member('first', 1, '$share/s/a');
  world.leave(first);
  world.publish('x');
  world.subscribe(first, 1, '$share/s/a');
  world.member('second', 1, '$share/s/a');
  return { world, first };
}

test('messages of the only member of a shared subscription go to a later one, also if it subscribed again [MQTT5 4.8.2]', () => {
  const { world, first } = subscribedAgain();
  end(world.core, first, 'expired');
  expect(world.told).toEqual(['second gets x by QoS 1']);
});

test('one that subscribed again and then unsubscribes leaves its messages to the others [MQTT5 4.8.2]', () => {
  const { world, first } = subscribedAgain();
  unsubscribe(world.core, first, '$share/s/a');
  expect(world.told).toEqual(['second gets x by QoS 1']);
});

test('a retained message whose form comes while the client is away waits in its queue', () => {
  const world = new World();
  world.core.distributor.publish(Message.of(Topic.of('a'), Buffer.from('x'), { qos: 1, retain: true }), null);
  const client = world.connected('client');
  let answer = () => {};
  world.renderVariant = (message, _class, done) => {
    answer = () => done(message);
  };
  world.subscribe(client, 1, 'a', false, 'some class');
  world.core.delivering.pump(client);
  world.leave(client);
  answer();
  world.connected('client');
  expect(world.told).toEqual(['client gets x by QoS 1']);
});

test('a message that expired while a hook or the disk kept it waiting goes to nobody, and is counted [MQTT5 3.3.2-5]', () => {
  const world = new World();
  world.member('client', 1, 'a');
  const message = Message.of(Topic.of('a'), Buffer.from('x'), { qos: 1 });
  message.expiresAt = start;
  world.core.distributor.publish(message, null);
  world.core.advance(start + 1);
  world.core.distributor.publish(message, null);
  expect(world.told).toEqual(['client gets x by QoS 1', 'dropped: expired']);
});

test('a message that is larger than a whole queue may be costs the queue nothing', () => {
  const world = new World({ queueBytes: 50 });
  world.leave(world.member('away', 1, 'a'));
  world.publish('x');
  world.publish('y'.repeat(100));
  world.connected('away');
  expect(world.told).toEqual(['dropped: queueFull', 'away gets x by QoS 1']);
});

test('of the small messages that a large one displaces, some go with each message that follows', () => {
  const world = new World({ queueBytes: 12_000 });
  const away = world.member('away', 1, 'a');
  world.leave(away);
  for (let i = 0; i < 3_000; i++) world.publish('x');
  expect(away.queue.length).toBe(3_000);
  world.publish('y'.repeat(11_000));
  expect([world.told.length, away.queue.length]).toEqual([1_000, 2_001]);
  expect(away.queue.bytes).toBeLessThan(12_000 + 11_004);
  for (let i = 0; i < 3; i++) world.publish('x');
  expect(away.queue.bytes).toBeLessThanOrEqual(12_000);
  expect(away.queue.length).toBe(250);
});

test('where there are several subscription identifiers, they count in a queue as well', async () => {
  const store = new MemoryStore();
  const world = new World({}, false, store);
  const away = world.member('away', 1);
  const options = {
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    subscriberClass: null,
  } as const;
  for (const [index, filter] of ['a', '+', '#', 'a/#'].entries()) {
    subscribe(world.core, away, filter, parseFilter(filter)!, { ...options, identifier: index + 1 });
  }
  world.leave(away);
  world.publish('x');
  const { size } = Message.of(Topic.of('a'), Buffer.from('x'));
  expect(away.queue.bytes).toBe(size + 3 * 4);
});

/** A client that takes two messages at a time has been sent, or is about to be, the last of three retained ones. */
function sentTheLast(forms: (() => void)[] | null) {
  const replayDone = vi.fn();
  class Store extends MemoryStore {
    override replayDone = replayDone;
  }
  const world = new World({ inflight: 2 }, false, new Store());
  const background: Step[] = [];
  world.core.sink.work = (_session, step) => void background.push(step);
  if (forms !== null) world.renderVariant = (message, _class, done) => void forms.push(() => done(message));
  const proceed = () => {
    for (let step = background.shift(); step !== undefined; step = background.shift()) while (step());
  };
  for (const topic of ['r/0', 'r/1', 'r/2']) {
    world.core.distributor.publish(Message.of(Topic.of(topic), Buffer.from(topic), { qos: 1, retain: true }), null);
  }
  const client = world.connected('client');
  world.subscribe(client, 1, 'r/#');
  world.core.delivering.beginReplays(client);
  for (proceed(); client.window.count < 2; proceed()) forms?.shift()?.();
  handleAck(world.core, client, PacketType.puback, 1, 0);
  proceed();
  return { world, client, replayDone, proceed };
}

test('a client that has been sent the last retained message for a subscription is owed none, though it leaves at once', () => {
  const { world, client, replayDone } = sentTheLast(null);
  world.leave(client);
  expect(world.told).toEqual(['client gets r/0 by QoS 1', 'client gets r/1 by QoS 1', 'client gets r/2 by QoS 1']);
  expect(replayDone).toHaveBeenCalledTimes(1);
});

test('a client that leaves while the last retained message gets its form is owed none once that waits for it', () => {
  const forms: (() => void)[] = [];
  const { world, client, replayDone, proceed } = sentTheLast(forms);
  world.leave(client);
  proceed();
  expect(replayDone).not.toHaveBeenCalled();
  forms.shift()!();
  proceed();
  expect(client.queue.length).toBe(1);
  expect(replayDone).toHaveBeenCalledTimes(1);
});

test('a retained message whose form comes while the client is about to come back is a new one in its queue', () => {
  const world = new World({}, true);
  world.leave(world.member('away', 1, 'a'));
  const retained = Message.of(Topic.of('a'), Buffer.from('x'), { qos: 1, retain: true });
  world.core.distributor.publish(retained, null);
  const late = world.connected('late');
  let answer = () => {};
  world.renderVariant = (message, _class, done) => {
    answer = () => done(message);
  };
  world.subscribe(late, 0, 'a', false, 'some class');
  world.core.delivering.pump(late);
  world.leave(late);
  world.connecting('late');
  answer();
  // Its number is above all that were given before: the store may have done with those.
  expect(world.store.stored).toEqual([
    [1, 1],
    [2, 2],
  ]);
});

test('who may not read any more is not given the rest of a message that goes to some at a time', () => {
  const world = new World();
  Object.defineProperty(world.core.distributor, 'stepSizes', { value: { ...defaultStepSizes, copies: 2 } });
  const [, , last] = ['a', 'b', 'c'].map((clientId) => world.member(clientId, 0, 't'));
  const rest = world.core.distributor.publish(Message.of(Topic.of('t'), Buffer.from('x')), null) as Resumable;

  expect(rest.step()).toBe(true);
  last!.rights = { receive: () => false } as never;
  expect(rest.step()).toBe(false);
  expect(world.told).toEqual(['a gets x by QoS 0', 'b gets x by QoS 0', 'dropped: notAuthorized']);
});

test('with queuePolicy reject, only the copy of the full session is dropped, and it is counted once', () => {
  const world = new World({ queuePolicy: 'reject', queueMessages: 1 });
  world.leave(world.member('away', 1, 'a'));
  world.member('here', 1, 'a');
  world.publish('1');
  world.publish('2');
  expect(world.told).toEqual(['here gets 1 by QoS 1', 'dropped: queueFull', 'here gets 2 by QoS 1']);
});

test('a message that cannot be retained any more goes out, and is counted as not retained', () => {
  const world = new World({ retainedMessages: 0 });
  world.member('here', 1, 'a');
  world.core.distributor.publish(Message.of(Topic.of('a'), Buffer.from('x'), { qos: 1, retain: true }), null);
  expect(world.told).toEqual(['dropped: retainedLimit', 'here gets x by QoS 1']);
  expect(world.core.retained.count).toBe(0);
});

test('messages under $SYS that expire make no room for clients, nor take any', () => {
  const world = new World({ retainedMessages: 1 });
  const own = Message.of(Topic.of('$SYS/a'), Buffer.from('x'), { retain: true });
  own.expiresAt = world.core.now;
  world.core.distributor.publish(own, null);
  world.core.retention.sweep();
  for (const name of ['a', 'b']) {
    world.core.distributor.publish(Message.of(Topic.of(name), Buffer.from('x'), { retain: true }), null);
  }
  expect(world.told).toEqual(['dropped: expired', 'dropped: retainedLimit']);
  expect(world.core.retained.count).toBe(1);
});

test.each([1, 2] as const)(
  'a message that is never answered keeps nobody from getting the others, and comes again after a reconnect, though identifiers have come round: QoS %i [MQTT-4.4.0-1]',
  (qos) => {
    const world = new World({ inflight: 2 });
    const session = world.member('stubborn', qos, 'a');
    world.publish('stuck', qos);
    const answers = qos === 1 ? [PacketType.puback] : [PacketType.pubrec, PacketType.pubcomp];
    for (let i = 2; i <= 70_000; i++) {
      world.publish(`${i}`, qos);
      const newest = [...session.window].at(-1)!;
      for (const type of answers) handleAck(world.core, session, type, newest, 0);
    }
    expect(world.told).toContain(`stubborn gets 70000 by QoS ${qos}`);
    world.leave(session);
    world.told.length = 0;
    world.connected('stubborn');
    expect(world.told).toEqual([`stubborn gets stuck by QoS ${qos}`]);
    world.publish('next', qos);
    expect(world.told.at(-1)).toBe(`stubborn gets next by QoS ${qos}`);
  },
);

test('while the store cannot be told how far identifiers have got, they stop in time, and go on when it can', () => {
  const world = new World({ inflight: 10 });
  const session = world.member('c', 1, 'a');
  const send = (count: number) => {
    for (let i = 0; i < count; i++) {
      world.publish('x');
      const [oldest] = session.window;
      if (oldest !== undefined) handleAck(world.core, session, PacketType.puback, oldest, 0);
    }
  };
  world.waiting = [];
  send(10_000);
  expect(world.told.length).toBe(8_192);
  const waiting = world.waiting;
  world.waiting = null;
  for (const callback of waiting) callback();
  while (session.window.count > 0) handleAck(world.core, session, PacketType.puback, [...session.window][0]!, 0);
  expect(world.told.length).toBe(10_000);
});

test('what has expired on disk is dropped in steps, without being read', () => {
  const store = new PagingStore();
  const world = new World({}, false, store);
  const first = world.member('first', 1, 'a');
  world.leave(first);
  for (let i = 0; i < 200; i++) world.publish(`${i}`, 1, start + 1_000);
  world.publish('stays');
  const work: (() => boolean)[] = [];
  world.core.sink.work = (_session, step) => void work.push(step);
  const read = vi.spyOn(store, 'readDeliveries');
  world.told.length = 0;
  world.core.advance(start + 2_000);

  world.connected('first');
  expect(world.told.length).toBe(0);
  for (let before = 0; work[0]!(); before = world.told.length) {
    expect(world.told.length - before).toBeLessThan(100);
    expect(read).not.toHaveBeenCalled();
  }
  work[1]!();

  expect(world.told).toEqual([...Array(200).fill('dropped: expired'), 'first gets stays by QoS 1']);
  expect(first.queue.length).toBe(0);
});
