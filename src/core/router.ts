/**
 * Who gets a message: topic name to sessions, with overlapping subscriptions of one session merged into one delivery at the
 * highest matching QoS, with all their identifiers. [MQTT5 3.3.4-2] [MQTT3 3.3.5-1]
 *
 * What was found is remembered on the topic itself until any subscription changes, and while the memory that takes stays
 * within a bound.
 */
import type { QoS } from '../protocol/packets.ts';
import type { Topic } from '../protocol/topic.ts';
import { asPublished } from './prepared.ts';
import type { Session } from './session.ts';
import { SharedGroup } from './shared-group.ts';
import type { Subscription } from './subscription.ts';
import { TopicTree } from './topic-tree.ts';

/** One session's share in a message. */
export interface Target {
  readonly session: Session;
  readonly qos: QoS;
  readonly retainAsPublished: boolean;
  readonly subscriptionIds: readonly number[] | null;
  /** Which form of the message it gets; null: as published. */
  readonly subscriberClass: string | null;
  /** Some of the subscriptions are no-local: what the session gets of its own messages, or null for nothing. */
  readonly ownMessages: Target | null;
}

/** What is left of a target for a message that came from `origin`: No Local takes away the rest. [MQTT5 3.8.3-3] */
export function shareOf(target: Target, origin: Session | null): Target | null {
  return target.session === origin ? target.ownMessages : target;
}

export interface Route {
  readonly targets: readonly Target[];
  readonly groups: readonly SharedGroup[];
}

/**
 * The seam for several workers or machines: a publish goes to what `route` finds here, and to the nodes that asked for it.
 * Removing wants the same object that was added.
 */
export interface Router {
  readonly subscriptionCount: number;
  readonly sharedGroupCount: number;
  /** How many subscriptions get messages in another form than the published one. */
  readonly classifiedCount: number;
  add(subscription: Subscription): void;
  /** Returns the group it was a member of, if it was shared. */
  remove(subscription: Subscription): SharedGroup | null;
  /** All of a session that has ended. If they are more than `most`, nothing reaches it by the others, but they are not gone before `clear`. */
  removeAll(subscriptions: Iterable<Subscription>, most: number): void;
  /** Sessions that are remembered with topics, of all topics. */
  readonly remembered: number;
  /** There is something for `clear` to do. */
  readonly hasRemains: boolean;
  /** Takes out so many of those that were left. */
  clear(most: number): void;
  /** The shared subscription of that name, `{share name}/{filter}`. */
  group(name: string): SharedGroup | null;
  /** Valid until the next change. Leaves out sessions that may not have messages to this topic. */
  route(topic: Topic): Route;
  /** The rights of sessions have changed: routes that were found before are void. */
  invalidate(): void;
}

const nowhere: Route = { targets: [], groups: [] };

/** Targets remembered over all topics; beyond it all is forgotten and found again as it is needed. */
const rememberedMax = 1_000_000;

/** Beyond it sessions that end make everybody wait until their subscriptions are out. */
const remainsMax = 100_000;

export class LocalRouter implements Router {
  readonly #tree = new TopicTree<Subscription | SharedGroup>();
  readonly #groups = new Map<string, SharedGroup>();
  #generation = 0;
  #remembered = 0;
  #subscriptionCount = 0;
  #classifiedCount = 0;
  /** Of sessions that have ended. */
  readonly #remains: Subscription[] = [];

