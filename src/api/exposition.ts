/**
 * The metrics of one broker as Prometheus reads them: its text format, or OpenMetrics for whoever asks for it. Each
 * line is written by prom-client; the figures are the registry's (`base/metrics.ts`), read when somebody asks.
 *
 * Nothing here is global but what is the process's own, so several brokers of a process do not clash.
 */
import type { Histogram } from '../base/histogram.ts';
import type { Labels, Metric, Sample } from '../base/metrics.ts';
import type { Format, WritableMetric } from './prometheus.ts';

export interface Exposition {
  /** For the header of the same name. */
  readonly contentType: string;
  readonly body: string;
}

export interface ExpositionOptions {
  /** The `Accept` header of whoever asks. Default: absent. */
  readonly accept?: string | undefined;
}

/** What prom-client writes as one line. */
interface Line {
  readonly labels: Labels | Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName?: string;
}

/** So many lines are written in one go. A configuration with very many stages makes some thousands of them. */
const linesAtOnce = 200;
/** Milliseconds after which others come first. */
const longestMs = 1;

export class MetricsExposition {
  readonly #metrics: Iterable<Metric>;
  /** Under way: whoever asks meanwhile gets the same, so any number of readers costs as much as one. */
  readonly #underWay = new Map<Format, Promise<Exposition>>();

  constructor(metrics: Iterable<Metric>) {
    this.#metrics = metrics;
  }

  /** All figures as they are now. The event loop is held for about a millisecond at a time. */
  read({ accept }: ExpositionOptions = {}): Promise<Exposition> {
    const format = formatFor(accept);
    let answer = this.#underWay.get(format);
    if (answer === undefined) {
      answer = this.#write(format).finally(() => this.#underWay.delete(format));
      this.#underWay.set(format, answer);
    }
    return answer;
  }

  async #write(format: Format): Promise<Exposition> {
    // A broker that nobody asks does not load it: it takes 13 MB.
    const { writers, processMetrics } = await import('./prometheus.ts');
    const writer = writers[format];
    const parts: string[] = [];
    const names = new Set<string>();
    let since = performance.now();
    for (const metric of this.#metrics) {
      names.add(metric.name);
      const pieces: string[] = [];
      for (const lines of inPieces(linesOf(metric))) {
        const text = await writer.getMetricsAsString(writable(metric, lines, format));
        pieces.push(pieces.length === 0 ? text : withoutHead(text));
        if (performance.now() - since < longestMs) continue;
        await new Promise((resolve) => setImmediate(resolve));
        since = performance.now();
      }
      parts.push(pieces.join('\n'));
    }
    for (const metric of processMetrics()) {
      // One of the same name is read all the same: prom-client sets others with it.
      const text = await writer.getMetricsAsString(inFormat(metric, format));
      if (!names.has(metric.name)) parts.push(text);
    }
    const body = format === 'text' ? `${parts.join('\n\n')}\n` : `${withUnits(parts.join('\n'))}\n# EOF\n`;
    return { contentType: writer.contentType, body };
  }
}

/** OpenMetrics where it is wanted at least as much as plain text, as Prometheus does. */
function formatFor(accept = ''): Format {
  const wanted = accept.split(',').map((each) => {
    const [type = '', ...parameters] = each.split(';').map((part) => part.trim().toLowerCase());
    const quality = parameters.find((parameter) => parameter.startsWith('q='));
    return { type, quality: quality === undefined ? 1 : Number(quality.slice(2)) || 0 };
  });
  const qualityOf = (type: string) => Math.max(0, ...wanted.map((each) => (each.type === type ? each.quality : 0)));
  const openMetrics = qualityOf('application/openmetrics-text');
  return openMetrics > 0 && openMetrics >= qualityOf('text/plain') ? 'openMetrics' : 'text';
}

/** A metric without a single figure yet has a head all the same. */
function* inPieces(lines: Iterable<Line>): Generator<Line[]> {
  let piece: Line[] = [];
  let isEmpty = true;
  for (const line of lines) {
    piece.push(line);
    if (piece.length < linesAtOnce) continue;
    yield piece;
    piece = [];
    isEmpty = false;
  }
  if (isEmpty || piece.length > 0) yield piece;
}

function* linesOf(metric: Metric): Generator<Line> {
  if (metric.kind === 'histogram') for (const sample of metric.samples()) yield* bucketsOf(metric.name, sample);
  else yield* metric.samples();
}

/** Each bucket includes those before it. */
function* bucketsOf(name: string, { labels, value }: Sample<Histogram>): Generator<Line> {
  let count = 0;
  for (let bucket = 0; bucket < value.counts.length; bucket++) {
    count += value.counts[bucket]!;
    yield { metricName: `${name}_bucket`, labels: { ...labels, le: value.bounds[bucket] ?? '+Inf' }, value: count };
  }
  yield { metricName: `${name}_sum`, labels, value: value.sum };
  yield { metricName: `${name}_count`, labels, value: count };
}

function writable({ name, help, kind }: Metric, values: readonly Line[], format: Format): WritableMetric {
  return inFormat({ name, get: () => ({ name, help, type: kind, values }) }, format);
}

/** In OpenMetrics, a counter is called without `_total`, which prom-client adds to each of its lines. */
function inFormat(metric: WritableMetric, format: Format): WritableMetric {
  if (format === 'text') return metric;
  const get = async () => {
    const read = await metric.get();
    return read.type === 'counter' ? { ...read, name: read.name.replace(/_total$/, '') } : read;
  };
  return { name: metric.name, get };
}

/** Without the two lines that say what the metric is. */
const withoutHead = (text: string) => text.slice(text.indexOf('\n', text.indexOf('\n') + 1) + 1);

/** Plain text has no place for them. */
const withUnits = (text: string) => text.replaceAll(/^# TYPE (\w+_(bytes|seconds)) \w+$/gm, '$&\n# UNIT $1 $2');
