/** What goes out over a bridge: what the sessions are subscribed to from which it goes. */
import type { BrokerContext } from '../broker/broker-context.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { QoS } from '../protocol/packets.ts';
import { describeReason, isFailure } from '../protocol/reason-codes.ts';
import { parseFilter } from '../protocol/topic.ts';
import type { OutEntry } from './peer-demand.ts';

export interface OutFiltersOptions {
  readonly context: BrokerContext;
  readonly session: ClientSession;
  /** Of the bridge. */
  readonly name: string;
  /** All that the session is to be subscribed to. */
  readonly wanted: readonly OutEntry[];
  readonly qosMax: QoS;
  /** What is retained has gone for these. */
  readonly known: ReadonlySet<string>;
  /** The settings are as before: what is there is right. */
  readonly isSame: boolean;
}

/** What is wanted anew is subscribed to before the rest goes: what comes meanwhile is for one of the two. */
export function subscribeOut(options: OutFiltersOptions): void {
  const { context, session, name, wanted, qosMax, known, isSame } = options;
  const { core, log, settings, subscriberPaths } = context;
  const before = new Set(session.subscriptions.keys());
  for (const each of wanted) {
    const { filter, qos, paths } = each;
    const retainHandling = handlingOf(each, known);
    if (!isSame || retainHandling === 0 || !before.has(filter)) {
      const code = core.subscribe(session, filter, parseFilter(filter, settings.limits)!, {
        ...{ qos: Math.min(qos, qosMax) as QoS, noLocal: true, retainAsPublished: true, retainHandling },
        ...{ identifier: 0, subscriberClass: null },
      });
      if (isFailure(code)) {
        log.error({ bridge: name, filter, reason: describeReason(code) }, 'a bridge cannot subscribe here');
      }
    }
    subscriberPaths.set(session, filter, paths);
    before.delete(filter);
  }
  for (const filter of before) {
    core.unsubscribe(session, filter);
    subscriberPaths.set(session, filter, null);
  }
  if (session.isConnected) core.beginReplays(session);
}

function handlingOf({ filter, retain, forward, isRetainedDone }: OutEntry, known: ReadonlySet<string>): 0 | 1 | 2 {
  if (retain === 'as-published') return 2;
  if (forward === 'all') return known.has(filter) ? 2 : 1;
  return isRetainedDone ? 2 : 0;
}
