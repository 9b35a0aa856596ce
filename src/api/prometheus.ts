/**
 * What is taken of prom-client: its formats, and what it measures of Node and of the process.
 */
import { collectDefaultMetrics, Registry, type RegistryContentType } from 'prom-client';

/** As prom-client reads a metric. */
export interface ReadMetric {
  readonly name: string;
  readonly help: string;
  readonly type: unknown;
  readonly values: readonly unknown[];
}

export interface WritableMetric {
  readonly name: string;
  get(): ReadMetric | Promise<ReadMetric>;
}

/** What the type of a registry does not declare. */
interface Writer {
  readonly contentType: string;
  getMetricsAsString(metric: WritableMetric): Promise<string>;
}

/** They write, and hold no metrics. */
export const writers = {
  text: writerOf(Registry.PROMETHEUS_CONTENT_TYPE),
  openMetrics: writerOf(Registry.OPENMETRICS_CONTENT_TYPE),
} as const;
export type Format = keyof typeof writers;

function writerOf(contentType: RegistryContentType): Writer {
  const registry = new Registry<RegistryContentType>();
  registry.setContentType(contentType);
  return registry as unknown as Writer;
}

/**
 * Left out: what walks through everything that is open, which takes longer the more clients there are
 * (`sluice_connections` and `process_open_fds` say it), and the event loop's lag, which each reader sets back for all
 * others (`sluice_event_loop_delay_seconds`).
 */
const leftOut = /^(nodejs_active_|nodejs_eventloop_lag|process_open_fds$)/;
/** prom-client wakes the loop this often to measure the lag that is left out. Milliseconds. */
const seldom = 86_400_000;

let collected: readonly WritableMetric[] | null = null;

/**
 * CPU time, the heap, garbage collections, limits: they are the process's, whichever broker is asked, and are measured
 * from the first time that anybody asks.
 */
export function processMetrics(): readonly WritableMetric[] {
  if (collected !== null) return collected;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: seldom });
  const all = registry.getMetricsAsArray() as unknown as WritableMetric[];
  collected = all.filter(({ name }) => !leftOut.test(name));
  return collected;
}
