/**
 * What a topic leads to: the sessions that get its messages, each once, and the shared subscriptions.
 *
 * Overlapping subscriptions of one session are merged into one delivery at the highest matching QoS, with all their
 * identifiers. [MQTT5 3.3.4-2] [MQTT3 3.3.5-1]
 */
import type { QoS } from '../protocol/packets.ts';
import { asPublished } from './prepared.ts';
import type { Session } from './session.ts';
import type { SharedGroup } from './shared-group.ts';
import type { Subscription } from './subscription.ts';

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
  /** The subscription it comes from; null: from several. */
  readonly source: Subscription | null;
}

/** Never changes: whoever works through one in steps meets everybody once. */
export interface Route {
  readonly targets: readonly Target[];
  readonly groups: readonly SharedGroup[];
}

/**
 * What is left of a target for a message that came from `origin`: No Local takes away the rest. [MQTT5 3.8.3-3] Nothing
 * is left of a session that has ended since the route was found.
 */
export function targetExcludingOrigin(target: Target, origin: Session | null): Target | null {
  const { session } = target;
  if (session.isEnded) return null;
  return isOwn(session, origin) ? target.ownMessages : target;
}

/** Whether what comes from `origin` counts as published by this session. */
export function isOwn(session: Session, origin: Session | null): boolean {
  return session === origin || (origin !== null && session.counterpart === origin);
}

/** The target of a session with this subscription only: one object in all routes. */
export function targetOf(subscription: Subscription): Target {
  return (subscription.target ??= new TargetMerge(subscription).target);
}

/**
 * The overlapping subscriptions of one session, one after the other: there may be thousands. One copy is sent, so one
 * of them decides on its form: the first of those with the highest QoS.
 */
export class TargetMerge {
  #first: Subscription;
  #retainAsPublished: boolean;
  #ids: number[] | null = null;
  /** Those without No Local; null: none, or while none has it, all. */
  #own: TargetMerge | null = null;
  #hasNoLocal: boolean;
  count = 1;

  constructor(first: Subscription) {
    this.#first = first;
    this.#retainAsPublished = first.retainAsPublished;
    this.#hasNoLocal = first.noLocal;
    if (first.identifier > 0) this.#ids = [first.identifier];
  }

  add(subscription: Subscription): void {
    if (subscription.noLocal) {
      if (!this.#hasNoLocal) this.#own = this.#copy();
      this.#hasNoLocal = true;
    } else if (this.#hasNoLocal) {
      if (this.#own === null) this.#own = new TargetMerge(subscription);
      else this.#own.add(subscription);
    }
    this.count++;
    if (subscription.qos > this.#first.qos) this.#first = subscription;
    if (subscription.identifier > 0) (this.#ids ??= []).push(subscription.identifier);
    this.#retainAsPublished ||= subscription.retainAsPublished;
  }

  #copy(): TargetMerge {
    const copy = new TargetMerge(this.#first);
    copy.#retainAsPublished = this.#retainAsPublished;
    copy.#ids = this.#ids?.slice() ?? null;
    copy.count = this.count;
    return copy;
  }

  get target(): Target {
    const first = this.#first;
    const target = {
      session: first.session,
      qos: first.qos,
      subscriberClass: first.subscriberClass,
      retainAsPublished: this.#retainAsPublished,
      subscriptionIds: this.#ids,
      ownMessages: null as Target | null,
      source: this.count === 1 ? first : null,
    };
    target.ownMessages = this.#hasNoLocal ? (this.#own?.target ?? null) : target;
    return target;
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

/** Whether somebody gets it who is in no class. */
export function reachesUnclassified({ targets, groups }: Route): boolean {
  return groups.length > 0 || targets.some(({ subscriberClass }) => subscriberClass === null);
}
