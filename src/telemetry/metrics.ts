/** What becomes of spans. */
import { byLabel, counter, gauge, type Metric } from '../base/metrics.ts';
import type { ExportCounts } from './export-counts.ts';

/** There with `telemetry.otlp` only: elsewhere the program knows. */
export function telemetryMetrics(counts: ExportCounts): Metric[] {
  return [
    counter(
      {
        name: 'sluice_spans_total',
        help: 'Spans that the collector took, that it did not take, and that found no place to wait for it',
        unit: 'spans',
        worry: 'spans that fail or find no place rise: the collector is down or slow, and traces have holes',
      },
      () => byLabel('outcome', { exported: counts.exported, failed: counts.failed, dropped: counts.dropped }),
    ),
    gauge(
      {
        name: 'sluice_spans_waiting',
        help: 'Spans that wait for the collector, or are on their way to it',
        unit: 'spans',
        worry: 'it stays near `telemetry.otlp.queueSpans`',
      },
      () => counts.waiting,
    ),
  ];
}
