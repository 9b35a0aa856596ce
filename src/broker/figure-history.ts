/**
 * The figures of the last day, in memory that is taken once: about half a megabyte. The newest are told live, and made
 * once for all who look.
 */
import { Latest } from '../base/latest.ts';
import type { Metrics } from '../base/metrics.ts';
import { knownOf, SeriesRing } from '../base/series-ring.ts';
import type { CommandHandlers } from '../contracts/commands.ts';
import { type FigureName, type FiguresEvent, figureNames, type SpanName, spans } from '../contracts/figures.ts';
import { FigureSampler, readNumbers } from './figure-sampler.ts';
import { figureViews } from './figure-table.ts';

class Span {
  readonly ring: SeriesRing;
  readonly #stepMs: number;
  readonly #sampler: FigureSampler;
  /** The multiple of `stepMs` that was sampled last. */
  #step: number;

  constructor(name: SpanName, metrics: Metrics, now: number) {
    const { stepSeconds, points } = spans[name];
    this.ring = new SeriesRing(figureNames.length, points);
    this.#stepMs = stepSeconds * 1_000;
    this.#step = Math.floor(now / this.#stepMs);
    this.#sampler = new FigureSampler(metrics, now);
  }

  /** The values of a point that has been added; null: none was due. */
  tick(now: number, numbers: () => Float64Array): Float64Array | null {
    const step = Math.floor(now / this.#stepMs);
    if (step === this.#step) return null;
    this.#step = step;
    const values = this.#sampler.sample(now, numbers());
    this.ring.add(now, values);
    return values;
  }
}

/** More than that between two ticks. */
const leapMs = 10_000;

export class FigureHistory {
  readonly #metrics: Metrics;
  readonly #spans: Readonly<Record<SpanName, Span>>;
  readonly #live = new Latest<FiguresEvent>();
  #tickedAt: number;

  constructor(metrics: Metrics, now: number) {
    this.#metrics = metrics;
    this.#tickedAt = now;
    const of = (name: SpanName) => new Span(name, metrics, now);
    this.#spans = { minutes: of('minutes'), hour: of('hour'), day: of('day') };
  }

  /** What it takes of memory. */
  get bytes(): number {
    return Object.values(this.#spans).reduce((sum, { ring }) => sum + ring.bytes, 0);
  }

  /** About ten times a second. */
  tick(now: number): void {
    const sinceLast = now - this.#tickedAt;
    this.#tickedAt = now;
    // After a leap of time the next tick has the point: there may be many leaps at once, and none is worth a look.
    if (sinceLast > leapMs) return;
    const { minutes, hour, day } = this.#spans;
    // Most are read from the system, so once for all spans.
    let read: Float64Array | null = null;
    const numbers = () => (read ??= readNumbers(this.#metrics));
    const values = minutes.tick(now, numbers);
    hour.tick(now, numbers);
    day.tick(now, numbers);
    if (values === null) return;
    const figures = figureNames.map((name, index) => [name, knownOf(values[index]!)]);
    this.#live.set({ time: now, figures: Object.fromEntries(figures) });
  }

  /** The broker has ended: readers end as well. */
  close(): void {
    this.#live.close();
  }

  #history(span: SpanName, names: readonly FigureName[]) {
    const { ring } = this.#spans[span];
    const values = names.map((name) => [name, ring.values(figureNames.indexOf(name))]);
    return { stepSeconds: spans[span].stepSeconds, times: ring.times(), figures: Object.fromEntries(values) };
  }

  get handlers() {
    return {
      'figures list': async () => ({ items: figureViews(this.#metrics) }),
      'figures history': async ({ span, name }) => this.#history(span, name),
      'figures stream': (_, __, signal) => this.#live.values(signal),
    } satisfies Partial<CommandHandlers>;
  }
}
