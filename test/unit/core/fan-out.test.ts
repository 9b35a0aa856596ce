/** A message for very many: given in steps, committed as one. */
import { describe, expect, test, vi } from 'vitest';
import type { ChangeSet, StoredDelivery, StoredSending } from '../../../src/contracts/session-store.ts';
import { Publication, type Resumable } from '../../../src/core/fan-out.ts';
import { handleAck } from '../../../src/core/handlers/acknowledge.ts';
import { answerPublish, handlePublish } from '../../../src/core/handlers/publish.ts';
import { end } from '../../../src/core/lifecycle.ts';
import { Message } from '../../../src/protocol/message.ts';
import { PacketType, type QoS } from '../../../src/protocol/packets.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { World } from '../../support/core-world.ts';

/** Notes what was put, and in which set of changes. */
class SetStore extends MemoryStore {
  override readonly outlivesProcess: boolean = true;
  readonly log: string[] = [];
  readonly messageIds = new Set<number>();
  #sets = 0;

  override newChangeSet(): ChangeSet {
    return { isEmpty: false, ...{ name: `set ${++this.#sets}` } };
  }

  #note(what: string, changes: ChangeSet | null | undefined): void {
    this.log.push(`${what} in ${(changes as { name?: string } | null)?.name ?? 'what is staged'}`);
  }

  override putDelivery(sid?: number, delivery?: StoredDelivery, changes?: ChangeSet | null): void {
    this.messageIds.add(delivery!.message.id);
    this.#note(`message for ${sid}`, changes);
  }

  override putSending(sid?: number, _?: StoredSending, changes?: ChangeSet | null): void {
    this.#note(`identifier for ${sid}`, changes);
  }

  override join(changes?: ChangeSet): void {
    this.log.push(`${(changes as unknown as { name: string }).name} joins`);
  }

  override putReceived(): void {
    this.log.push('identifier of the publisher in what is staged');
  }
}

function worldOf(filter: string, count: number, qos: QoS, limits = {}) {
  const store = new SetStore();
  const world = new World(limits, false, store);
  Object.defineProperty(world.core.distributor, 'stepSizes', {
    value: { copies: 1, storedCopies: 2, subscriptions: 1_000 },
  });
  const publisher = world.connected('publisher');
  const sessions = Array.from({ length: count }, (_, index) =>
    world.member(`${index}`, qos, filter.replace('N', `${index}`)),
  );
  const publish = (publishedQoS: QoS) => {
    const message = Message.of(Topic.of('a'), Buffer.from('x'), { qos: publishedQoS });
    return handlePublish(world.core, publisher, message, 7)!;
  };
  return { world, store, publisher, sessions, publish };
}

/** How many steps it takes. */
function finish(fanOut: Resumable): number {
  let steps = 1;
  while (fanOut.step()) steps++;
  return steps;
}

test.each(['a', '$share/N/a'])(
  'a QoS 1 message to %s is given in steps, joins what is staged in one, and is answered then',
  (filter) => {
    const { world, store, publish } = worldOf(filter, 5, 1);
    const fanOut = publish(1);
    expect(world.told).toEqual([]);

    expect(fanOut.step()).toBe(true);
    expect(world.told).toEqual(['0 gets x by QoS 1', '1 gets x by QoS 1']);
    expect(finish(fanOut)).toBe(2);
    expect(world.told.at(-1)).toBe(`publisher gets ${PacketType.puback} for 7`);
    const inSet = store.log.filter((line) => line.endsWith('in set 1'));
    expect([inSet.length, store.log.at(-1)]).toEqual([5, 'set 1 joins']);
    expect(store.messageIds.size).toBe(1);
  },
);

test('what one PUBLISH became is committed as one, with the identifier of the publisher [MQTT5 4.3.3]', () => {
  const { world, store, publisher } = worldOf('a', 2, 1);
  const part = (payload: string) => Message.of(Topic.of('a'), Buffer.from(payload), { qos: 2 });
  const messages = ['x', 'y', 'z'].map((payload) => ({ message: part(payload), forms: null }));
  const { staged } = world.core.store;
  const done = (code: number) => answerPublish(world.core, publisher, 2, 7, code, staged);
  const publication = new Publication(world.core.distributor, messages, publisher, done);
  let steps = 1;
  while (publication.step()) steps++;

  expect(steps).toBeGreaterThan(2);
  expect(store.log.slice(-2)).toEqual(['set 1 joins', 'identifier of the publisher in what is staged']);
  expect(store.log.filter((line) => /^message for \d+ in set 1$/.test(line))).toHaveLength(6);
});

