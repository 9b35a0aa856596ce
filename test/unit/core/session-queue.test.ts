/** The bounds of a session's queue, above all after a restart. */
import { expect, test } from 'vitest';
import { Delivery } from '../../../src/core/delivery.ts';
import { SessionQueue } from '../../../src/core/session-queue.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';

const aDelivery = (number: number, bytes = 10): Delivery => {
  const topic = Topic.of('a');
  const message = Message.of(topic, Buffer.alloc(bytes - topic.encodedBytes), { qos: 1 }).renumbered(number);
  return new Delivery(message, 1, false, null, null);
};

const limits = { queueMessages: 3, queueBytes: 1_000 };
const none = { messages: 0, bytes: 0 };

/** Five of ten bytes each, in memory. */
function restored(queueLimits = limits): SessionQueue {
  const queue = new SessionQueue();
  queue.restoreSpilled({ messages: 5, bytes: 50 }, queueLimits);
  queue.load(
    [1, 2, 3, 4, 5].map((number) => aDelivery(number)),
    none,
  );
  return queue;
}

test('what a restart finds beyond the limit stays: one that is dropped makes room for one', () => {
  const queue = restored();
  expect(queue.hasRoomFor(10, limits)).toBe(false);
  queue.drop();
  expect(queue.hasRoomFor(10, limits)).toBe(true);
  queue.push(aDelivery(6));
  expect([queue.length, queue.hasRoomFor(10, limits)]).toEqual([5, false]);
});

test('what is sent takes the excess with it, until the limit holds again', () => {
  const queue = restored();
  queue.shift();
  expect([queue.length, queue.hasRoomFor(10, limits)]).toEqual([4, false]);
  queue.takeOut(({ message }) => message.id === 2);
  expect([queue.length, queue.hasRoomFor(10, limits)]).toEqual([3, false]);
  queue.shift();
  expect(queue.hasRoomFor(10, limits)).toBe(true);
  queue.push(aDelivery(6));
  expect(queue.hasRoomFor(10, limits)).toBe(false);
});

test('the same for its bytes', () => {
  const bytes = { queueMessages: 100, queueBytes: 30 };
  const queue = restored(bytes);
  expect(queue.hasRoomFor(1, bytes)).toBe(false);
  queue.drop();
  expect([queue.hasRoomFor(10, bytes), queue.hasRoomFor(11, bytes)]).toEqual([true, false]);
  for (let i = 0; i < 3; i++) queue.shift();
  expect([queue.bytes, queue.hasRoomFor(20, bytes), queue.hasRoomFor(21, bytes)]).toEqual([10, true, false]);
});
