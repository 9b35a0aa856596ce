/** What a watch of filters knows is what is subscribed to, however subscriptions come and go while it looks. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FilterWatch } from '../../src/core/filter-watch.ts';
import { covers, matches, meet } from '../../src/protocol/topic.ts';
import { TopicTree } from '../../src/protocol/topic-tree.ts';

interface Item {
  readonly filter: string;
  readonly session: { readonly isEnded: false; readonly isOwn: boolean };
}

const level = fc.constantFrom('a', 'b', 'c', '+');
const filter = fc
  .tuple(fc.array(level, { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, isOpen]) => (isOpen ? [...levels, '#'] : levels).join('/'));
const anyFilter = fc.oneof({ weight: 10, arbitrary: filter }, { weight: 1, arbitrary: fc.constant('#') });
const topic = fc
  .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join('/'));

test('what two filters have in common is what both match', () => {
  fc.assert(
    fc.property(anyFilter, anyFilter, topic, (one, other, name) => {
      const common = meet(one, other);
      expect(common !== null && matches(common, name)).toBe(matches(one, name) && matches(other, name));
    }),
    { numRuns: 2_000 },
  );
});

test('a filter that covers another one matches whatever that does', () => {
  fc.assert(
    fc.property(anyFilter, anyFilter, topic, (wide, narrow, name) => {
      if (covers(wide, narrow) && matches(narrow, name)) expect(matches(wide, name)).toBe(true);
    }),
    { numRuns: 2_000 },
  );
  expect(covers('a/#', 'a')).toBe(true);
  expect(covers('a/+', 'a/#')).toBe(false);
});

const change = fc.record({ filter: anyFilter, isOwn: fc.boolean(), isAdded: fc.boolean() });

test('a watch finds all filters of others that have topics in common with its own, and no others', () => {
  fc.assert(
    fc.property(anyFilter, fc.array(change), fc.array(change), fc.nat(3), (watched, before, meanwhile, budget) => {
      const tree = new TopicTree<Item>();
      const items: Item[] = [];
      let watch: FilterWatch | null = null;
      const apply = ({ filter: name, isOwn, isAdded }: { filter: string; isOwn: boolean; isAdded: boolean }) => {
        const at = items.findIndex((each) => each.filter === name && each.session.isOwn === isOwn);
        if (isAdded && at === -1) {
          const item: Item = { filter: name, session: { isEnded: false, isOwn } };
          items.push(item);
          tree.add(name, item);
          watch?.added(item as never);
        } else if (!isAdded && at >= 0) {
          const [item] = items.splice(at, 1);
          tree.remove(name, item!);
          watch?.removed(item as never);
        }
      };
      for (const each of before) apply(each);
      const counts = (session: unknown) => !(session as Item['session']).isOwn;
      watch = new FilterWatch(tree as never, {
        filter: watched,
        most: 1_000,
        counts,
        asksWho: () => false,
        onChange: () => {},
        onLookAgain: () => {},
      });
      for (const each of meanwhile) {
        watch.step(budget);
        apply(each);
      }
      while (watch.step(1));

      const wanted = items.filter((each) => !each.session.isOwn && meet(each.filter, watched) !== null);
      expect([...watch.found!].sort()).toEqual([...new Set(wanted.map((each) => each.filter))].sort());
    }),
    { numRuns: 3_000 },
  );
});
