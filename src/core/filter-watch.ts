/**
 * Which topic filters others have subscribed to, as far as they have topics in common with a given one: kept current by
 * every subscription that comes or goes, and asked for nothing meanwhile. Bridges subscribe at their peers to these.
 *
 * Filters that are there at the beginning are found in steps. There may be very many: beyond a number of them it only
 * says so, until many have gone and it looks again.
 */

import { meet } from '../protocol/topic.ts';
import type { SharedGroup } from './shared-group.ts';
import type { Subscription } from './subscription.ts';

export interface FilterWatchOptions {
  /** Without a share name. */
  readonly filter: string;
  /** More are not remembered. */
  readonly most: number;
  /** Whether this one counts: not of those who ask. */
  readonly counts: (session: Subscription['session']) => boolean;
  /** Whether it matters who has a filter: then each subscription to one that is known is a change as well. */
  readonly asksWho: () => boolean;
  /** Something is other than before. Called while the core is at work: it is to be looked at later. */
  readonly onChange: () => void;
  /** There are steps to take once more. */
  readonly onLookAgain: () => void;
}

/** What a watch sees of the router. */
export interface WatchedFilters {
  /**
   * Whatever is filed under filters that may have topics in common with this one; what changes meanwhile may be missed.
   */
  around(filter: string): Iterator<Subscription | SharedGroup>;
  under(filter: string): Iterable<Subscription | SharedGroup>;
}

type Item = Subscription | SharedGroup;

export class FilterWatch {
  readonly #options: FilterWatchOptions;
  readonly #filters: WatchedFilters;
  /** Null: they are too many. */
  #found: Set<string> | null = new Set();
  /** What is left of the look at all of them; null: it is over. */
  #walk: Iterator<Item> | null;
  /** Until it looks again. */
  #goneLeft = 0;

  constructor(filters: WatchedFilters, options: FilterWatchOptions) {
    this.#filters = filters;
    this.#options = options;
    this.#walk = filters.around(options.filter);
  }

  /** Whether all that was there at the beginning has been looked at. */
  get isKnown(): boolean {
    return this.#walk === null;
  }

  /** Null: they are too many, or not all are known yet. */
  get found(): ReadonlySet<string> | null {
    return this.#walk === null ? this.#found : null;
  }

  /** Looks at so many subscriptions that were there before. Returns whether there may be more. */
  step(budget: number): boolean {
    for (let left = budget; left > 0 && this.#walk !== null; left--) {
      const { value, done } = this.#walk.next();
      if (done === true) this.#walk = null;
      else this.#add(value);
    }
    if (this.#walk !== null) return true;
    this.#options.onChange();
    return false;
  }

  /** Somebody has subscribed. */
  added(item: Item): void {
    if (this.#add(item) || this.#isOneMore(item)) this.#options.onChange();
  }

  #isOneMore(item: Item): boolean {
    return this.#options.asksWho() && this.#found?.has(item.filter) === true && this.#isWanted(item);
  }

  /** Who has subscribed to a filter that was found; a shared subscription as a whole. */
  *subscribersOf(filter: string): Generator<Item> {
    for (const each of this.#filters.under(filter)) if (this.#isWanted(each)) yield each;
  }

  #add(item: Item): boolean {
    const { filter, most } = this.#options;
    if (this.#found === null || this.#found.has(item.filter) || !this.#isWanted(item)) return false;
    if (isHidden(item.filter, filter) || isHidden(filter, item.filter) || meet(item.filter, filter) === null)
      return false;
    this.#found.add(item.filter);
    if (this.#found.size > most) this.#tooMany();
    return true;
  }

  #tooMany(): void {
    this.#found = null;
    this.#goneLeft = this.#options.most;
    this.#walk = null;
  }

  #isWanted(item: Item): boolean {
    return !('session' in item) || (!item.session.isEnded && this.#options.counts(item.session));
  }

  /** This is not there any more. Others may have the same filter. */
  removed({ filter }: Item): void {
    if (this.#found === null) return this.#goneOfMany();
    if (!this.#found.has(filter)) return;
    const { done } = this.subscribersOf(filter).next();
    if (done === true) this.#found.delete(filter);
    if (done === true || this.#options.asksWho()) this.#options.onChange();
  }

  #goneOfMany(): void {
    if (--this.#goneLeft > 0) return;
    this.#found = new Set();
    this.#walk = this.#filters.around(this.#options.filter);
    this.#options.onLookAgain();
  }
}

/** Whether one begins with a wildcard, which matches no topic that begins as the other one does. [MQTT5 4.7.2-1] */
const isHidden = (one: string, other: string) => /^[+#]/.test(one) && other.startsWith('$');
