/**
 * Lists that are read page by page while what they list changes.
 *
 * A list is a walk through what is there: an iterator that stands still between two pages. An iterator of a Map or Set
 * goes on where it was left, whatever was added or removed meanwhile. So a list has everything once that was there from
 * its beginning to its end, and what came or went meanwhile at most once. A cursor names a walk and one of its pages;
 * walks that nobody asks for are forgotten. While nobody reads, there is nothing.
 */

/** Gives what it comes to, or null for a look that found nothing. Each call does a bounded amount of work. */
export type Walk<Item> = Iterator<Item | null, void>;

export interface Page<Item> {
  /** May be fewer than were asked for, or none, also where more follow. */
  readonly items: readonly Item[];
  /** For the next page; null: there is none. */
  readonly cursor: string | null;
}

export interface PageRequest {
  /** Of the page before; null or absent: the first page. */
  readonly cursor?: string | null | undefined;
  /** Items at most, from 1 to 1,000. Default: 100. */
  readonly limit?: number | undefined;
}

/** The cursor is of no list that is still known. The message says what to do. */
export class CursorError extends Error {
  override readonly name = 'CursorError';
}

export interface PagesOptions {
  /** Milliseconds. */
  readonly now: () => number;
  /** Microseconds, of which only differences matter. */
  readonly clock: () => number;
  readonly randomBytes: (count: number) => Buffer;
  /** Repeats the step until it says that there is no more to do, with others served in between. */
  readonly work: (step: () => boolean) => void;
}

export const pageItemsMax = 1_000;
const pageItems = 100;
/**
 * Looks at most for one page, and what they may take in microseconds: where few of many are listed, or a look takes
 * long, it has fewer items.
 */
const looksPerPage = 20_000;
const pageMicroseconds = 5_000;
/** Looks in one go, which takes a tenth of a millisecond. */
const looksPerStep = 100;
/** A list is forgotten when it was not asked for so long, or when so many others were asked for since. */
const idleMs = 60_000;
const listsMax = 32;

interface OpenList {
  readonly name: string;
  readonly walk: Walk<unknown>;
  /** Those that were asked for. */
  pages: number;
  /** Asked for once more, it is the same: its answer may have been lost. */
  last: Promise<Page<unknown>>;
  until: number;
}

export class Pages {
  readonly #options: PagesOptions;
  /** The one that was asked for last is the last one. */
  readonly #open = new Map<string, OpenList>();

  constructor(options: PagesOptions) {
    this.#options = options;
  }

  /** Lists that have another page. */
  get open(): number {
    return this.#open.size;
  }

  /**
   * The first page of the walk that `begin` makes, or the one that the cursor names, which is of a list of this name.
   * Rejects with a RangeError if the limit is none, and with a CursorError.
   */
  async take<Item>(
    name: string,
    begin: () => Walk<Item>,
    { cursor = null, limit = pageItems }: PageRequest = {},
  ): Promise<Page<Item>> {
    if (!Number.isInteger(limit) || limit < 1 || limit > pageItemsMax) {
      throw new RangeError(`limit: expected a whole number from 1 to ${pageItemsMax}, found ${limit}`);
    }
    if (cursor === null) return this.#first(name, begin(), limit);
    const [id = '', page] = cursor.split('.');
    const list = this.#open.get(id);
    const isNext = page === String(list?.pages);
    if (list?.name !== name || (!isNext && page !== String(list.pages - 1))) {
      throw new CursorError(
        `The cursor is of no list that goes on: lists end ${idleMs / 1_000} s after a page; begin anew`,
      );
    }
    if (isNext) {
      list.last = this.#page(list.walk, limit, `${id}.${list.pages + 1}`);
      list.pages++;
    }
    this.#keep(id, list);
    return list.last as Promise<Page<Item>>;
  }

  async #first<Item>(name: string, walk: Walk<Item>, limit: number): Promise<Page<Item>> {
    const id = this.#options.randomBytes(9).toString('base64url');
    const page = this.#page(walk, limit, `${id}.1`);
    // Most lists are one page, and then there is nothing to go on with.
    if ((await page).cursor !== null) this.#keep(id, { name, walk, pages: 1, last: page, until: 0 });
    return page;
  }

  #keep(id: string, list: OpenList): void {
    list.until = this.#options.now() + idleMs;
    this.#open.delete(id);
    this.#open.set(id, list);
    if (this.#open.size <= listsMax) return;
    for (const oldest of this.#open.keys()) {
      this.#open.delete(oldest);
      return;
    }
  }

  #page<Item>(walk: Walk<Item>, limit: number, next: string): Promise<Page<Item>> {
    return new Promise((resolve, reject) => {
      const items: Item[] = [];
      let looks = 0;
      let taken = 0;
      const end = (cursor: string | null): false => {
        resolve({ items, cursor });
        return false;
      };
      const step = (): boolean => {
        for (let left = looksPerStep; left > 0; left--) {
          const { value, done } = walk.next();
          if (done) return end(null);
          if (value !== null) items.push(value);
          if (items.length === limit) return end(next);
        }
        return true;
      };
      const timedStep = (): boolean => {
        const begun = this.#options.clock();
        if (!step()) return false;
        looks += looksPerStep;
        taken += this.#options.clock() - begun;
        return (looks < looksPerPage && taken < pageMicroseconds) || end(next);
      };
      this.#options.work(() => {
        try {
          return timedStep();
        } catch (error) {
          reject(error);
          return false;
        }
      });
    });
  }

  /** Forgets lists that nobody goes on with. */
  tick(): void {
    if (this.#open.size === 0) return;
    const now = this.#options.now();
    for (const [id, { until }] of this.#open) {
      if (until > now) return;
      this.#open.delete(id);
    }
  }
}
