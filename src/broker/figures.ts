/** What a broker is at in a few figures, all of them at hand, for its page of status and for alarms. */
import { Pressure } from '../base/ledger.ts';
import type { StoreState } from '../contracts/status.ts';
import type { BrokerContext } from './broker-context.ts';

export interface BrokerFigures {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly clients: { readonly connected: number; readonly absent: number };
  readonly connections: { readonly open: number; readonly unauthenticated: number };
  readonly subscriptions: number;
  readonly retained: { readonly messages: number; readonly bytes: number };
  readonly queued: { readonly messages: number; readonly bytes: number };
  readonly store: StoreState;
  readonly memory: {
    readonly bytes: number;
    /** Null: there is none. */
    readonly ceilingBytes: number | null;
    readonly pressure: keyof typeof Pressure;
  };
  /** Since the start. */
  readonly counts: {
    readonly messagesReceived: number;
    readonly messagesSent: number;
    readonly messagesDropped: number;
    readonly bytesReceived: number;
    readonly bytesSent: number;
    readonly connectionsAccepted: number;
    readonly connectionsRefused: number;
    /** Messages that found a full queue. */
    readonly queueFull: number;
    /** By which the ticks of the broker came late, in all. */
    readonly loopDelaySeconds: number;
  };
}

export function figuresOf(context: BrokerContext): BrokerFigures {
  const { core, counters, ledger, connections, admission, storeHealth, tickDelay } = context;
  const { sessionCount, connectedCount, subscriptionCount, retainedCount, retainedBytes } = core.view;
  return {
    startedAt: counters.startedAt,
    clients: { connected: connectedCount, absent: sessionCount - connectedCount },
    connections: { open: connections.size, unauthenticated: admission.unauthenticated },
    subscriptions: subscriptionCount,
    retained: { messages: retainedCount, bytes: retainedBytes },
    queued: { messages: core.view.queuedMessages, bytes: core.view.queuedBytes },
    store: storeHealth.state,
    memory: {
      bytes: ledger.bytes,
      ceilingBytes: Number.isFinite(ledger.ceiling) ? ledger.ceiling : null,
      pressure: pressureNames[ledger.pressure]!,
    },
    counts: {
      messagesReceived: counters.publishReceived,
      messagesSent: counters.publishSent,
      messagesDropped: counters.droppedInAll,
      bytesReceived: counters.bytesReceived,
      bytesSent: counters.bytesSent,
      connectionsAccepted: counters.connectionsAccepted,
      connectionsRefused: counters.connectionsRefused,
      queueFull: counters.dropped.queueFull,
      loopDelaySeconds: tickDelay.seconds.sum,
    },
  };
}

const pressureNames = Object.keys(Pressure) as (keyof typeof Pressure)[];
