/** Finds the route of one topic, at once or in steps. */

import type { TopicTree, TreeSearch } from '../protocol/topic-tree.ts';
import { type Target, TargetMerge, targetOf } from './route.ts';
import type { Session } from './session.ts';
import { SharedGroup } from './shared-group.ts';
import type { Subscription } from './subscription.ts';

/** Of several searches, the one that has set `Session.routePlace` last. */
let last: RouteSearch | null = null;

/** What is found in one go before it is looked at. */
const found: (Subscription | SharedGroup)[] = [];

const none: readonly never[] = [];
const single = { targets: 0, subscriptions: 0 };

export class RouteSearch {
  #topicName = '';
  readonly #search: TreeSearch<Subscription | SharedGroup>;
  #targets: Target[] | null = null;
  #groups: SharedGroup[] | null = null;
  /** By the place of a target: the subscriptions of its session, if they are several. */
  #several: Map<number, TargetMerge> | null = null;
  #lastPlace = -1;
  #lastMerge: TargetMerge | null = null;

  constructor(tree: TopicTree<Subscription | SharedGroup>) {
    this.#search = tree.search();
  }

  /** The search before must have come to its end. */
  begin(topicName: string): void {
    this.#topicName = topicName;
    this.#search.begin(topicName);
    this.#targets = this.#groups = this.#several = null;
    this.#lastPlace = -1;
    this.#lastMerge = null;
  }

  /** Looks at no more than about `budget` nodes and subscriptions. Returns whether there is more to do. */
  step(budget: number): boolean {
    if (last !== this && this.#targets !== null) setPlaces(this.#targets);
    last = this;
    found.length = 0;
    const hasMore = this.#search.step(budget, found);
    for (let i = 0; i < found.length; i++) {
      const item = found[i]!;
      if (item instanceof SharedGroup) {
        if (this.#groups === null) this.#groups = [item];
        else this.#groups.push(item);
      } else if (!item.session.isEnded) this.#take(item, item.session);
    }
    return hasMore;
  }

  #take(subscription: Subscription, session: Session): void {
    const place = session.routePlace;
    const targets = this.#targets;
    if (targets !== null && targets[place]?.session === session) {
      this.#addTo(place, targets[place]!, subscription);
    } else if (session.rights?.receive(this.#topicName) !== false) {
      const target = targetOf(subscription);
      session.routePlace = targets === null ? 0 : targets.length;
      // Most have one: an array that grows would be larger than all else.
      if (targets === null) this.#targets = [target];
      else targets.push(target);
    }
  }

  #addTo(place: number, target: Target, subscription: Subscription): void {
    if (place !== this.#lastPlace) {
      this.#several ??= new Map();
      this.#lastPlace = place;
      const known = this.#several.get(place);
      this.#lastMerge = known ?? new TargetMerge(target.source!);
      if (known === undefined) this.#several.set(place, this.#lastMerge);
    }
    this.#lastMerge!.add(subscription);
  }

  /** Once there is no more to do. */
  get targets(): readonly Target[] {
    const targets = this.#targets;
    if (targets === null) return none;
    if (this.#several !== null) {
      for (const [place, merge] of this.#several) targets[place] = merge.target;
    }
    return targets.length === 1 ? targets : targets.slice();
  }

  /** How many targets are merged, and of how many subscriptions. */
  get several(): { targets: number; subscriptions: number } {
    if (this.#several === null) return single;
    let subscriptions = 0;
    for (const each of this.#several.values()) subscriptions += each.count;
    return { targets: this.#several.size, subscriptions };
  }

  get groups(): readonly SharedGroup[] {
    return this.#groups ?? none;
  }
}

function setPlaces(targets: readonly Target[]): void {
  for (let i = 0; i < targets.length; i++) targets[i]!.session.routePlace = i;
}
