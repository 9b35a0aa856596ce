/** What the ring of drops keeps, and what it does not grow beyond. */
import { describe, expect, test } from 'vitest';
import { type Drop, type DropEntry, DropRing } from '../../../src/broker/drop-ring.ts';
import { UnmatchedTopics } from '../../../src/broker/unmatched-topics.ts';
import { Topic } from '../../../src/protocol/topic.ts';

const now = 1_700_000_000_000;

const drop = (fields: Partial<Drop> = {}): Drop => ({
  topic: 'a/b',
  qos: 0,
  bytes: 5,
  publisher: 'publisher',
  username: null,
  address: null,
  recipient: 'recipient',
  detail: null,
  figure: 0,
  limit: 0,
  ...fields,
});

const all = (ring: DropRing): DropEntry[] =>
  [...({ [Symbol.iterator]: () => ring.walk() } as Iterable<DropEntry | null>)].filter((entry) => entry !== null);
const topics = (ring: DropRing) => all(ring).map(({ topic }) => topic);

describe('the ring of drops', () => {
  test('gives the newest first, whatever their reasons', () => {
    const ring = new DropRing(10);
    ring.add('queueFull', drop({ topic: '1' }), now);
    ring.add('expired', drop({ topic: '2' }), now + 1);
    ring.add('queueFull', drop({ topic: '3' }), now + 2);
    expect(topics(ring)).toEqual(['3', '2', '1']);
  });

  test('counts in one entry what happens again soon, and begins another one after ten seconds', () => {
    const ring = new DropRing(10);
    for (let i = 0; i < 1_000; i++) {
      for (const recipient of ['one', 'other']) {
        ring.add('slowConsumer', drop({ recipient }), now + i, 1, recipient.length);
      }
    }
    expect(all(ring)).toMatchObject([
      { recipient: 'other', count: 1_000, time: now, lastTime: now + 999 },
      { recipient: 'one', count: 1_000 },
    ]);
    ring.add('slowConsumer', drop({ recipient: 'one' }), now + 10_000, 1, 3);
    expect(all(ring).map(({ count }) => count)).toEqual([1, 1_000, 1_000]);
  });

  test('keeps so many of each reason, so a flood of one displaces no other', () => {
    const ring = new DropRing(3);
    ring.add('publishNotAllowed', drop({ topic: 'refused' }), now);
    for (let i = 0; i < 1_000; i++) ring.add('slowConsumer', drop({ topic: `${i}` }), now, 1, i);
    expect(topics(ring)).toEqual(['999', '998', '997', 'refused']);
  });

  test('cuts texts, and keeps fewer entries where theirs are long', () => {
    const ring = new DropRing(100);
    const long = 'x'.repeat(60_000);
    for (let i = 0; i < 1_000; i++) {
      ring.add('queueFull', drop({ topic: `${i}${long}`, recipient: long, username: long, detail: long }), now, 1, i);
    }
    expect(ring.characters).toBeLessThanOrEqual(100 * 256);
    expect(all(ring).length).toBeGreaterThan(20);
    expect(all(ring)[0]!.topic).toMatch(/^999x{252}…$/);
  });

  test('shows a drop whose earlier entry had to make room for long texts', () => {
    const ring = new DropRing(4);
    const bare = { publisher: null, recipient: null, topic: null };
    for (const fields of [{ topic: 'again' }, bare]) {
      const again = drop(fields);
      ring.add('queueFull', again, now, 1, 5);
      // Two of these take all characters of the ring: there is still a place left for what they displace.
      for (let i = 0; i < 2; i++) {
        const long = drop({ topic: `${i}`.padEnd(250), username: 'u'.repeat(120), detail: 'd'.repeat(290) });
        ring.add('queueFull', long, now, 1, 6 + i);
      }
      ring.add('queueFull', again, now, 1, 5);
      expect(all(ring)[0]).toMatchObject({ topic: again.topic, count: 1 });
    }
  });

  test('is walked through while it is written to, without an entry twice', () => {
    const ring = new DropRing(4);
    for (let i = 0; i < 4; i++) ring.add('queueFull', drop({ topic: `${i}` }), now, 1, i);
    const walk = ring.walk();
    const first = walk.next().value as DropEntry;
    expect(first.topic).toBe('3');
    // Two of the others are displaced meanwhile.
    for (let i = 4; i < 6; i++) ring.add('queueFull', drop({ topic: `${i}` }), now, 1, i);
    const rest = [...({ [Symbol.iterator]: () => walk } as Iterable<DropEntry>)].map(({ topic }) => topic);
    expect(rest).toEqual(['2']);
  });

  test('keeps nothing where it has no entries', () => {
    const ring = new DropRing(0);
    ring.add('queueFull', drop(), now);
    expect(all(ring)).toEqual([]);
  });
});

describe('topics without subscribers', () => {
  const counts = (unmatched: UnmatchedTopics) =>
    [...({ [Symbol.iterator]: () => unmatched.walk() } as Iterable<{ topic: string; count: number } | null>)].map(
      (entry) => `${entry!.topic} ${entry!.count}`,
    );

  test('are counted, the most frequent first', () => {
    const unmatched = new UnmatchedTopics(10);
    const [one, other] = [Topic.of('one'), Topic.of('other')];
    for (const topic of [one, other, other, other]) unmatched.add(topic, 'a', now);
    // The topic was forgotten, and is in use again.
    unmatched.add(Topic.of('one'), 'b', now);
    expect(counts(unmatched)).toEqual(['other 3', 'one 2']);
  });

  test('take bounded room: those that are published to stay, whoever invents topics', () => {
    const unmatched = new UnmatchedTopics(100);
    const steady = Topic.of('steady');
    for (let i = 0; i < 10_000; i++) {
      unmatched.add(Topic.of(`invented/${i}/${'x'.repeat(1_000)}`), 'a', now + i);
      if (i % 5 === 0) unmatched.add(steady, 'b', now + i);
    }
    expect(counts(unmatched)).toHaveLength(100);
    expect(counts(unmatched)[0]).toBe('steady 2000');
    expect(counts(unmatched)[1]!.length).toBeLessThan(270);
  });

  test('that were displaced are counted anew', () => {
    const unmatched = new UnmatchedTopics(1);
    const [one, other] = [Topic.of('one'), Topic.of('other')];
    for (const topic of [one, one, other, one]) unmatched.add(topic, null, now);
    expect(counts(unmatched)).toEqual(['one 1']);
  });
});
