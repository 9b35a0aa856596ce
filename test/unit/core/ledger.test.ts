/** What the core charges for what it holds, and that it is all released. */
import { expect, test } from 'vitest';
import { Category } from '../../../src/base/ledger.ts';
import { Message } from '../../../src/protocol/message.ts';
import { ReasonCode } from '../../../src/protocol/reason-codes.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { World } from '../../support/core-world.ts';

const retained = (topic: string, payload: string) =>
  Message.of(Topic.of(topic), Buffer.from(payload), { retain: true });

test('a message that many sessions wait for counts for each of them, and once in all', () => {
  const world = new World();
  const { ledger } = world.core;
  const sessions = ['one', 'two', 'three'].map((name) => world.member(name, 1, 'a'));
  world.leave(...sessions);
  const before = { all: ledger.bytes, each: sessions.map(({ account }) => account.bytes) };
  world.publish('x'.repeat(100_000));
  for (const [index, { account }] of sessions.entries()) {
    expect(account.bytes - before.each[index]!).toBeGreaterThan(100_000);
  }
  expect(ledger.bytes - before.all).toBeLessThan(102_000);
  expect(ledger.bytesOf(Category.queues)).toBeGreaterThan(300_000);
  ledger.assertSound();
});

test('what is retained is charged until it is replaced or removed', () => {
  const { core } = new World();
  core.distributor.publish(retained('a', 'x'.repeat(50_000)), null);
  const before = core.ledger.bytes;
  core.distributor.publish(retained('a', 'x'.repeat(10_000)), null);
  expect(before - core.ledger.bytes).toBe(40_000);
  expect(core.retained.messageBytes).toBe(10_000 + 'a'.length + 2);
  core.distributor.publish(retained('a', ''), null);
  expect([core.ledger.bytes, core.retained.messageBytes]).toEqual([0, 0]);
});

test('retained messages that would take more than their share are refused, or dropped and counted', () => {
  const world = new World({ memoryBytes: 1_000_000 });
  const { core } = world;
  const payload = 'x'.repeat(100_000);
  for (let i = 0; i < 20; i++) core.distributor.publish(retained(`topic/${i}`, payload), null);
  expect(core.retained.count).toBe(4);
  expect(world.told).toHaveLength(16);
  expect(world.refuses(retained('one/more', payload), null)).toBe(true);
  // What is not larger than what it replaces always finds room, and what is larger takes its place and is not kept.
  expect(world.refuses(retained('topic/1', payload), null)).toBe(false);
  core.distributor.publish(retained('topic/1', 'x'.repeat(300_000)), null);
  expect(core.retained.get('topic/1')).toBeNull();
});

test('subscriptions beyond the allowance of a client are refused with 0x97', () => {
  const world = new World({ memoryBytes: 300_000 });
  const session = world.connected('many');
  const codes = Array.from({ length: 500 }, (_, i) => world.subscribe(session, 0, `${i}/${'x'.repeat(50)}`));
  expect(codes.at(-1)).toBe(ReasonCode.QuotaExceeded);
  expect(session.account.bytes).toBeLessThan(150_000);
});

test('nothing is charged any more once everything is gone', () => {
  const world = new World();
  const { core } = world;
  const sessions = ['one', 'two'].map((name) => world.member(name, 2, 'a', 'b/#', '$share/g/a'));
  for (const session of sessions) {
    session.received.add(7);
    session.will = { message: retained('will', 'dead'), delaySeconds: 10 };
  }
  for (let i = 0; i < 20; i++) world.publish(`message ${i}`, 2);
  world.leave(...sessions);
  for (let i = 0; i < 20; i++) world.publish(`message ${i}`, 1);
  core.ledger.assertSound();
  expect(core.ledger.bytesOf(Category.inFlight)).toBeGreaterThan(0);
  core.advance(core.now + 2_000_000);
  expect(core.directory.size).toBe(0);
  core.distributor.publish(retained('will', ''), null);
  core.ledger.assertSound();
  expect(core.ledger.bytes).toBe(0);
});