test('QoS 2 is sent once all of it is stored, and the publisher is remembered then [MQTT5 4.3.3]', () => {
  const { world, store, publish } = worldOf('a', 4, 2);
  world.waiting = [];
  expect(finish(publish(2))).toBe(2);
  expect(store.log.slice(-2)).toEqual(['set 1 joins', 'identifier of the publisher in what is staged']);
  expect(store.log.filter((line) => /^identifier for \d+ in set 1$/.test(line))).toHaveLength(4);
  expect(world.told).toEqual([`publisher gets ${PacketType.pubrec} for 7`]);
  for (const callback of world.waiting) callback();
  expect(world.told.slice(1)).toEqual(['0', '1', '2', '3'].map((name) => `${name} gets x by QoS 2`));
});

test('to a client that comes back, QoS 2 goes once all of it is stored, and was not sent before [MQTT5 4.4.0-1]', () => {
  const { world, sessions, publish } = worldOf('a', 4, 2);
  const [first] = sessions;
  world.waiting = [];
  const fanOut = publish(2);
  fanOut.step();
  world.leave(first!);
  world.connected(first!.clientId);
  const storedThen = world.waiting.splice(0);
  for (const callback of storedThen) callback();
  expect(world.told).not.toContain('0 gets x by QoS 2');

  finish(fanOut);
  world.leave(first!);
  world.connected(first!.clientId);
  expect(world.told).not.toContain('0 gets x by QoS 2');
  for (const callback of world.waiting.splice(0)) callback();

  expect(world.told.filter((line) => line.startsWith('0 gets x'))).toEqual(['0 gets x by QoS 2']);
});

test('a delivery that is sent from a queue before the others are given waits for them all the same', () => {
  const { world, store, sessions, publish } = worldOf('a', 4, 2);
  const [first] = sessions;
  const before = Message.of(Topic.of('a'), Buffer.from('before'), { qos: 2 });
  for (const session of sessions) world.core.delivering.deliver(session, before, 2, false, null, null);
  first!.window.resume(1);
  handleAck(world.core, first!, PacketType.pubrec, 1, 0);
  store.log.length = 0;
  const fanOut = publish(2);
  fanOut.step();
  expect(store.log.filter((line) => line.startsWith('identifier'))).toEqual([
    `identifier for ${sessions[1]!.sid} in set 1`,
  ]);
  // The client makes room.
  first!.window.resume(1_000);
  while (first!.window.hasResends) first!.window.nextResend();
  world.core.delivering.pump(first!);
  expect(store.log.at(-1)).toBe(`identifier for ${first!.sid} in set 1`);
  expect(world.told).not.toContain('0 gets x by QoS 2');
  finish(fanOut);
  expect(world.told).toContain('0 gets x by QoS 2');
});

test('a session that has ended before its step gets nothing', () => {
  const { world, store, sessions, publish } = worldOf('a', 5, 1);
  const fanOut = publish(1);
  world.leave(sessions[0]!);
  end(world.core, sessions[0]!, 'expired');
  finish(fanOut);
  expect(store.log.filter((line) => line.startsWith(`message for ${sessions[0]!.sid} `))).toEqual([]);
});

test('sessions that had a later message in between share one copy with a number of its own', () => {
  const { world, store, publish } = worldOf('a', 6, 1);
  const fanOut = publish(1);
  fanOut.step();
  finish(world.core.distributor.publish(Message.of(Topic.of('a'), Buffer.from('y'), { qos: 1 }), null) as Resumable);
  finish(fanOut);
  // x for the first two, y, and x for two at a time.
  expect(store.messageIds.size).toBe(4);
});

test('what a client without a stored session leaves to another one is committed with the rest [MQTT5 4.3.3]', () => {
  const { world, store, sessions, publish } = worldOf('$share/N/a', 4, 1);
  const [first, , , last] = sessions;
  Object.assign(first!, { isPersistent: false, expirySeconds: 0 });
  world.subscribe(last!, 1, '$share/0/a');
  const fanOut = publish(1);
  fanOut.step();
  expect(world.told).toContain('0 gets x by QoS 1');

  world.leave(first!);
  expect(world.told).toContain('3 gets x by QoS 1');
  finish(fanOut);

  const stored = store.log.filter((line) => line.startsWith('message'));
  expect(stored).toHaveLength(4);
  expect(stored.filter((line) => !line.endsWith('in set 1'))).toEqual([]);
});

test('where the rules come to forbid it to all members of a shared subscription, that is a drop and is counted', () => {
  const { world, sessions, publish } = worldOf('$share/N/a', 4, 1);
  const fanOut = publish(1);
  fanOut.step();
  for (const session of sessions.slice(2)) Object.assign(session, { rights: { receive: () => false } });
  world.core.delivering.rightsChanges++;
  finish(fanOut);

  expect(world.told.filter((line) => line.startsWith('dropped'))).toEqual(Array(2).fill('dropped: notAuthorized'));
});

