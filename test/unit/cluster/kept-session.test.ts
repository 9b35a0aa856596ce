import { expect, test } from 'vitest';
import { KeptSession } from '../../../src/cluster/kept-session.ts';

const nothing = Number.POSITIVE_INFINITY;

test('what is not settled holds the checkpoint back until it is, or is in a record', () => {
  const kept = new KeptSession('c');
  kept.delivered(1, 10, 0);
  kept.delivered(2, 11, 600);
  expect(kept.since).toBe(10);
  kept.settled(1);
  expect(kept.since).toBe(11);

  const mark = kept.mark(11, 2, 1);
  kept.delivered(3, 12, 601);
  kept.recorded(mark, 700);
  expect(kept.since).toBe(12);
  kept.settled(3);
  expect(kept.since).toBe(nothing);
});

test('its record is due once something has waited for a second, or half of what it says is over', () => {
  const kept = new KeptSession('c');
  for (const messageId of [1, 2, 3]) kept.delivered(messageId, 10, 0);
  expect([kept.isDue(999), kept.isDue(1_000)]).toEqual([false, true]);

  const mark = kept.mark(10, 3, 3);
  kept.settled(1);
  kept.recorded(mark, 1_000);
  expect(kept.isDue(5_000)).toBe(false);
  kept.settled(2);
  expect(kept.isDue(5_000)).toBe(true);
});

test('exchanges of QoS 2 hold the checkpoint back where the record says otherwise', () => {
  const kept = new KeptSession('c');
  kept.loggedReceived(7, 20, 0);
  expect(kept.since).toBe(20);
  kept.loggedReleased(7, 21, 0);
  expect(kept.since).toBe(nothing);

  kept.loggedReceived(8, 22, 0);
  const mark = kept.mark(22, 0, 0);
  expect([...mark.received]).toEqual([8]);
  kept.loggedReleased(8, 23, 0);
  kept.recorded(mark, 0);
  // The record has it as begun: its release is to be found.
  expect(kept.since).toBe(23);
  kept.recorded(kept.mark(23, 0, 0), 0);
  expect(kept.since).toBe(nothing);
});

test('an exchange that was released before it came here is none', () => {
  const kept = new KeptSession('c');
  kept.restoreReceived([5]);
  kept.loggedReleased(5, 30, 0);
  expect([...kept.logged]).toEqual([]);
});
