/**
 * Figures at a moment, and since the moment before: counters as rates, and of histograms what came in between. Whoever
 * wants them at other intervals has a sampler of their own.
 */
import { type Histogram, RecentCounts } from '../base/histogram.ts';
import type { Metric, Metrics, Sample } from '../base/metrics.ts';
import { type Figure, figures } from './figure-table.ts';

/** A figure and where it stands in the values. */
interface Place {
  readonly figure: Figure;
  readonly index: number;
  /** Of a counter: as it was the last time. */
  before: number;
  /** Of a histogram. */
  recent: { readonly histogram: Histogram; readonly counts: RecentCounts; count: number; sum: number } | null;
}

export class FigureSampler {
  readonly #metrics: Metrics;
  /** By metric, so that each is read once. */
  readonly #places = new Map<string, Place[]>();
  #time: number;

  constructor(metrics: Metrics, now: number) {
    this.#metrics = metrics;
    for (const [index, figure] of figures.entries()) {
      const ofMetric = this.#places.get(figure.metric) ?? [];
      this.#places.set(figure.metric, ofMetric);
      ofMetric.push({ figure, index, before: Number.NaN, recent: null });
    }
    this.#time = now;
    this.sample(now);
  }

  /** One value for each of `figures`; NaN: not known. */
  sample(now: number): Float64Array {
    const values = new Float64Array(figures.length).fill(Number.NaN);
    const seconds = (now - this.#time) / 1_000;
    this.#time = now;
    for (const [name, places] of this.#places) {
      const metric = this.#metrics.get(name);
      if (metric === undefined) continue;
      if (metric.kind === 'histogram') for (const place of places) readHistogram(place, metric.samples(), values);
      else readNumbers(places, metric, seconds, values);
    }
    return values;
  }
}

const isOf = ({ label }: Figure, { labels }: Sample<unknown>) => label === null || labels[label[0]] === label[1];

function readNumbers(
  places: readonly Place[],
  { kind, samples, unit }: Exclude<Metric, { kind: 'histogram' }>,
  seconds: number,
  values: Float64Array,
): void {
  for (const sample of samples()) {
    for (const { figure, index } of places) {
      if (isOf(figure, sample)) values[index] = (Number.isNaN(values[index]!) ? 0 : values[index]!) + sample.value;
    }
  }
  if (kind === 'gauge') return;
  for (const place of places) {
    const now = values[place.index]!;
    // Seconds of a processor in a second are told in percent.
    const scale = unit === 'seconds' ? 100 : 1;
    values[place.index] = seconds > 0 ? ((now - place.before) / seconds) * scale : Number.NaN;
    place.before = now;
  }
}

function readHistogram(place: Place, samples: Iterable<Sample<Histogram>>, values: Float64Array): void {
  const { figure, index } = place;
  for (const sample of samples) {
    if (!isOf(figure, sample)) continue;
    const histogram = sample.value;
    if (place.recent?.histogram !== histogram) {
      place.recent = { histogram, counts: new RecentCounts(histogram), ...totalOf(histogram) };
      return;
    }
    const { recent } = place;
    const { count, sum } = totalOf(histogram);
    const came = count - recent.count;
    recent.counts.forget();
    // Without any, none was slow, and there is nothing to say of how they were.
    if (came > 0) values[index] = partOf(figure, recent.counts, (sum - recent.sum) / came);
    recent.count = count;
    recent.sum = sum;
  }
}

/** Durations are told in milliseconds. */
function partOf({ part }: Figure, counts: RecentCounts, mean: number): number {
  return part === 'mean' ? mean : counts.percentile(part === 'p50' ? 50 : 99) * 1_000;
}

const totalOf = ({ counts, sum }: Histogram) => ({ count: counts.reduce((all, each) => all + each, 0), sum });
