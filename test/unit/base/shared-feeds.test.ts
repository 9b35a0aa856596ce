import { expect, test } from 'vitest';
import { SharedFeeds } from '../../../src/base/shared-feeds.ts';

interface Value {
  readonly n: number;
}

/** A feed that a test gives values, and that says how often it was begun and ended. */
function feed() {
  const told = { begun: 0, ended: 0, give: (_: Value | Error) => {} };
  const begin = (signal: AbortSignal) => {
    told.begun++;
    const waiting: (Value | Error)[] = [];
    let wake = () => {};
    told.give = (value) => {
      waiting.push(value);
      wake();
    };
    signal.addEventListener('abort', () => {
      told.ended++;
      wake();
    });
    return (async function* () {
      while (!signal.aborted) {
        const next = waiting.shift();
        if (next instanceof Error) throw next;
        if (next !== undefined) yield next;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    })();
  };
  return { told, begin };
}

test('readers of one key share a feed, which goes on from the first to the last', async () => {
  const feeds = new SharedFeeds<Value>();
  const { told, begin } = feed();
  const [one, other] = [new AbortController(), new AbortController()];
  const first = feeds.follow('a', begin, one.signal)[Symbol.asyncIterator]();
  const second = feeds.follow('a', begin, other.signal)[Symbol.asyncIterator]();
  expect(told.begun).toBe(1);
  const both = [first.next(), second.next()];
  told.give({ n: 1 });
  const [value, same] = await Promise.all(both);
  expect(value!.value).toEqual({ n: 1 });
  expect(same!.value).toBe(value!.value);
  one.abort();
  expect(told.ended).toBe(0);
  other.abort();
  expect(told.ended).toBe(1);
  expect(feeds.count).toBe(0);
});

test('a reader that is aborted before it reads anything leaves as well', () => {
  const feeds = new SharedFeeds<Value>();
  const { told, begin } = feed();
  const abort = new AbortController();
  feeds.follow('a', begin, abort.signal);
  abort.abort();
  expect(told.ended).toBe(1);
  expect(feeds.count).toBe(0);
});

test('an error ends the feed for all its readers, and the next one begins anew', async () => {
  const feeds = new SharedFeeds<Value>();
  const { told, begin } = feed();
  const { signal } = new AbortController();
  const readers = [1, 2].map(() => feeds.follow('a', begin, signal)[Symbol.asyncIterator]().next());
  told.give(new Error('no more'));
  for (const reader of readers) await expect(reader).rejects.toThrow('no more');
  expect(feeds.count).toBe(0);
  feeds.follow('a', begin, signal);
  expect(told.begun).toBe(2);
});
