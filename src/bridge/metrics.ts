/** What bridges count and measure, each with its name as the label. */
import { counter, gauge, type Metric, type Sample } from '../base/metrics.ts';
import type { BridgeView } from '../contracts/commands/bridges.ts';

interface Measured {
  readonly name: string;
  view(): Omit<BridgeView, 'isConfigured'>;
}

export function bridgeMetrics(bridges: Iterable<Measured>): Metric[] {
  const each = (figure: (view: Omit<BridgeView, 'isConfigured'>) => number) => () => samples(bridges, figure);
  const byDirection = (out: 'messagesOut' | 'bytesOut', into: 'messagesIn' | 'bytesIn') =>
    function* (): Generator<Sample<number>> {
      for (const bridge of bridges) {
        const view = bridge.view();
        if (view.state === 'standby') continue;
        yield { labels: { bridge: bridge.name, direction: 'out' }, value: view[out] };
        yield { labels: { bridge: bridge.name, direction: 'in' }, value: view[into] };
      }
    };
  return [
    gauge(
      {
        name: 'sluice_bridge_connected',
        help: '1 while the bridge is connected to its peer, else 0',
        unit: 'boolean',
        worry: 'it is 0: messages wait for the peer; `sluice bridges list` says why',
      },
      each(({ state }) => (state === 'connected' ? 1 : 0)),
    ),
    counter(
      {
        name: 'sluice_bridge_connects_total',
        help: 'How often the bridge has found its peer',
        unit: 'times',
        worry: 'it rises: the link is lost again and again',
      },
      each(({ connects }) => connects),
    ),
    gauge(
      {
        name: 'sluice_bridge_queued_messages',
        help: 'Messages that wait for the peer of the bridge',
        unit: 'messages',
        worry: 'it rises while the bridge is connected: the peer takes less than is published',
      },
      each(({ queued }) => queued),
    ),
    gauge(
      {
        name: 'sluice_bridge_queued_bytes',
        help: 'Payloads, properties and topics of messages that wait for the peer of the bridge',
        unit: 'bytes',
      },
      each(({ queuedBytes }) => queuedBytes),
    ),
    gauge(
      {
        name: 'sluice_bridge_inflight_messages',
        help: 'Messages that the peer of the bridge has not acknowledged yet',
        unit: 'messages',
      },
      each(({ inFlight }) => inFlight),
    ),
    counter(
      {
        name: 'sluice_bridge_messages_total',
        help: 'Messages over the bridge, by direction; those that are sent again count again',
        unit: 'messages',
      },
      byDirection('messagesOut', 'messagesIn'),
    ),
    counter(
      {
        name: 'sluice_bridge_bytes_total',
        help: 'Bytes of messages over the bridge, by direction: packets out, payloads in',
        unit: 'bytes',
      },
      byDirection('bytesOut', 'bytesIn'),
    ),
    counter(
      {
        name: 'sluice_bridge_quarantined_total',
        help: 'Messages that could not go over the bridge, and were put into the quarantine',
        unit: 'messages',
        worry: 'it rises: `sluice quarantine list` says why',
      },
      each(({ quarantined }) => quarantined),
    ),
  ];
}

function* samples(
  bridges: Iterable<Measured>,
  figure: (view: Omit<BridgeView, 'isConfigured'>) => number,
): Generator<Sample<number>> {
  for (const bridge of bridges) {
    const view = bridge.view();
    // Of a cluster, the node that it runs at counts.
    if (view.state !== 'standby') yield { labels: { bridge: bridge.name }, value: figure(view) };
  }
}
