/**
 * Who gets a message: topic name to sessions and shared subscriptions.
 *
 * What was found is remembered on the topic, while the memory that takes stays within a bound. A change of a
 * subscription voids no other routes than those it concerns, and mends those if it can: see `route-changes.ts`.
 */
import { ShardedMap } from '../base/sharded-map.ts';
import { matches, type ParsedFilter, type Topic } from '../protocol/topic.ts';
import { TopicTree, type TreeSearch } from '../protocol/topic-tree.ts';
import { FilterWatch, type FilterWatchOptions } from './filter-watch.ts';
import { filterFootprint } from './footprint.ts';
import { asPublished } from './prepared.ts';
import { type Route, type Target, targetOf } from './route.ts';
import { type Change, RightsChange, RouteChanges, slotsOfTopic, type TopicSlots } from './route-changes.ts';
import { RouteSearch } from './route-search.ts';
import type { Session } from './session.ts';
import { SharedGroup } from './shared-group.ts';
import type { Subscription } from './subscription.ts';

/**
 * The seam for several workers or machines: a publish goes to what `route` finds here, and to the nodes that asked for
 * it. Removing wants the same object that was added.
 */
export interface Router {
  readonly subscriptionCount: number;
  readonly sharedGroupCount: number;
  /** How many subscriptions get messages in another form than the published one. */
  readonly classifiedCount: number;
  add(subscription: Subscription): void;
  /** Returns the group it was a member of, if it was shared. */
  remove(subscription: Subscription): SharedGroup | null;
  /**
   * All of a session that has ended. If they are more than `most`, nothing reaches it by the others, but they are not
   * gone before `clear`.
   */
  removeAll(subscriptions: Iterable<Subscription>, most: number): void;
  /** There is something for `clear` to do. */
  readonly hasRemains: boolean;
  /** In memory, about: what `clear` will take out. */
  readonly remainsBytes: number;
  /** Takes out so many of those that were left. */
  clear(most: number): void;
  /** The shared subscription of that name, `{share name}/{filter}`. */
  group(name: string): SharedGroup | null;
  /** Subscriptions with just this filter, those of sessions that have ended included. */
  subscriptionsWith(filter: Pick<ParsedFilter, 'filter' | 'shareName'>): Iterable<Subscription>;
  /** Finds what matches a topic, whatever the rules say of it: see `TopicTree.search`. */
  searchMatching(): TreeSearch<Subscription | SharedGroup>;
  /**
   * As things are now. Leaves out sessions that may not have messages to this topic; may have some that have ended: see
   * `targetExcludingOrigin`.
   */
  route(topic: Topic): Route;
  /**
   * Null: the route is at hand, or was found with little work. Else there is much to do, and `route` would do all of it
   * at once; a caller that can wait calls `PendingRoute.step` until it returns false, and then `route`.
   */
  search(topic: Topic): PendingRoute | null;
  /** Tells which filters others have, until `unwatch`. */
  watch(options: FilterWatchOptions): FilterWatch;
  unwatch(watch: FilterWatch): void;
  /** What the client of this session may have has changed. */
  rightsChangedOf(session: Session): void;
  /** Others may have messages to these topics now (filters; null: to any): routes to them are void. */
  rightsChanged(topics: readonly string[] | null): void;
  /** Every route is void. */
  invalidate(): void;
  /** Nobody will ask for the route of this topic for long. */
  release(topic: Topic): void;
  /** What remembered routes take, about. */
  readonly rememberedBytes: number;
}

export interface PendingRoute {
  /** Does a bounded amount of work; returns whether there is more to do. */
  step(): boolean;
}

/** Remembered routes take so much memory, about: beyond it all are forgotten, and found again as they are needed. */
const rememberedBytesMax = 67_108_864;
const [routeBytes, targetBytes, mergedBytes, identifierBytes] = [200, 8, 120, 8];

/** Looked at in one go: nodes of the tree and subscriptions, 0.1 ms or so. */
const stepBudget = 2_000;

/**
 * A route is found again if more changes may concern it than these and some for each target, or more do concern it than
 * those.
 */
const [changesMax, mendedMax] = [16, 32];

/** So many filters of topics whose readers have changed are looked at one by one. */
const rightsChangesMax = 256;

/** A route, and what it is right for: the changes counted in the slots of its topic. */
class RememberedRoute implements Route, TopicSlots {
  targets: readonly Target[];
  groups: readonly SharedGroup[];
  readonly first: number;
  readonly second: number;
  readonly third: number;
  readonly stamp: number;
  bytes = 0;

  constructor({ first, second, third }: TopicSlots, stamp: number, { targets, groups }: Route) {
    this.targets = targets;
    this.groups = groups;
    this.first = first;
    this.second = second;
    this.third = third;
    this.stamp = stamp;
  }
}

const nowhere: Route = { targets: [], groups: [] };

