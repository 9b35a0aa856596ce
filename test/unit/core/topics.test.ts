/**
 * The two trees over topics, held against the definition of matching, written down as plainly as it stands in the
 * standard.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RetainedMessages } from '../../../src/core/retained.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';
import { TopicTree } from '../../../src/protocol/topic-tree.ts';

/** [MQTT5 4.7] level by level. */
function matches(filter: string, name: string): boolean {
  if (name.startsWith('$') && /^[+#]/.test(filter)) return false;
  const wanted = filter.split('/');
  const levels = name.split('/');
  for (const [i, level] of wanted.entries()) {
    if (level === '#') return true;
    if (i >= levels.length || (level !== '+' && level !== levels[i])) return false;
  }
  return wanted.length === levels.length;
}

test.each([
  ['a/#', 'a', true],
  ['a/#', 'a/', true],
  ['a/#', 'b', false],
  ['+', '', true],
  ['+', '/', false],
  ['+/+', '/', true],
  ['#', '$SYS/a', false],
  ['+/a', '$SYS/a', false],
  ['$SYS/#', '$SYS/a', true],
  ['a//b', 'a//b', true],
  ['a/+/b', 'a//b', true],
  ['a', 'A', false],
])('the definition itself: %s and %s: %s', (filter, name, expected) => {
  expect(matches(filter, name)).toBe(expected);
});

const level = fc.constantFrom('', 'a', 'b', 'c', '$x', '__proto__', 'é');
const names = fc.array(level, { minLength: 1, maxLength: 6 }).map((levels) => levels.join('/'));
const filters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 6 }), fc.boolean())
  .map(([levels, isOpen]) => (isOpen ? [...levels, '#'] : levels).join('/'));
const sorted = (items: Iterable<string>) => [...items].sort();

describe('subscriptions', () => {
  test('what is found is what matches, while filters come and go', () => {
    const step = fc.record({ filter: filters, isAdded: fc.boolean(), copies: fc.integer({ min: 1, max: 20 }) });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40, size: 'max' }),
        fc.array(names, { minLength: 1, maxLength: 10 }),
        (steps, asked) => {
          const tree = new TopicTree<string>();
          // One item per filter and copy: many under one filter are kept in another way than few.
          const present = new Map<string, string>();
          for (const { filter, isAdded, copies } of steps) {
            for (let copy = 0; copy < copies; copy++) {
              const item = `${filter} ${copy}`;
              if (isAdded && !present.has(item)) tree.add(filter, item);
              if (isAdded) present.set(item, filter);
              else {
                tree.remove(filter, item);
                present.delete(item);
              }
            }
          }
          const search = tree.search();
          for (const name of asked) {
            const found: string[] = [];
            search.begin(name);
            search.step(Number.POSITIVE_INFINITY, found);
            const expected = [...present].filter(([, filter]) => matches(filter, name)).map(([item]) => item);
            expect(sorted(found)).toEqual(sorted(expected));
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('retained messages', () => {
  test('what is found is what matches, while messages come, change and go', () => {
    const step = fc.record({ name: names, payload: fc.constantFrom('', '1', '2') });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40, size: 'max' }),
        fc.array(filters, { minLength: 1, maxLength: 10 }),
        (steps, asked) => {
          const retained = new RetainedMessages();
          const model = new Map<string, string>();
          for (const { name, payload } of steps) {
            if (payload === '') expect(retained.delete(name)).toBe(model.delete(name));
            else {
              retained.set(Message.of(Topic.of(name), Buffer.from(payload)));
              model.set(name, payload);
            }
            expect(retained.get(name)?.payload.toString()).toBe(model.get(name));
          }
          expect(retained.count).toBe(model.size);
          expect(sorted([...retained].map(({ topic }) => topic.name))).toEqual(sorted(model.keys()));
          for (const filter of asked) {
            const found = [...retained.match(filter)].map(({ topic }) => topic.name);
            expect(sorted(found)).toEqual(sorted([...model.keys()].filter((name) => matches(filter, name))));
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test('a walk finds all that was there from its beginning to its end, once, as it is when it comes to it', () => {
    // Few levels, so that many of the messages lie on each other's way.
    const way = (...levels: string[]) =>
      fc.array(fc.constantFrom(...levels), { minLength: 1, maxLength: 6 }).map((chosen) => chosen.join('/'));
    const change = fc.record({ name: way('a', 'b'), isSet: fc.boolean(), isStep: fc.boolean(), looks: fc.boolean() });
    const wanted = fc.oneof(
      way('a', '+'),
      way('+', '#').map((filter) => filter.replace(/#.*/, '#')),
    );
    fc.assert(
      fc.property(
        fc.uniqueArray(way('a', 'b'), { minLength: 1, maxLength: 20 }),
        fc.array(change, { maxLength: 30 }),
        wanted,
        (begin, changes, filter) => {
          const retained = new RetainedMessages();
          const set = (name: string, payload: string) => retained.set(Message.of(Topic.of(name), Buffer.from(payload)));
          for (const name of begin) set(name, 'old');
          const stayed = new Set(begin.filter((name) => matches(filter, name)));
          const found: string[] = [];
          const taken = new Set<Message>();
          const walk = retained.match(filter);
          const step = () => {
            const message = walk.take();
            if (message === null) return;
            expect(retained.get(message.topic.name)).toBe(message);
            expect(taken.has(message)).toBe(false);
            taken.add(message);
            found.push(message.topic.name);
          };
          for (const { name, isSet, isStep, looks } of changes) {
            if (looks) walk.find({ stepsLeft: 5 });
            if (isSet) set(name, 'new');
            else if (retained.delete(name)) stayed.delete(name);
            if (isStep) step();
          }
          while (!walk.isDone) step();
          expect(found.filter((name) => !matches(filter, name))).toEqual([]);
          expect(sorted(found.filter((name) => stayed.has(name)))).toEqual(sorted(stayed));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('a message that was deleted and set again behind `find` is found once at most (seed 5001679)', () => {
    const retained = new RetainedMessages();
    const set = (name: string) => retained.set(Message.of(Topic.of(name), Buffer.from('x'), { retain: true }));
    for (const name of ['a', 'b', 'c']) set(name);
    const walk = retained.match('+');
    walk.take();
    walk.find({ stepsLeft: 5 });
    retained.delete('b');
    set('b');
    const left = [...walk].map(({ topic }) => topic.name);
    expect(left.sort()).toEqual([...new Set(left)]);
    expect(left).toContain('c');
  });
});
