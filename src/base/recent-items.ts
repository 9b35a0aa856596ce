/**
 * The last items of something that happens, for whoever asks what came lately and for those who follow. Bounded by
 * number and by what they take; a reader who is too slow misses some, and is told how many.
 */
import { Deque } from './deque.ts';
import { Waiters } from './waiters.ts';

export interface RecentItemsOptions<Item> {
  readonly itemsMax: number;
  /** Of all items together. */
  readonly bytesMax: number;
  readonly bytesOf: (item: Item) => number;
}

export interface FollowedItem<Item> {
  readonly item: Item;
  /** Items just before it that this reader was too slow for. */
  readonly omitted: number;
}

export class RecentItems<Item extends object> {
  readonly #options: RecentItemsOptions<Item>;
  readonly #items = new Deque<Item>();
  #bytes = 0;
  /** How many have ever been added. */
  #added = 0;
  #isClosed = false;
  readonly #waiting = new Waiters();

  constructor(options: RecentItemsOptions<Item>) {
    this.#options = options;
  }

  add(item: Item): void {
    const { itemsMax, bytesMax, bytesOf } = this.#options;
    this.#items.push(item);
    this.#bytes += bytesOf(item);
    this.#added++;
    while (this.#items.length > itemsMax || (this.#bytes > bytesMax && this.#items.length > 1)) {
      this.#bytes -= bytesOf(this.#items.shift()!);
    }
    this.#waiting.wake();
  }

  /** The newest first, so many at most. */
  list(most: number, isWanted: (item: Item) => boolean = () => true): Item[] {
    const found: Item[] = [];
    for (let at = this.#items.length - 1; at >= 0 && found.length < most; at--) {
      const item = this.#items.at(at)!;
      if (isWanted(item)) found.push(item);
    }
    return found;
  }

  /** Those that are wanted: the last `past` ones that there are, the oldest first, and then each as it comes. */
  async *follow(
    past: number,
    isWanted: (item: Item) => boolean,
    signal: AbortSignal,
  ): AsyncGenerator<FollowedItem<Item>> {
    let next = this.#added;
    for (const item of this.list(past, isWanted).reverse()) yield { item, omitted: 0 };
    while (!signal.aborted && !this.#isClosed) {
      const first = this.#added - this.#items.length;
      const omitted = Math.max(0, first - next);
      next += omitted;
      if (next === this.#added) await this.#waiting.next(signal);
      else {
        const item = this.#items.at(next++ - first)!;
        if (isWanted(item) || omitted > 0) yield { item, omitted };
      }
    }
  }

  /** There will be no more: readers end. */
  close(): void {
    this.#isClosed = true;
    this.#waiting.wake();
  }
}
