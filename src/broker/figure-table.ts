/**
 * The figures that are kept over time: each is one of the metrics, or a part of it. What it is, its unit and when it
 * calls for somebody stand with the metric.
 */
import { categories } from '../base/ledger.ts';
import type { Metric, Metrics } from '../base/metrics.ts';
import { dropReasonTexts } from '../contracts/drops.ts';
import { type FigureName, type FigureView, figureNames } from '../contracts/figures.ts';
import { dropReasons } from '../core/sink.ts';

/** Of a histogram. */
type Part = 'p50' | 'p99' | 'mean';

export interface Figure {
  readonly metric: string;
  /** Only the samples with this label; null: the sum of all. */
  readonly label: readonly [name: string, value: string] | null;
  /** Null: it is no histogram. */
  readonly part: Part | null;
  /** Instead of the metric's own words; null: these. */
  readonly what: string | null;
  /** Instead of the metric's own; null: that. */
  readonly worry: string | null;
}

const of = (metric: string, more: Partial<Figure> = {}): Figure => ({
  ...{ metric, label: null, part: null, what: null, worry: null },
  ...more,
});

const dropped = dropReasons.map((reason) => {
  const { what } = dropReasonTexts[reason];
  return [`dropped.${reason}`, of('sluice_messages_dropped_total', { label: ['reason', reason], what })] as const;
});
const memory = categories.map((name) => {
  const what = `What clients make the broker hold in memory: ${name}`;
  return [`memory.${name}`, of('sluice_memory_category_bytes', { label: ['category', name], what })] as const;
});

const table = {
  connections: of('sluice_connections', { what: 'Connections of clients, from accept to close' }),
  'connections.unauthenticated': of('sluice_connections_unauthenticated'),
  'connections.accepted': of('sluice_connections_accepted_total'),
  'connections.refused': of('sluice_connections_refused_total'),
  'authentications.failed': of('sluice_authentications_failed_total'),
  'clients.connected': of('sluice_sessions', { label: ['state', 'connected'], what: 'Clients that are connected' }),
  'clients.absent': of('sluice_sessions', {
    label: ['state', 'disconnected'],
    what: 'Clients that are absent, and whose sessions wait for them',
  }),
  subscriptions: of('sluice_subscriptions'),
  'messages.received': of('sluice_messages_received_total'),
  'messages.sent': of('sluice_messages_sent_total'),
  'messages.refused': of('sluice_messages_refused_total'),
  'bytes.received': of('sluice_received_bytes_total'),
  'bytes.sent': of('sluice_sent_bytes_total'),
  dropped: of('sluice_messages_dropped_total', { what: 'Copies of messages that were dropped, for all reasons' }),
  ...(Object.fromEntries(dropped) as Record<(typeof dropped)[number][0], Figure>),
  'queued.messages': of('sluice_queued_messages'),
  'queued.bytes': of('sluice_queued_bytes'),
  'retained.messages': of('sluice_retained_messages'),
  'retained.bytes': of('sluice_retained_bytes'),
  'commits.p50': of('sluice_commit_seconds', { part: 'p50' }),
  'commits.p99': of('sluice_commit_seconds', { part: 'p99' }),
  'commits.records': of('sluice_commit_records', { part: 'mean' }),
  'disk.bytes': of('sluice_store_disk_bytes'),
  'disk.free': of('sluice_store_disk_free_bytes'),
  'loop.p99': of('sluice_event_loop_delay_seconds', { part: 'p99' }),
  'scheduler.p99': of('sluice_scheduler_wait_seconds', { part: 'p99', label: ['work', 'foreground'] }),
  processor: of('process_cpu_seconds_total', {
    worry: 'it stays near 100: clients want all that one processor does, and everybody waits',
  }),
  memory: of('sluice_memory_bytes'),
  'memory.pressure': of('sluice_memory_pressure'),
  'memory.resident': of('process_resident_memory_bytes'),
  ...(Object.fromEntries(memory) as Record<(typeof memory)[number][0], Figure>),
  quarantined: of('sluice_quarantine_messages'),
  alarms: of('sluice_alarms'),
} as const satisfies Record<FigureName, Figure>;

/** In the order of their names in `figureNames`, which is their place in an array of values. */
export const figures: readonly Figure[] = figureNames.map((name) => table[name]);

const partTexts: Readonly<Record<Part, string>> = { p50: 'half of them', p99: '99 of 100', mean: 'on average' };

/** Of the figures whose metrics there are: a broker that keeps its data in memory has no disk. */
export function figureViews(metrics: Metrics): FigureView[] {
  return figureNames.flatMap((name, place) => {
    const figure = figures[place]!;
    const metric = metrics.get(figure.metric);
    return metric === undefined ? [] : [viewOf(name, figure, metric)];
  });
}

function viewOf(name: FigureName, { part, what, worry }: Figure, metric: Metric): FigureView {
  const text = what ?? metric.help;
  return {
    name,
    what: part === null ? text : `${text}: ${partTexts[part]}`,
    unit: unitOf(name, metric, part),
    worry: worry ?? metric.worry ?? null,
    metric: metric.name,
  };
}

function unitOf(name: FigureName, { kind, unit }: Metric, part: Part | null): string {
  if (name === 'processor') return 'percent of one processor';
  if (part !== null) return unit === 'seconds' ? 'milliseconds' : unit;
  return kind === 'counter' ? `${unit} per second` : unit;
}
