import type { StoredSubscription } from '../contracts/session-store.ts';
import type { ParsedFilter } from '../protocol/topic.ts';
import type { SubscriptionOptions } from './client-session.ts';
import type { Target } from './route.ts';
import type { Session } from './session.ts';

/** One topic filter of one session, with its options. [MQTT5 3.8.3.1] */
export interface Subscription extends SubscriptionOptions {
  readonly session: Session;
  /** As the client wrote it, `$share/…` included: the key of the subscription. */
  readonly topicFilter: string;
  /** What is matched. */
  readonly filter: string;
  readonly shareName: string | null;
  /** What it is in routes where its session has no other subscription; null until there is one. */
  target: Target | null;
}

/**
 * Makes every subscription, property by property: V8 takes 13 µs for a literal that begins with a spread, and makes a
 * dictionary of it.
 */
export function subscriptionOf(
  session: Session,
  topicFilter: string,
  { filter, shareName }: Pick<ParsedFilter, 'filter' | 'shareName'>,
  { qos, noLocal, retainAsPublished, retainHandling, identifier, subscriberClass }: SubscriptionOptions,
): Subscription {
  return {
    session,
    topicFilter,
    filter,
    shareName,
    qos,
    noLocal,
    retainAsPublished,
    retainHandling,
    identifier,
    subscriberClass,
    target: null,
  };
}

/** As it is kept over restarts. */
export function storedForm(subscription: Subscription, owesRetained: boolean): StoredSubscription {
  const { topicFilter, qos, noLocal, retainAsPublished, retainHandling, identifier, subscriberClass } = subscription;
  return { topicFilter, qos, noLocal, retainAsPublished, retainHandling, identifier, subscriberClass, owesRetained };
}