test('several messages are published in their order, and what follows comes after the last', () => {
  const { world } = worldOf('a', 3, 1);
  const messages = ['x', 'y', 'z'].map((payload) => ({
    message: Message.of(Topic.of('a'), Buffer.from(payload), { qos: 1 as const }),
    forms: null,
  }));
  let result = -1;
  const publication = new Publication(world.core.distributor, messages, null, (code) => {
    result = code;
  });
  expect(publication.step()).toBe(true);
  while (publication.step()) expect(result).toBe(-1);
  expect(result).toBe(0);
  expect(world.told.map((line) => line.split(' ')[2])).toEqual([...'xxxyyyzzz']);
});

test('the route of each message is found in steps where that is long', () => {
  const { world } = worldOf('a', 1, 0);
  const many = world.connected('many');
  for (let i = 0; i < 10_000; i++) world.subscribe(many, 0, `$share/g${i}/b`);
  const message = Message.of(Topic.of('b'), Buffer.from('x'), { qos: 0 });
  const route = vi.spyOn(world.core.router, 'route');
  const publication = new Publication(world.core.distributor, [{ message, forms: null }], null, () => {});

  expect(publication.step()).toBe(true);
  expect(publication.step()).toBe(true);
  expect(route).not.toHaveBeenCalled();
  while (publication.step());

  expect(world.told.filter((line) => line === 'many gets x by QoS 0')).toHaveLength(10_000);
});

test('very many messages are published some at a time, and answered after the last', () => {
  const world = new World();
  world.member('one', 1, 'a');
  const publisher = world.connected('publisher');
  const messages = Array.from({ length: 1_000 }, (_, i) => ({
    message: Message.of(Topic.of('a'), Buffer.from(`${i}`), { qos: 1 }),
    forms: null,
  }));
  const { staged } = world.core.store;
  const done = (code: number) => answerPublish(world.core, publisher, 1, 7, code, staged);
  const fanOut = new Publication(world.core.distributor, messages, publisher, done, { whenFull: 'refuse' });
  expect(fanOut.step()).toBe(true);
  const gotten = () => world.told.filter((line) => line.startsWith('one gets'));
  let most = gotten().length;
  for (let before = most, isLeft = true; isLeft; before = gotten().length) {
    isLeft = fanOut.step();
    most = Math.max(most, gotten().length - before);
  }
  expect(gotten()).toEqual(messages.map((_, i) => `one gets ${i} by QoS 1`));
  expect(most).toBeLessThan(32);
  expect(world.told.at(-1)).toBe(`publisher gets ${PacketType.puback} for 7`);
});

describe('queuePolicy reject, where a message is for very many', () => {
  function rejecting(count: number) {
    const world = new World({ queuePolicy: 'reject', queueMessages: 1 });
    const publisher = world.connected('publisher');
    const sessions = Array.from({ length: count }, (_, i) => world.member(`${i}`, 1, 'a'));
    world.leave(...sessions);
    const looks = vi.fn<() => void>();
    for (const { queue } of sessions) {
      const hasMemoryFor = queue.hasMemoryFor.bind(queue);
      queue.hasMemoryFor = (bytes) => {
        looks();
        return hasMemoryFor(bytes);
      };
    }
    const publish = () => {
      const message = Message.of(Topic.of('a'), Buffer.from('x'), { qos: 1 });
      const done = (code: number) => answerPublish(world.core, publisher, 1, 7, code, world.core.store.staged);
      const publication = new Publication(world.core.distributor, [{ message, forms: null }], publisher, done, {
        whenFull: 'refuse',
      });
      expect(publication.step()).toBe(true);
      return publication;
    };
    return { world, sessions, looks, publish };
  }

  test('their queues are looked at some at a time, before any of them gets it', () => {
    const { world, sessions, looks, publish } = rejecting(1_000);
    const publication = publish();
    expect(looks.mock.calls.length).toBeLessThan(200);
    expect(sessions.every(({ queue }) => queue.length === 0)).toBe(true);
    finish(publication);
    expect(sessions.every(({ queue }) => queue.length === 1)).toBe(true);
    expect(world.told).toEqual([`publisher gets ${PacketType.puback} for 7`]);
  });

  test('one that is full at the end of them refuses the message, and nobody gets it', () => {
    const { world, sessions, publish } = rejecting(1_000);
    world.leave(world.member('last', 1, 'a', 'b'));
    world.core.distributor.publish(Message.of(Topic.of('b'), Buffer.from('full'), { qos: 1 }), null);
    finish(publish());
    expect(sessions.every(({ queue }) => queue.length === 0)).toBe(true);
    expect(world.told).toEqual(['dropped: queueFull', `publisher gets ${PacketType.puback} for 7`]);
  });
});
