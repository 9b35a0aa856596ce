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

/** Counters and gauges at this moment, in the order of `figures`; NaN: not known, or a histogram. */
export function readNumbers(metrics: Metrics): Float64Array {
  const values = new Float64Array(figures.length).fill(Number.NaN);
  for (const [name, places] of placesOfMetrics) {
    const metric = metrics.get(name);
    if (metric === undefined || metric.kind === 'histogram') continue;
    for (const sample of metric.samples()) {
      for (const index of places) {
        if (isOf(figures[index]!, sample))
          values[index] = (Number.isNaN(values[index]!) ? 0 : values[index]!) + sample.value;
      }
    }
  }
  return values;
}

/** By metric, so that each is read once. */
const placesOfMetrics = new Map<string, number[]>();
for (const [index, { metric }] of figures.entries()) {
  placesOfMetrics.set(metric, [...(placesOfMetrics.get(metric) ?? []), index]);
}

export class FigureSampler {
  readonly #metrics: Metrics;
  readonly #places: readonly Place[] = figures.map((figure, index) => ({
    figure,
    index,
    before: Number.NaN,
    recent: null,
  }));
  #time: number;

  constructor(metrics: Metrics, now: number) {
    this.#metrics = metrics;
    this.#time = now;
    this.sample(now, readNumbers(metrics));
  }

  /** One value for each of `figures`; NaN: not known. `numbers`: as `readNumbers` has read them. */
  sample(now: number, numbers: Float64Array): Float64Array {
    const values = numbers.slice();
    const seconds = (now - this.#time) / 1_000;
    this.#time = now;
    for (const place of this.#places) {
      const metric = this.#metrics.get(place.figure.metric);
      if (metric === undefined) continue;
      if (metric.kind === 'histogram') readHistogram(place, metric.samples(), values);
      else if (metric.kind === 'counter') values[place.index] = rateOf(place, metric, numbers[place.index]!, seconds);
    }
    return values;
  }
}

const isOf = ({ label }: Figure, { labels }: Sample<unknown>) => label === null || labels[label[0]] === label[1];

function rateOf(place: Place, { unit }: Metric, now: number, seconds: number): number {
  // Seconds of a processor in a second are told in percent.
  const scale = unit === 'seconds' ? 100 : 1;
  const rate = seconds > 0 ? ((now - place.before) / seconds) * scale : Number.NaN;
  place.before = now;
  return rate;
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
