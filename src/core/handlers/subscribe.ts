/**
 * Subscribing and unsubscribing, one topic filter at a time. Hooks have been asked before. [MQTT5 3.8.4]
 */
import { ReasonCode } from '../../protocol/reason-codes.ts';
import type { ParsedFilter } from '../../protocol/topic.ts';
import type { SubscriptionOptions } from '../client-session.ts';
import { filterFootprint } from '../footprint.ts';
import type { CoreParts } from '../parts.ts';
import type { Session } from '../session.ts';
import { type Subscription, storedForm, subscriptionOf } from '../subscription.ts';

/**
 * Returns the code for the SUBACK: the granted QoS or a failure. Retained messages are noted in `session.replays`; the
 * broker calls `beginReplays` once the SUBACK has left.
 */
export function subscribe(
  parts: CoreParts,
  session: Session,
  topicFilter: string,
  parsed: ParsedFilter,
  options: SubscriptionOptions,
): number {
  const existing = session.subscriptions.get(topicFilter);
  if (existing === undefined) {
    const { subscriptionsPerSession, subscriptionBytesPerSession } = parts.settings.limits;
    const filterBytes = Buffer.byteLength(topicFilter);
    if (session.subscriptions.size >= subscriptionsPerSession) return ReasonCode.QuotaExceeded;
    if (session.filterBytes + filterBytes > subscriptionBytesPerSession) return ReasonCode.QuotaExceeded;
    if (!session.account.mayAdd(filterFootprint(filterBytes))) return ReasonCode.QuotaExceeded;
    session.subscribed(filterBytes);
  }
  const { filter, shareName } = parsed;
  if (shareName !== null && parts.shared !== null) {
    // It would end with this node, and other nodes could not tell what had been for it.
    if (session.isOfProgram) return ReasonCode.SharedSubscriptionsNotSupported;
    keepForOthers(parts, session);
  }
  const isAsBefore = existing !== undefined && isSame(existing, options);
  const subscription = isAsBefore ? existing : subscriptionOf(session, topicFilter, parsed, options);
  // Who comes back and subscribes to all of it again changes no route.
  if (!isAsBefore) {
    // In this order, so that a shared subscription with no other member stays the same one, with what waits for it.
    parts.router.add(subscription);
    session.mayHoldShared ||= shareName !== null;
    if (existing !== undefined) parts.router.remove(existing);
    session.subscriptions.set(topicFilter, subscription);
  }
  // Shared subscriptions get no retained messages. [MQTT5 4.8.2] Retain Handling: [MQTT5 3.3.1-9] to [MQTT5 3.3.1-11]
  const wantsRetained = options.retainHandling === 0 || (options.retainHandling === 1 && existing === undefined);
  let owesRetained = false;
  if (wantsRetained && shareName === null) {
    if (existing !== undefined) dropReplays(session, topicFilter);
    owesRetained = parts.retained.mayHave(filter);
    if (owesRetained) session.replays.push({ subscription, messages: parts.retained.match(filter) });
  }
  // A new one owes nothing from before: the replays of all others need not be looked through.
  if (existing === undefined) save(parts, subscription, owesRetained);
  else saveAgain(parts, subscription);
  if (shareName !== null) parts.shared?.changed(session.clientId);
  return options.qos;
}

/** What is for a member must outlive this node, so that others get it, though the session itself need not. */
function keepForOthers({ store }: CoreParts, session: Session): void {
  if (session.isPersistent) return;
  session.isPersistent = session.isStored = true;
  store.putSession(session.stored);
  session.window.noted(session.window.next);
}

function isSame(subscription: Subscription, options: SubscriptionOptions): boolean {
  return (
    subscription.qos === options.qos &&
    subscription.noLocal === options.noLocal &&
    subscription.retainAsPublished === options.retainAsPublished &&
    subscription.retainHandling === options.retainHandling &&
    subscription.identifier === options.identifier &&
    subscription.subscriberClass === options.subscriberClass
  );
}

/** The pipeline puts a subscription into another class: what is published from now on comes in another form. */
export function reclassify(parts: CoreParts, subscription: Subscription, subscriberClass: string | null): void {
  if (subscription.subscriberClass === subscriberClass) return;
  const { session, topicFilter } = subscription;
  const inClass = (one: Subscription) => subscriptionOf(session, topicFilter, one, { ...one, subscriberClass });
  const changed = inClass(subscription);
  parts.router.add(changed);
  parts.router.remove(subscription);
  session.subscriptions.set(topicFilter, changed);
  for (const replay of session.replays) {
    if (replay.subscription.topicFilter === topicFilter) replay.subscription = inClass(replay.subscription);
  }
  saveAgain(parts, changed);
}

/** Stored with its subscription, a replay that a restart cuts short begins again after it. */
function save(parts: CoreParts, subscription: Subscription, owesRetained: boolean): void {
  const { session } = subscription;
  if (session.isPersistent) parts.store.putSubscription(session.sid, storedForm(subscription, owesRetained));
}

function saveAgain(parts: CoreParts, subscription: Subscription): void {
  const { replays } = subscription.session;
  save(
    parts,
    subscription,
    replays.some((replay) => replay.subscription.topicFilter === subscription.topicFilter),
  );
}

/** Returns the code for the UNSUBACK. */
export function unsubscribe(parts: CoreParts, session: Session, topicFilter: string): number {
  const subscription = session.subscriptions.get(topicFilter);
  if (subscription === undefined) return ReasonCode.NoSubscriptionExisted;
  session.subscriptions.delete(topicFilter);
  session.unsubscribed(Buffer.byteLength(topicFilter));
  dropReplays(session, topicFilter);
  const group = parts.router.remove(subscription);
  if (group !== null) {
    parts.shared?.left(session.clientId, group.name);
    parts.delivering.redistribution.begin(session, group);
  }
  if (session.isPersistent) parts.store.removeSubscription(session.sid, topicFilter);
  return ReasonCode.Success;
}

function dropReplays(session: Session, topicFilter: string): void {
  for (let i = session.replays.length - 1; i >= 0; i--) {
    if (session.replays[i]!.subscription.topicFilter === topicFilter) session.replays.splice(i, 1);
  }
}
