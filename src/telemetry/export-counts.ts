/**
 * Counts what becomes of spans: how many wait for the collector, of which there is a limit, how many it took, and how
 * many are lost. That it does not take them is told once, and that it does again too.
 */
import type { Context } from '@opentelemetry/api';
import type { ReadableSpan, Span, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { Log } from '../contracts/log.ts';

export interface ExportCountsOptions {
  /** That may wait, or be under way to the collector. */
  readonly waitingMax: number;
  /** For the log. */
  readonly url: string;
  readonly log: Log;
}

export class ExportCounts {
  exported = 0;
  /** The collector did not take them. */
  failed = 0;
  /** More waited already than may. */
  dropped = 0;
  waiting = 0;
  readonly #options: ExportCountsOptions;
  #isFailing = false;

  constructor(options: ExportCountsOptions) {
    this.#options = options;
  }

  /** The same exporter, counted. */
  exporter(inner: SpanExporter): SpanExporter {
    return {
      export: (spans, done) => {
        inner.export(spans, (result) => {
          this.#gone(spans.length, result.code === 0 ? null : (result.error?.message ?? 'it gave no reason'));
          done(result);
        });
      },
      shutdown: () => inner.shutdown(),
      ...(inner.forceFlush === undefined ? {} : { forceFlush: () => inner.forceFlush!() }),
    };
  }

  /** In front of one that gathers spans for the exporter. */
  processor(inner: SpanProcessor): SpanProcessor {
    return {
      onStart: (span: Span, context: Context) => inner.onStart(span, context),
      onEnd: (span: ReadableSpan) => {
        if (this.waiting >= this.#options.waitingMax) this.dropped++;
        else {
          this.waiting++;
          inner.onEnd(span);
        }
      },
      forceFlush: () => inner.forceFlush(),
      shutdown: () => inner.shutdown(),
    };
  }

  #gone(count: number, why: string | null): void {
    const { url, log } = this.#options;
    this.waiting -= count;
    if (why === null) this.exported += count;
    else this.failed += count;
    if (this.#isFailing === (why !== null)) return;
    this.#isFailing = why !== null;
    if (why !== null) log.warn({ url, cause: why }, 'the collector takes no spans: they are lost, and counted');
    else log.info({ url, lost: this.failed + this.dropped }, 'the collector takes spans again');
  }
}
