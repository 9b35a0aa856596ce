/**
 * What the broker counts and measures. Each metric is declared once, with what `$SYS`, a program and Prometheus say of
 * it, and stands where its figure is.
 *
 * Counting goes past this file: a counter is a property of whoever counts, a gauge a function that is called when
 * somebody asks, a histogram an array of counts. Reading changes nothing, so there may be any number of readers.
 */
import { assert } from './assert.ts';
import type { Histogram } from './histogram.ts';

/** By the name of the label. No label has values that clients can invent. */
export type Labels = Readonly<Record<string, string>>;

export interface Sample<Value> {
  readonly labels: Labels;
  readonly value: Value;
}

export interface MetricDeclaration {
  /**
   * As Prometheus has it: what is counted, then `_bytes` or `_seconds` if that is the unit, then `_total` if it only
   * rises.
   */
  readonly name: `sluice_${string}` | `process_${string}`;
  /** In one line, without a full stop. */
  readonly help: string;
  /** What one is: `bytes`, `seconds`, or what is counted, in the plural. */
  readonly unit: string;
  /** When it calls for somebody, and what it means then; without a full stop. Absent: it needs no watching. */
  readonly worry?: string;
  /**
   * Topics below `$SYS/broker/` that have it, too. `{label}` stands for the label's value; a topic that leaves a label
   * out has the sum. Of a histogram, they have the 99th percentile in microseconds of what came lately.
   */
  readonly topics?: readonly string[];
}

interface Numbers extends MetricDeclaration {
  /** A counter only rises, from the start of the broker. */
  readonly kind: 'counter' | 'gauge';
  /** As they are now. There may be none yet. */
  readonly samples: () => Iterable<Sample<number>>;
}

interface Histograms extends MetricDeclaration {
  readonly kind: 'histogram';
  readonly samples: () => Iterable<Sample<Histogram>>;
}

export type Metric = Numbers | Histograms;

const unlabelled: Labels = {};

/** `read` gives the figure as it is, or one for each combination of labels. */
export function counter(declaration: MetricDeclaration, read: () => number | Iterable<Sample<number>>): Metric {
  return { ...declaration, kind: 'counter', samples: () => samplesOf(read()) };
}

export function gauge(declaration: MetricDeclaration, read: () => number | Iterable<Sample<number>>): Metric {
  return { ...declaration, kind: 'gauge', samples: () => samplesOf(read()) };
}

export function histogram(declaration: MetricDeclaration, read: () => Iterable<Sample<Histogram>>): Metric {
  return { ...declaration, kind: 'histogram', samples: read };
}

const samplesOf = (read: number | Iterable<Sample<number>>): Iterable<Sample<number>> =>
  typeof read === 'number' ? [{ labels: unlabelled, value: read }] : read;

/** One sample for each property, whose name is the value of the label. */
export function* byLabel(label: string, figures: Readonly<Record<string, number>>): Generator<Sample<number>> {
  for (const [name, value] of Object.entries(figures)) yield { labels: { [label]: name }, value };
}

/** All metrics of one broker, in the order in which they were added. */
export class Metrics {
  readonly #all = new Map<string, Metric>();

  add(metrics: Iterable<Metric>): void {
    for (const metric of metrics) {
      assert(!this.#all.has(metric.name), `there are two metrics ${metric.name}`);
      this.#all.set(metric.name, metric);
    }
  }

  /** Undefined: there is none of this name. */
  get(name: string): Metric | undefined {
    return this.#all.get(name);
  }

  [Symbol.iterator](): Iterator<Metric> {
    return this.#all.values();
  }
}

/** What a histogram has counted. */
export interface Distribution {
  readonly count: number;
  readonly sum: number;
  /** How many were at most so much: each includes those before it. The last one is infinite. */
  readonly buckets: readonly { readonly atMost: number; readonly count: number }[];
}

export interface Statistic extends Pick<MetricDeclaration, 'help' | 'unit'> {
  readonly kind: Metric['kind'];
  readonly samples: readonly Sample<number | Distribution>[];
}

/** By the name of the metric. */
export type Statistics = Readonly<Record<string, Statistic>>;

/** A copy of all figures as they are now. */
export function statisticsOf(metrics: Iterable<Metric>): Statistics {
  const all: Record<string, Statistic> = {};
  for (const metric of metrics) {
    const { name, kind, help, unit } = metric;
    const samples = kind === 'histogram' ? [...metric.samples()].map(distribution) : [...metric.samples()];
    all[name] = { kind, help, unit, samples };
  }
  return all;
}

function distribution({ labels, value }: Sample<Histogram>): Sample<Distribution> {
  let count = 0;
  const buckets = Array.from(value.counts, (each, index) => {
    count += each;
    return { atMost: value.bounds[index] ?? Number.POSITIVE_INFINITY, count };
  });
  return { labels, value: { count, sum: value.sum, buckets } };
}
