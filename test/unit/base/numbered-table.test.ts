import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NumberedTable } from '../../../src/base/numbered-table.ts';

test('has what a map would have, whatever numbers come and go', () => {
  const numbers = fc.oneof(fc.nat(600), fc.nat(2_000_000), fc.maxSafeNat());
  fc.assert(
    fc.property(fc.array(fc.tuple(numbers, fc.boolean())), (changes) => {
      const table = new NumberedTable<object>();
      const map = new Map<number, object>();
      for (const [number, isSet] of changes) {
        const entry = {};
        if (isSet) {
          table.set(number, entry);
          map.set(number, entry);
        } else {
          table.delete(number);
          map.delete(number);
        }
      }
      for (const [number] of changes) expect(table.get(number)).toBe(map.get(number));
    }),
  );
});
