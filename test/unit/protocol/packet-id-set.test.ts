import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Account, Ledger } from '../../../src/base/ledger.ts';
import { PacketIdSet } from '../../../src/protocol/packet-id-set.ts';

test('a set of packet identifiers is a set, and is charged what it takes', () => {
  const ids = fc.oneof(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 65_535 }));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), ids), { maxLength: 2_000 }), (changes) => {
      const account = new Account(new Ledger());
      const [set, oracle] = [new PacketIdSet(account), new Set<number>()];
      for (const [isAdded, id] of changes) {
        if (isAdded) {
          set.add(id);
          oracle.add(id);
        } else expect(set.delete(id)).toBe(oracle.delete(id));
        expect([set.size, set.has(id), account.bytes]).toEqual([oracle.size, oracle.has(id), set.footprint]);
      }
      expect([...set].sort()).toEqual([...oracle].sort());
      set.clear();
      expect([set.size, account.bytes, [...set]]).toEqual([0, 0, []]);
    }),
    { numRuns: 30 },
  );
});

test('all identifiers of a client take 8 KiB', () => {
  const set = new PacketIdSet();
  for (let id = 1; id <= 65_535; id++) set.add(id);
  expect([set.size, set.footprint, set.has(65_535)]).toEqual([65_535, 8_192, true]);
});
