/** The messages that the store has in memory: what it finds again, and how much room they take. */
import { expect, test } from 'vitest';
import { MessageRing, ResidentMessage } from '../../../src/store/level/message-ring.ts';
import { aMessage } from '../../contract/session-store.suite.ts';

const aResident = (id: number) => new ResidentMessage(aMessage(id, 'x'), [], null, null);

test('a cached message gives way to the millions that come and go after it', () => {
  const ring = new MessageRing(1_000_000);
  ring.add(1, aResident(1));
  ring.written(1);
  const passing = aResident(2);
  for (let id = 2; id < 1_000_000; id++) {
    ring.add(id, passing);
    ring.delete(id);
  }
  expect(ring.get(1)).toBeDefined();
  for (let id = 1_000_000; id < 2_000_000; id++) {
    ring.add(id, passing);
    ring.delete(id);
  }
  expect(ring.get(1)).toBeUndefined();
  expect(ring.cachedBytes).toBe(0);
});

test('messages that are not written are found whatever lies between them', () => {
  const ring = new MessageRing(1_000_000);
  const ids = [1, 3_000_000, 2_000_000];
  for (const id of ids) ring.add(id, aResident(id));
  expect(ids.map((id) => ring.get(id)?.message.id)).toEqual(ids);
});

test('numbers may come in another order than they were given', () => {
  const ring = new MessageRing(1_000_000);
  const ids = [2_000, 2_001, 1_999, 500, 4_000];
  for (const id of ids) ring.add(id, aResident(id));
  expect(ids.map((id) => ring.get(id)?.message.id)).toEqual(ids);
  for (const id of ids) expect(ring.delete(id)?.message.id).toBe(id);
  ring.add(10, aResident(10));
  expect(ring.get(10)?.message.id).toBe(10);
});

test('what is not written stays, whatever is evicted around it', () => {
  const ring = new MessageRing(1_000);
  for (let id = 1; id <= 100; id++) ring.add(id, aResident(id));
  for (let id = 2; id <= 100; id += 2) ring.written(id);
  const here = Array.from({ length: 100 }, (_, index) => index + 1).filter((id) => ring.get(id) !== undefined);
  expect(here.filter((id) => id % 2 === 1)).toHaveLength(50);
  expect(here.filter((id) => id % 2 === 0)).toEqual([98, 100]);
  ring.written(1);
  expect([ring.get(1), ring.get(98), ring.get(100)].map((each) => each !== undefined)).toEqual([false, true, true]);
});
