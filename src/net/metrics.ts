/** What listeners measure. */
import { gauge, type Metric, type Sample } from '../base/metrics.ts';
import type { ExpiringFile, Listener } from '../contracts/transport.ts';

/** Those of MQTT, and those of the HTTP API. */
export type MeasuredListener = Pick<Listener, 'url' | 'expiring'>;

/** `now`: milliseconds since the epoch. */
export function listenerMetrics(listeners: () => Iterable<MeasuredListener>, now: () => number): Metric[] {
  return [
    gauge(
      {
        name: 'sluice_certificate_remaining_seconds',
        help: 'Time until the certificates of a listener end, the first of each kind; below 0 once one has ended',
        unit: 'seconds',
        worry: 'it is below 14 days (1,209,600 s), unless the certificate lives shorter and is renewed by itself',
      },
      () => remaining(listeners(), now()),
    ),
  ];
}

function* remaining(listeners: Iterable<MeasuredListener>, now: number): Generator<Sample<number>> {
  for (const { url, expiring } of listeners) {
    const first = new Map<ExpiringFile['kind'], number>();
    for (const { kind, until } of expiring) first.set(kind, Math.min(until, first.get(kind) ?? until));
    for (const [kind, until] of first) yield { labels: { listener: url, kind }, value: (until - now) / 1_000 };
  }
}