  get remembered(): number {
    return this.#remembered;
  }

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
    if (subscription.shareName === null) {
      this.#tree.add(subscription.filter, subscription);
      return this.#forget();
    }
    const key = `${subscription.shareName}/${subscription.filter}`;
    let group = this.#groups.get(key);
    if (group === undefined) {
      this.#groups.set(key, (group = new SharedGroup(key)));
      this.#tree.add(subscription.filter, group);
      this.#forget();
    }
    group.add(subscription);
  }

  remove(subscription: Subscription): SharedGroup | null {
    this.#count(subscription, -1);
    const group = this.#takeOut(subscription);
    if (group === null || group.isEmpty) this.#forget();
    return group;
  }

  #takeOut(subscription: Subscription): SharedGroup | null {
    const { shareName, filter } = subscription;
    if (shareName === null) {
      this.#tree.remove(filter, subscription);
      return null;
    }
    const key = `${shareName}/${filter}`;
    const group = this.#groups.get(key)!;
    group.remove(subscription);
    if (group.isEmpty) {
      this.#groups.delete(key);
      this.#tree.remove(filter, group);
    }
    return group;
  }

  removeAll(subscriptions: Iterable<Subscription>, most: number): void {
    let left = most;
    for (const each of subscriptions) {
      if (left-- > 0 || this.#remains.length >= remainsMax) this.remove(each);
      else {
        this.#count(each, -1);
        this.#remains.push(each);
        this.#forget();
      }
    }
  }

  get hasRemains(): boolean {
    return this.#remains.length > 0;
  }

  clear(most: number): void {
    for (const each of this.#remains.splice(-most)) this.#takeOut(each);
  }

  group(name: string): SharedGroup | null {
    return this.#groups.get(name) ?? null;
  }

  route(topic: Topic): Route {
    if (topic.routeGeneration === this.#generation) return topic.route as Route;
    const route = this.#find(topic);
    this.#remembered += 1 + route.targets.length;
    if (this.#remembered > rememberedMax) this.#forget();
    topic.route = route;
    topic.routeGeneration = this.#generation;
    return route;
  }

  invalidate(): void {
    this.#forget();
  }

  #forget(): void {
    this.#generation++;
    this.#remembered = 0;
  }

  #find(topic: Topic): Route {
    const found: (Subscription | SharedGroup)[] = [];
    this.#tree.find(topic.name, found);
    if (found.length === 0) return nowhere;
    const groups: SharedGroup[] = [];
    const bySession = new Map<Session, Subscription[]>();
    for (let i = 0; i < found.length; i++) {
      const item = found[i]!;
      if (item instanceof SharedGroup) groups.push(item);
      else if (!item.session.isEnded) {
        const subscriptions = bySession.get(item.session);
        if (subscriptions !== undefined) subscriptions.push(item);
        else if (item.session.rights?.receive(topic.name) !== false) bySession.set(item.session, [item]);
      }
    }
    const targets: Target[] = [];
    for (const subscriptions of bySession.values()) targets.push(mergeTarget(subscriptions)!);
    return { targets, groups };
  }
}

/** The forms that a message to these is needed in, beside the published one. */
export function subscriberClassesOf({ targets, groups }: Route): Set<string> {
  const classes = new Set<string>();
  for (const { subscriberClass } of targets) if (subscriberClass !== null) classes.add(subscriberClass);
  for (const group of groups) for (const each of group.subscriberClasses) classes.add(each);
  classes.delete(asPublished);
  return classes;
}

/** One copy is sent, so one of the subscriptions decides on its form: the first of those with the highest QoS. */
function mergeTarget(subscriptions: readonly Subscription[]): Target | null {
  let first = subscriptions[0];
  if (first === undefined) return null;
  let retainAsPublished = false;
  let hasNoLocal = false;
  const ids: number[] = [];
  for (let i = 0; i < subscriptions.length; i++) {
    const each = subscriptions[i]!;
    if (each.qos > first.qos) first = each;
    if (each.identifier > 0) ids.push(each.identifier);
    retainAsPublished ||= each.retainAsPublished;
    hasNoLocal ||= each.noLocal;
  }
  const target = {
    session: first.session,
    qos: first.qos,
    subscriberClass: first.subscriberClass,
    retainAsPublished,
    subscriptionIds: ids.length > 0 ? ids : null,
    ownMessages: null as Target | null,
  };
  target.ownMessages = hasNoLocal ? mergeTarget(subscriptions.filter(({ noLocal }) => !noLocal)) : target;
  return target;
}

/** Whether somebody gets it who is in no class. */
export function reachesUnclassified({ targets, groups }: Route): boolean {
  return groups.length > 0 || targets.some(({ subscriberClass }) => subscriberClass === null);
}
