/** Answers of another Sluice, and the disk that has yet to hear of them. */
import { expect, test } from 'vitest';
import type { ClientChannel } from '../../../src/broker/client-channel.ts';
import { UnstoredAcks, unstoredAcksMax } from '../../../src/broker/unstored-acks.ts';

function aCounter() {
  const stored: (() => void)[] = [];
  let parks = 0;
  let notes = 0;
  const acks = new UnstoredAcks({
    notes: { put: () => void notes++ },
    commits: { whenStored: (_channel, callback) => void stored.push(callback) },
    channel: { park: () => void parks++, unpark: () => void parks-- } as ClientChannel & {
      park(): void;
      unpark(): void;
    },
  });
  const taken = (count: number) => {
    for (let i = 0; i < count; i++) acks.add();
  };
  return { taken, stored, isParked: () => parks === 1, notes: () => notes };
}

test('answers are taken up to a bound before the disk has the first of them', () => {
  const { taken, stored, isParked } = aCounter();

  taken(unstoredAcksMax - 1);
  expect([isParked(), stored.length]).toEqual([false, 1]);
  taken(1);
  expect(isParked()).toBe(true);

  stored[0]!();
  expect(isParked()).toBe(false);
});

test('what was taken while others were written is stored next', () => {
  const { taken, stored, isParked, notes } = aCounter();
  taken(unstoredAcksMax);

  stored[0]!();
  expect([stored.length, notes()]).toEqual([2, 3]);
  stored[1]!();

  taken(unstoredAcksMax / 2 - 1);
  expect([isParked(), stored.length]).toEqual([false, 2]);
});

test('a new connection has the disk hear of what is left of an earlier one', () => {
  expect(aCounter().notes()).toBe(1);
});
