/** Lists that are read page by page while what they list changes. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CursorError, type Page, Pages, type Walk } from '../../../src/base/pages.ts';

class Reader {
  now = 0;
  microseconds = 0;
  /** Steps that were done, of all pages. */
  steps = 0;
  #random = 0;
  readonly pages = new Pages({
    now: () => this.now,
    clock: () => this.microseconds,
    randomBytes: (count) => Buffer.alloc(count, ++this.#random),
    work: (step) => {
      do this.steps++;
      while (step());
    },
  });
}

function* each<Item>(items: Iterable<Item>): Walk<Item> {
  for (const item of items) yield item;
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

test('pages follow one another until there are no more', async () => {
  const { pages } = new Reader();
  const first = await pages.take('n', () => each(numbers(5)), { limit: 2 });
  const second = await pages.take('n', () => each([]), { cursor: first.cursor, limit: 2 });
  const third = await pages.take('n', () => each([]), { cursor: second.cursor, limit: 2 });
  expect([first.items, second.items, third]).toEqual([[0, 1], [2, 3], { items: [4], cursor: null }]);
});

test('a page that is asked for again is the same, and the list goes on behind it', async () => {
  const { pages } = new Reader();
  const { cursor } = await pages.take('n', () => each(numbers(6)), { limit: 2 });
  const [one, other] = await Promise.all([1, 2].map(() => pages.take('n', () => each([]), { cursor, limit: 2 })));
  expect(other).toEqual(one);
  const last = await pages.take('n', () => each([]), { cursor: one!.cursor, limit: 2 });
  expect(last.items).toEqual([4, 5]);
  await expect(pages.take('n', () => each([]), { cursor })).rejects.toThrow(CursorError);
});

test('a cursor is good for a minute after its page, and for no other list', async () => {
  const reader = new Reader();
  const { pages } = reader;
  const { cursor } = await pages.take('n', () => each(numbers(200)));
  await expect(pages.take('m', () => each([]), { cursor })).rejects.toThrow(CursorError);
  for (const wrong of ['', 'x', '.1', `${cursor}0`]) {
    await expect(pages.take('n', () => each([]), { cursor: wrong })).rejects.toThrow(/begin anew/);
  }
  reader.now = 59_999;
  pages.tick();
  expect(pages.open).toBe(1);
  const next = await pages.take('n', () => each([]), { cursor, limit: 50 });
  reader.now = 119_999;
  pages.tick();
  await expect(pages.take('n', () => each([]), { cursor: next.cursor })).rejects.toThrow(CursorError);
  expect(pages.open).toBe(0);
});

test('of many lists that are begun, those are forgotten that were asked for the longest time ago', async () => {
  const { pages } = new Reader();
  const begin = () => pages.take('n', () => each(numbers(10)), { limit: 1 });
  const [first, second] = [await begin(), await begin()];
  for (let i = 0; i < 30; i++) await begin();
  const kept = await pages.take('n', () => each([]), { cursor: first.cursor, limit: 1 });
  await begin();
  await expect(pages.take('n', () => each([]), { cursor: second.cursor })).rejects.toThrow(CursorError);
  expect((await pages.take('n', () => each([]), { cursor: kept.cursor, limit: 1 })).items).toEqual([2]);
});

test('a list of one page leaves nothing behind', async () => {
  const { pages } = new Reader();
  expect(await pages.take('n', () => each(numbers(3)))).toEqual({ items: [0, 1, 2], cursor: null });
  expect(pages.open).toBe(0);
});

test.each([0, 1_001, 1.5, Number.NaN])('%s items are no page', async (limit) => {
  const { pages } = new Reader();
  await expect(pages.take('n', () => each([]), { limit })).rejects.toThrow(RangeError);
});

test('the work for a page is bounded, however little of what is looked at is listed', async () => {
  const reader = new Reader();
  function* rare(): Walk<number> {
    for (let i = 1; ; i++) yield i % 15_000 === 0 ? i : null;
  }
  let page = await reader.pages.take('n', rare);
  expect([page.items, reader.steps]).toEqual([[15_000], 200]);
  page = await reader.pages.take('n', rare, { cursor: page.cursor });
  expect([page.items, reader.steps]).toEqual([[30_000], 400]);
});

test('a walk that fails costs its reader the page, and nobody else anything', async () => {
  const { pages } = new Reader();
  // biome-ignore lint/correctness/useYield: it fails before
  function* broken(): Walk<number> {
    throw new Error('a bug');
  }
  await expect(pages.take('n', broken)).rejects.toThrow('a bug');
  expect((await pages.take('n', () => each([1]))).items).toEqual([1]);
});

type Change = { readonly kind: 'add' | 'delete'; readonly key: number };
const changes = fc.array(
  fc.array(fc.record({ kind: fc.constantFrom('add' as const, 'delete' as const), key: fc.nat(40) }), { maxLength: 20 }),
  { maxLength: 30 },
);

test('what is there all the time is listed once, whatever comes and goes between pages', async () => {
  await fc.assert(
    fc.asyncProperty(changes, fc.integer({ min: 1, max: 7 }), async (rounds, limit) => {
      const { pages } = new Reader();
      const table = new Map(numbers(20).map((key) => [key, key]));
      const stayed = new Set(table.keys());
      const apply = ({ kind, key }: Change) => {
        if (kind === 'add') table.set(key, key);
        else if (table.delete(key)) stayed.delete(key);
      };
      const listed: number[] = [];
      const left = [...rounds];
      let page: Page<number> = { items: [], cursor: null };
      do {
        page = await pages.take('n', () => each(table.values()), { cursor: page.cursor, limit });
        listed.push(...page.items);
        for (const change of left.shift() ?? []) apply(change);
      } while (page.cursor !== null);
      const counts = [...stayed].map((key) => listed.filter((each) => each === key).length);
      expect(counts.every((count) => count === 1)).toBe(true);
    }),
  );
});

test('a page of looks that take long ends after five milliseconds, and the list goes on behind it', async () => {
  const reader = new Reader();
  // A look takes ten microseconds.
  const slowly = function* (): Walk<number> {
    for (const number of numbers(2_900)) {
      reader.microseconds += 10;
      yield number < 2_899 ? null : number;
    }
  };
  const pages: Page<number>[] = [await reader.pages.take('n', slowly)];
  while (pages.at(-1)!.cursor !== null) {
    pages.push(await reader.pages.take('n', slowly, { cursor: pages.at(-1)!.cursor }));
  }
  expect(pages.map(({ items }) => items)).toEqual([[], [], [], [], [], [2_899]]);
});
