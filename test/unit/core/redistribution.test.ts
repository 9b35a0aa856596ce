/** What a member of a shared subscription leaves behind goes to the others in steps. */
import { expect, test } from 'vitest';
import type { Step } from '../../../src/base/scheduler.ts';
import { handleAck } from '../../../src/core/handlers/acknowledge.ts';
import { unsubscribe } from '../../../src/core/handlers/subscribe.ts';
import { end } from '../../../src/core/lifecycle.ts';
import type { Session } from '../../../src/core/session.ts';
import { Message } from '../../../src/protocol/message.ts';
import { PacketType } from '../../../src/protocol/packets.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { PagingStore, World } from '../../support/core-world.ts';

/** One member has a thousand messages that it has not answered; the other one has just come. */
function cutOff() {
  const world = new World({ inflight: 40_000 });
  const background: Step[] = [];
  world.core.sink.background = world.core.sink.storing = (step) => void background.push(step);
  const first = world.member('first', 1, '$share/s/a');
  for (let i = 0; i < 1_000; i++) world.publish(`${i}`);
  const second = world.member('second', 1, '$share/s/a');
  world.told.length = 0;
  return { world, first, second, background };
}

test('a thousand unanswered messages go to the others some at a time, in their order', () => {
  const { world, first, background } = cutOff();
  world.leave(first);
  let [before, steps] = [world.told.length, 0];
  expect(before).toBeLessThan(100);
  while (background[0]!()) {
    steps++;
    expect(world.told.length - before).toBeLessThan(100);
    before = world.told.length;
  }
  expect(steps).toBeGreaterThan(10);
  expect(world.told).toEqual(Array.from({ length: 1_000 }, (_, index) => `second gets ${index} by QoS 1`));
  expect(first.window.count).toBe(0);
});

test('a client that is back keeps what has not been passed on yet', () => {
  const { world, first, background } = cutOff();
  world.leave(first);
  const passed = world.told.length;
  world.connected('first');
  while (background[0]!());
  const sentAgain = world.told.filter((line) => line.startsWith('first gets')).length;
  expect([sentAgain, world.told.length]).toEqual([1_000 - passed, 1_000]);
});

test('what waits goes back to the client where all others have left meanwhile', () => {
  const { world, first, second, background } = cutOff();
  for (const packetId of [...first.window]) handleAck(world.core, first, PacketType.puback, packetId, 0);
  first.isCongested = true;
  second.isCongested = true;
  for (let i = 0; i < 400; i++) world.publish(`${i}`);
  second.isCongested = false;
  world.core.delivering.pump(second);
  world.told.length = 0;
  const waited = first.queue.length;
  world.leave(first);
  end(world.core, second, 'clean');
  for (const step of background) while (step());
  expect(world.told.filter((line) => line.includes('noSharedMember'))).toEqual([]);
  expect(first.queue.length).toBeGreaterThan(waited / 2);
});

/** One member has left, with a message of its own and 200 of the group that wait; the other one has just come. */
function leftWaiting(inMemory: boolean) {
  const world = new World({}, false, new PagingStore());
  const background: Step[] = [];
  world.core.sink.background = (step) => void background.push(step);
  const first = world.member('first', 1, 'b', '$share/s/a');
  first.isCongested = true;
  if (!inMemory) world.leave(first);
  world.core.distributor.publish(Message.of(Topic.of('b'), Buffer.from('own'), { qos: 1 }), null);
  for (let i = 0; i < 200; i++) world.publish(`${i}`);
  const second = world.member('second', 1, '$share/s/a');
  world.told.length = 0;
  return { world, first, second, background };
}

const ofTheGroup = Array.from({ length: 200 }, (_, index) => `second gets ${index} by QoS 1`);

test('a client that comes back while what waited for it is passed on gets nothing of that', () => {
  const { world, first, background } = leftWaiting(true);
  world.leave(first);

  world.connected('first');
  for (const step of background) while (step());

  expect(world.told.filter((line) => line.startsWith('second'))).toEqual(ofTheGroup);
  expect(world.told.filter((line) => line.startsWith('first'))).toEqual(['first gets own by QoS 1']);
  expect(first.queue.length).toBe(0);
});

test('what waits on disk is passed on some at a time, in its order', () => {
  const { world, first, background } = leftWaiting(false);
  end(world.core, first, 'clean');
  let before = world.told.length;
  for (const step of background) {
    for (let hasMore = true; hasMore; before = world.told.length) {
      hasMore = step();
      expect(world.told.length - before).toBeLessThan(40);
    }
  }

  expect(world.told.filter((line) => line.startsWith('second'))).toEqual(ofTheGroup);
});

/** Pages that are asked for arrive when the test says so. */
class LatePages extends PagingStore {
  readonly onTheWay: (() => void)[] = [];

  override readDeliveries(...page: Parameters<PagingStore['readDeliveries']>): void {
    this.onTheWay.push(() => super.readDeliveries(...page));
  }
}

/** One member is back, and has been sent 10 of 400 messages that waited, most on disk; the other one has just come. */
function isBack() {
  const store = new LatePages();
  const world = new World({ inflight: 10 }, false, store);
  const storing: Step[] = [];
  world.core.sink.storing = (step) => void storing.push(step);
  const first = world.member('first', 1, 'b', '$share/s/a');
  world.leave(first);
  for (let i = 0; i < 400; i++) world.publish(`${i}`);
  world.core.distributor.publish(Message.of(Topic.of('b'), Buffer.from('own'), { qos: 1 }), null);
  const second = world.member('second', 1, '$share/s/a');
  world.connected('first');
  return { world, store, storing, first, second };
}

const answerAll = ({ core }: World, session: Session) => {
  for (const packetId of [...session.window]) handleAck(core, session, PacketType.puback, packetId, 0);
};

/** Pages arrive, what is to be passed on is, and both clients answer what they get, until there is nothing more. */
function settle({ world, store, storing, first, second }: ReturnType<typeof isBack>): void {
  do {
    answerAll(world, first);
    answerAll(world, second);
    store.onTheWay.shift()?.();
    if (storing[0]?.() === false) storing.shift();
  } while (store.onTheWay.length + storing.length + first.window.count + second.window.count > 0);
}

const got = ({ told }: World, name: string) => told.filter((line) => line.startsWith(`${name} gets`));
const messages = (name: string, from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `${name} gets ${from + index} by QoS 1`);

test('a client that unsubscribes is read no page of what goes to the others, and then gets what is its own', () => {
  const all = isBack();
  unsubscribe(all.world.core, all.first, '$share/s/a');
  expect(all.first.queue.spilled).toBeGreaterThan(100);

  settle(all);

  expect(got(all.world, 'first')).toEqual([...messages('first', 0, 10), 'first gets own by QoS 1']);
  expect(got(all.world, 'second')).toEqual(messages('second', 10, 400));
});

test('a page that is on its way to a client that unsubscribes goes to the others', () => {
  const all = isBack();
  while (all.store.onTheWay.length === 0) answerAll(all.world, all.first);
  const sent = got(all.world, 'first').length;
  unsubscribe(all.world.core, all.first, '$share/s/a');

  settle(all);

  expect(got(all.world, 'first')).toEqual([...messages('first', 0, sent), 'first gets own by QoS 1']);
  expect(got(all.world, 'second')).toEqual(messages('second', sent, 400));
});
