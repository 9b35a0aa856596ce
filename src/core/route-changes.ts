/**
 * Which remembered routes a change of the subscriptions concerns, without a list of the routes.
 *
 * Filters and topics fall into slots: a filter by what stands before its first wildcard (nothing, one level, two
 * levels, or all of it), so each topic has four slots that the filters matching it can be in. A slot counts the changes
 * of its filters: a route whose slots count what they did is valid. The last changes are kept as well, so that a route
 * can be brought up to date by them instead of being found again.
 */
import type { SharedGroup } from './shared-group.ts';
import type { Subscription } from './subscription.ts';

/**
 * Slots for filters by their first level, their first two, and all of them, behind the one for those that begin with a
 * wildcard.
 */
const [oneLevel, twoLevels, whole] = [1_024, 4_096, 16_384];

/** So many changes are kept. A power of two. */
const kept = 1_024;

/** Others may have messages to the topics that the filter matches. */
export class RightsChange {
  readonly filter: string;

  constructor(filter: string) {
    this.filter = filter;
  }
}

export interface Change {
  readonly item: Subscription | SharedGroup | RightsChange;
  readonly isAdded: boolean;
}

/** Of a topic; the slot for filters that begin with a wildcard is everybody's. */
export interface TopicSlots {
  readonly first: number;
  readonly second: number;
  readonly third: number;
}

export class RouteChanges {
  /** How many there have been. */
  count = 0;
  readonly #counts = new Uint32Array(1 + oneLevel + twoLevels + whole);
  readonly #slots = new Uint16Array(kept);
  readonly #changes: (Change | null)[] = new Array<Change | null>(kept).fill(null);

  add(item: Change['item'], isAdded: boolean): void {
    const slot = slotOfFilter(item.filter);
    this.#counts[slot]!++;
    this.#slots[this.count % kept] = slot;
    this.#changes[this.count % kept] = { item, isAdded };
    this.count++;
  }

  /** Concerns all topics. */
  addForAll(): void {
    this.#counts[0]!++;
    this.#changes[this.count % kept] = null;
    this.count++;
  }

  /** Rises whenever a change may concern a topic with these slots. */
  stamp({ first, second, third }: TopicSlots): number {
    const counts = this.#counts;
    return counts[0]! + counts[first]! + counts[second]! + counts[third]!;
  }

  /**
   * The changes since there were `since` that may concern a topic with these slots, oldest first; null if they are not
   * known any more.
   */
  concerning({ first, second, third }: TopicSlots, since: number): Change[] | null {
    if (this.count - since > kept) return null;
    const found: Change[] = [];
    for (let i = since; i < this.count; i++) {
      const slot = this.#slots[i % kept]!;
      if (slot !== 0 && slot !== first && slot !== second && slot !== third) continue;
      found.push(this.#changes[i % kept]!);
    }
    return found;
  }
}

const [slash, plus, numberSign] = [47, 43, 35];
const emptyHash = 0x811c9dc5;

export function slotsOfTopic(name: string): TopicSlots {
  let hash = emptyHash;
  let first = -1;
  let second = -1;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code === slash && second === -1) {
      if (first === -1) first = slotOfLevel(hash);
      else second = slotOfTwoLevels(hash);
    }
    hash = Math.imul(hash ^ code, 0x01000193);
  }
  // `a/#` matches `a` as well, and `a/b/#` matches `a/b`. [MQTT5 4.7.1.2]
  if (first === -1) first = second = slotOfLevel(hash);
  else if (second === -1) second = slotOfTwoLevels(hash);
  return { first, second, third: slotOfAll(hash) };
}

export function slotOfFilter(filter: string): number {
  let hash = emptyHash;
  let slot = 0;
  let levels = 0;
  for (let i = 0; i < filter.length; i++) {
    const code = filter.charCodeAt(i);
    if (code === plus || code === numberSign) return slot;
    if (code === slash && levels < 2) slot = ++levels === 1 ? slotOfLevel(hash) : slotOfTwoLevels(hash);
    hash = Math.imul(hash ^ code, 0x01000193);
  }
  return slotOfAll(hash);
}

const mixed = (hash: number) => hash ^ (hash >>> 15);
const slotOfLevel = (hash: number) => 1 + (mixed(hash) & (oneLevel - 1));
const slotOfTwoLevels = (hash: number) => 1 + oneLevel + (mixed(hash) & (twoLevels - 1));
const slotOfAll = (hash: number) => 1 + oneLevel + twoLevels + (mixed(hash) & (whole - 1));
