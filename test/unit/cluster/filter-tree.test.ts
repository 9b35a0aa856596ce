import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FilterTree } from '../../../src/cluster/filter-tree.ts';
import { matches } from '../../../src/protocol/topic.ts';

const level = fc.constantFrom('', 'a', 'b', '$a');
const levels = fc.array(level, { minLength: 1, maxLength: 4 });
const topic = levels.map((all) => all.join('/')).filter((name) => name !== '');
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([all, isOpen]) => (isOpen ? [...all, '#'] : all).join('/'))
  .filter((text) => text !== '');

test('the filters of a topic are those that match it, whatever came and went', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(filter, fc.boolean())), topic, (changes, name) => {
      const tree = new FilterTree<string>();
      const expected = new Set<string>();
      for (const [each, isSet] of changes) {
        if (isSet) {
          tree.set(each, each);
          expected.add(each);
        } else {
          tree.delete(each);
          expected.delete(each);
        }
        expect(tree.get(each)).toBe(expected.has(each) ? each : null);
      }
      expect(tree.matching(name).sort()).toEqual([...expected].filter((each) => matches(each, name)).sort());
    }),
  );
});

test('a topic without subscribers is found out at once among 100,000 filters', () => {
  const tree = new FilterTree<number>();
  for (let each = 0; each < 100_000; each++) tree.set(`a/${each}/#`, each);
  const startedAt = performance.now();
  for (let each = 0; each < 1_000; each++) expect(tree.matching(`a/x${each}/y`)).toEqual([]);
  expect(performance.now() - startedAt).toBeLessThan(1_000);
});
