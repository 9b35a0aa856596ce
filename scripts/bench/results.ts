/** Runs become rows: medians over the runs of one scenario, broker by broker. */

import type { BrokerName } from './brokers.ts';
import type { LatencySummary } from './load/histogram.ts';
import type { Metric, Scenario } from './scenarios.ts';

/** What the generator says of one run; its fields depend on the scenario. */
export type RunOutput = Readonly<Record<string, unknown>>;

export interface Row {
  readonly scenario: string;
  readonly metric: string;
  readonly broker: BrokerName;
  readonly runs: number;
  /** A second. */
  readonly rate: number;
  readonly rateLow: number;
  readonly rateHigh: number;
  /** Of the broker, for each message delivered, or each of whatever is counted. */
  readonly cpuMicroseconds: number;
  readonly cpuLow: number;
  /** Milliseconds; null where nothing of the kind is measured. */
  readonly p50: number | null;
  readonly p99: number | null;
  readonly rssMegabytes: number;
  readonly rssBytesPerConnection: number | null;
  readonly lost: number;
  readonly floor: number | null;
  readonly leastRate: number | null;
  readonly mostMicroseconds: number | null;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const numberOf = (output: RunOutput, field: string): number => Number(output[field] ?? 0);

/** After the run; mqload has a name for each of its phases. */
function rssKilobytes(output: RunOutput): number {
  return Math.max(...['rss_kb', 'rss_hold_kb', 'get_rss_kb', 'drain_rss_kb'].map((field) => numberOf(output, field)));
}

/** How many things the processor time was spent on. */
function counted(output: RunOutput, { field }: Metric): number {
  if (field === 'out_rate') return numberOf(output, 'out_rate') * numberOf(output, 'secs');
  return field === 'accept_rate' || field === 'drain_rate'
    ? numberOf(output, 'n') * numberOf(output, 'msgs')
    : numberOf(output, 'n');
}

export function rowsOf(scenario: Scenario, broker: BrokerName, outputs: readonly RunOutput[]): Row[] {
  return scenario.metrics.map((metric) => {
    const rates = outputs.map((output) => numberOf(output, metric.field));
    const { latencyField } = metric;
    const times = (quantile: 'p50' | 'p99') =>
      latencyField === null
        ? null
        : median(outputs.map((output) => (output[latencyField] as LatencySummary)[quantile] / 1_000));
    const cpu = outputs.map(
      (output) => (numberOf(output, metric.cpuField) * 1e6) / Math.max(1, counted(output, metric)),
    );
    const perConnection = outputs.map((output) => numberOf(output, 'rss_per_conn_b'));
    return {
      scenario: scenario.title,
      metric: metric.name,
      broker,
      runs: outputs.length,
      rate: median(rates),
      rateLow: Math.min(...rates),
      rateHigh: Math.max(...rates),
      cpuMicroseconds: median(cpu),
      cpuLow: Math.min(...cpu),
      p50: times('p50'),
      p99: times('p99'),
      rssMegabytes: Math.max(...outputs.map(rssKilobytes)) / 1_024,
      // The first run pays for the memory that the next ones use again.
      rssBytesPerConnection: metric.field === 'conn_rate' ? Math.max(...perConnection) : null,
      lost: outputs.reduce((sum, output) => sum + numberOf(output, 'lost') + numberOf(output, 'missing'), 0),
      floor: metric.floor ?? null,
      leastRate: metric.leastRate ?? null,
      mostMicroseconds: metric.mostMicroseconds ?? null,
    };
  });
}

/** Whether a row reaches what is asked of it; null if nothing is, or if there is nothing to compare it with. */
export function verdictOf(row: Row, rows: readonly Row[]): { ratio: number | null; isReached: boolean | null } {
  const { scenario, metric } = row;
  const base = rows.find(
    (other) => other.broker === 'mosquitto' && other.scenario === scenario && other.metric === metric,
  );
  const ratio = base === undefined || base === row ? null : row.rate / base.rate;
  if (row.broker !== 'sluice') return { ratio, isReached: null };
  const { leastRate, mostMicroseconds } = row;
  if (leastRate !== null || mostMicroseconds !== null) {
    const isCheapEnough = row.cpuMicroseconds <= (mostMicroseconds ?? Number.POSITIVE_INFINITY);
    return { ratio, isReached: row.rate >= (leastRate ?? 0) && isCheapEnough };
  }
  return { ratio, isReached: row.floor === null || ratio === null ? null : ratio >= row.floor };
}