export class LocalRouter implements Router {
  readonly #tree = new TopicTree<Subscription | SharedGroup>();
  /** For the next search. */
  #idle = new RouteSearch(this.#tree);
  readonly #groups = new ShardedMap<string, SharedGroup>();
  readonly #changes = new RouteChanges();
  /** Routes that were right when there had been fewer changes are void. */
  #voidBefore = 0;
  #rememberedBytes = 0;
  #subscriptionCount = 0;
  #classifiedCount = 0;
  /** Told of each subscription that comes or goes. */
  readonly #watches = new Set<FilterWatch>();
  /** Of sessions that have ended. */
  readonly #remains: Subscription[] = [];
  #remainsBytes = 0;

  get classifiedCount(): number {
    return this.#classifiedCount;
  }

  get subscriptionCount(): number {
    return this.#subscriptionCount;
  }

  get sharedGroupCount(): number {
    return this.#groups.size;
  }

  #count({ subscriberClass }: Subscription, change: 1 | -1): void {
    this.#subscriptionCount += change;
    if (subscriberClass !== null && subscriberClass !== asPublished) this.#classifiedCount += change;
  }

  add(subscription: Subscription): void {
    this.#count(subscription, 1);
    this.#addToTree(subscription);
    if (this.#watches.size > 0) for (const watch of this.#watches) watch.added(subscription);
  }

  #addToTree(subscription: Subscription): void {
    if (subscription.shareName === null) {
      this.#tree.add(subscription.filter, subscription);
      return this.#changes.add(subscription, true);
    }
    const key = `${subscription.shareName}/${subscription.filter}`;
    let group = this.#groups.get(key);
    if (group === undefined) {
      this.#groups.set(key, (group = new SharedGroup(key, subscription.filter)));
      this.#tree.add(subscription.filter, group);
      this.#changes.add(group, true);
    }
    group.add(subscription);
  }

  remove(subscription: Subscription): SharedGroup | null {
    this.#count(subscription, -1);
    return this.#takeOut(subscription);
  }

  #takeOut(subscription: Subscription): SharedGroup | null {
    const group = this.#takeOutOfTree(subscription);
    if (this.#watches.size > 0) for (const watch of this.#watches) watch.removed(subscription);
    return group;
  }

  #takeOutOfTree(subscription: Subscription): SharedGroup | null {
    const { shareName, filter } = subscription;
    if (shareName === null) {
      this.#tree.remove(filter, subscription);
      this.#changes.add(subscription, false);
      return null;
    }
    const key = `${shareName}/${filter}`;
    const group = this.#groups.get(key)!;
    group.remove(subscription);
    if (group.isEmpty) {
      this.#groups.delete(key);
      this.#tree.remove(filter, group);
      this.#changes.add(group, false);
    }
    return group;
  }

  removeAll(subscriptions: Iterable<Subscription>, most: number): void {
    let left = most;
    for (const each of subscriptions) {
      if (left-- > 0) this.remove(each);
      else {
        this.#count(each, -1);
        this.#remains.push(each);
        this.#remainsBytes += filterFootprint(each.topicFilter.length);
      }
    }
  }

  get hasRemains(): boolean {
    return this.#remains.length > 0;
  }

  get remainsBytes(): number {
    return this.#remainsBytes;
  }

  clear(most: number): void {
    for (const each of this.#remains.splice(-most)) {
      this.#remainsBytes -= filterFootprint(each.topicFilter.length);
      this.#takeOut(each);
    }
  }

  group(name: string): SharedGroup | null {
    return this.#groups.get(name) ?? null;
  }

  *subscriptionsWith({ filter, shareName }: Pick<ParsedFilter, 'filter' | 'shareName'>): Generator<Subscription> {
    if (shareName !== null) return yield* this.group(`${shareName}/${filter}`)?.members ?? [];
    for (const each of this.#tree.under(filter)) if (!(each instanceof SharedGroup)) yield each;
  }

  watch(options: FilterWatchOptions): FilterWatch {
    const watch = new FilterWatch(this.#tree, options);
    this.#watches.add(watch);
    return watch;
  }

  unwatch(watch: FilterWatch): void {
    this.#watches.delete(watch);
  }

  searchMatching(): TreeSearch<Subscription | SharedGroup> {
    return this.#tree.search();
  }

  get rememberedBytes(): number {
    return this.#rememberedBytes;
  }

  route(topic: Topic): Route {
    if (topic.routeGeneration === this.#changes.count) return topic.route as Route;
    const remembered = this.#refreshed(topic);
    if (remembered !== null) return remembered;
    const search = this.#idle;
    search.begin(topic.name);
    search.step(Number.POSITIVE_INFINITY);
    return this.#found(topic, search, this.#begin(topic), this.#changes.count);
  }

  search(topic: Topic): PendingRoute | null {
    if (topic.routeGeneration === this.#changes.count || this.#refreshed(topic) !== null) return null;
    const search = this.#idle;
    search.begin(topic.name);
    const route = this.#begin(topic);
    const since = this.#changes.count;
    if (search.step(stepBudget)) {
      this.#idle = new RouteSearch(this.#tree);
      return this.#pending(topic, search, route, since);
    }
    this.#found(topic, search, route, since);
    return null;
  }

  #pending(topic: Topic, search: RouteSearch, route: RememberedRoute, since: number): PendingRoute {
    const step = () => {
      if (search.step(stepBudget)) return true;
      // It may have missed what has changed since it began: that is mended when the route is asked for.
      this.#found(topic, search, route, since);
      return false;
    };
    return { step };
  }

  rightsChangedOf({ subscriptions }: Session): void {
    for (const each of subscriptions.values()) {
      if (each.shareName !== null) continue;
      this.#changes.add(each, false);
      this.#changes.add(each, true);
    }
  }

  rightsChanged(topics: readonly string[] | null): void {
    if (topics === null || topics.length > rightsChangesMax) return this.#forget();
    for (const filter of topics) this.#changes.add(new RightsChange(filter), true);
  }

  invalidate(): void {
    this.#forget();
  }

  release(topic: Topic): void {
    if (topic.routeGeneration >= this.#voidBefore) this.#rememberedBytes -= (topic.route as RememberedRoute).bytes;
    topic.route = null;
    topic.routeGeneration = -1;
  }

  #forget(): void {
    this.#changes.addForAll();
    this.#voidBefore = this.#changes.count;
    this.#rememberedBytes = 0;
  }

  /** A route that is still to be found, as of now. */
  #begin(topic: Topic): RememberedRoute {
    if (this.#rememberedBytes > rememberedBytesMax) this.#forget();
    const slots = slotsOfTopic(topic.name);
    return new RememberedRoute(slots, this.#changes.stamp(slots), nowhere);
  }

  #found(topic: Topic, search: RouteSearch, route: RememberedRoute, since: number): Route {
    const { targets, several } = search;
    route.targets = targets;
    route.groups = search.groups;
    route.bytes = routeBytes + targetBytes * targets.length;
    route.bytes += mergedBytes * several.targets + identifierBytes * several.subscriptions;
    return this.#remember(topic, route, since);
  }

  #remember(topic: Topic, route: RememberedRoute, since: number): Route {
    const before = topic.routeGeneration >= this.#voidBefore ? (topic.route as RememberedRoute).bytes : 0;
    this.#rememberedBytes += route.bytes - before;
    topic.route = route;
    topic.routeGeneration = since;
    return route;
  }

  /** What is remembered of the topic, brought up to date; null if it is to be found again. */
  #refreshed(topic: Topic): Route | null {
    if (topic.routeGeneration < this.#voidBefore) return null;
    const route = topic.route as RememberedRoute;
    const { count } = this.#changes;
    const stamp = this.#changes.stamp(route);
    if (stamp === route.stamp) {
      topic.routeGeneration = count;
      return route;
    }
    const mended = mend(route, topic.name, this.#changes.concerning(route, topic.routeGeneration));
    if (mended === null) return null;
    const next = new RememberedRoute(route, stamp, mended);
    next.bytes = route.bytes + targetBytes * (next.targets.length - route.targets.length);
    return this.#remember(topic, next, count);
  }
}

/** The route after these changes; null if it is easier found again. A change that it knows already does nothing. */
function mend(route: Route, topicName: string, changes: readonly Change[] | null): Route | null {
  if (changes === null || changes.length > changesMax + route.targets.length / 4) return null;
  let { targets, groups } = route;
  let mended = 0;
  for (const { item, isAdded } of changes) {
    if (!matches(item.filter, topicName)) continue;
    if (++mended > mendedMax || item instanceof RightsChange) return null;
    if (item instanceof SharedGroup) {
      groups = groups.filter((group) => group !== item);
      if (isAdded) groups = [...groups, item];
    } else {
      const changed = isAdded ? withTargetOf(item, targets, topicName) : withoutTargetOf(item, targets);
      if (changed === null) return null;
      targets = changed;
    }
  }
  return { targets, groups };
}

/** Null if the session has another subscription that the topic matches. */
function withTargetOf(
  subscription: Subscription,
  targets: readonly Target[],
  topicName: string,
): readonly Target[] | null {
  const { session, topicFilter } = subscription;
  if (session.isEnded) return targets;
  const place = placeOf(session, targets);
  if (place < 0) {
    return session.rights?.receive(topicName) === false ? targets : [...targets, targetOf(subscription)];
  }
  const { source } = targets[place]!;
  if (source === subscription) return targets;
  if (source?.topicFilter !== topicFilter) return null;
  const changed = targets.slice();
  changed[place] = targetOf(subscription);
  return changed;
}

/** Null if others of its session are merged with it. */
function withoutTargetOf(subscription: Subscription, targets: readonly Target[]): readonly Target[] | null {
  const place = placeOf(subscription.session, targets);
  if (place < 0) return targets;
  const { source } = targets[place]!;
  if (source === null) return null;
  if (source !== subscription) return targets;
  const changed = targets.slice();
  const last = changed.pop()!;
  if (last !== targets[place]) changed[place] = last;
  return changed;
}

/** There may be very many. */
function placeOf(session: Session, targets: readonly Target[]): number {
  if (targets[session.routePlace]?.session === session) return session.routePlace;
  for (let i = 0; i < targets.length; i++) if (targets[i]!.session === session) return i;
  return -1;
}
