import { describe, expect, test } from 'vitest';
import { Account, Category, Ledger, Pressure } from '../../../src/base/ledger.ts';

describe('the ledger', () => {
  test('knows what is held in all, of each category and by each client', () => {
    const ledger = new Ledger(1_000_000);
    const [one, other] = [new Account(ledger), new Account(ledger)];
    one.add(Category.queues, 1_000);
    other.add(Category.queues, 500);
    other.add(Category.output, 300);
    ledger.set(Category.staged, 200);
    ledger.set(Category.staged, 70);
    expect([ledger.bytes, ledger.bytesOf(Category.queues), ledger.bytesOf(Category.staged)]).toEqual([
      1_870, 1_500, 70,
    ]);
    expect([one.bytes, other.bytes]).toEqual([1_000, 800]);
    other.add(Category.queues, -500);
    other.add(Category.output, -300);
    expect([ledger.bytes, other.bytes]).toEqual([1_070, 0]);
    ledger.assertSound();
  });

  test('counts once in all what several hold together', () => {
    const ledger = new Ledger(1_000_000);
    for (const account of [new Account(ledger), new Account(ledger)]) account.add(Category.queues, 400);
    ledger.addShared(400);
    expect([ledger.bytes, ledger.bytesOf(Category.queues), ledger.sharedBytes]).toEqual([400, 800, 400]);
    ledger.assertSound();
  });

  test('enters each level above its part of the ceiling, and leaves it only some way below', () => {
    const ledger = new Ledger(1_000_000);
    const changes: string[] = [];
    ledger.onPressure = (pressure, before) => void changes.push(`${before} > ${pressure}`);
    ledger.add(Category.queues, 500_001);
    ledger.add(Category.queues, -40_000);
    ledger.add(Category.queues, 40_000);
    ledger.add(Category.output, 400_000);
    ledger.add(Category.output, 60_000);
    ledger.add(Category.output, -400_000);
    ledger.add(Category.queues, -500_001);
    expect(changes).toEqual(['0 > 1', '1 > 4', '4 > 5', '5 > 2', '2 > 0']);
  });

  test('one client alone may have about half, and many as much each as is left for each of them', () => {
    const most = (clients: number): number => {
      const ledger = new Ledger(100_000_000);
      const accounts = Array.from({ length: clients }, () => new Account(ledger));
      for (let isMore = true; isMore; ) {
        isMore = false;
        for (const account of accounts) {
          if (!account.mayAdd(10_000)) continue;
          account.add(Category.queues, 10_000);
          isMore = true;
        }
      }
      expect(ledger.pressure).toBeLessThan(Pressure.disconnection);
      return accounts[0]!.bytes;
    };
    expect(most(1) / 45_000_000).toBeCloseTo(1, 1);
    expect(most(9) / 9_000_000).toBeCloseTo(1, 1);
  });

  test('a client that holds little may go on when others hold everything', () => {
    const ledger = new Ledger(10_000_000);
    ledger.add(Category.retained, 9_900_000);
    const [small, large] = [new Account(ledger), new Account(ledger)];
    large.add(Category.queues, 100_000);
    expect([small.mayAdd(8_000), small.mayAdd(100_000), large.mayAdd(1)]).toEqual([true, false, false]);
  });
});
