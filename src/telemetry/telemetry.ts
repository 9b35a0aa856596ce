/** Whom to tell of messages: the collector of the configuration, or whatever the program has set up. */
import type { Metric } from '../base/metrics.ts';
import type { Log } from '../contracts/log.ts';
import type { SpanTracer } from '../contracts/spans.ts';
import type { TelemetrySettings } from '../contracts/telemetry-settings.ts';

export interface Telemetry {
  readonly tracer: SpanTracer;
  readonly metrics: readonly Metric[];
  /** Sends what waits, within two seconds. */
  close(): Promise<void>;
}

/** What `telemetry.otlp` needs is not installed. */
export class MissingPackages extends Error {
  override readonly name = 'MissingPackages';

  constructor(packages: readonly string[], cause: Error) {
    super(`it needs packages that are not installed here: npm install ${packages.join(' ')}`, { cause });
  }
}

/** Null: nobody wants spans, and nothing is loaded. Rejects with MissingPackages. */
export async function openTelemetry(
  { messages, otlp }: TelemetrySettings,
  version: string,
  log: Log,
): Promise<Telemetry | null> {
  if (!messages) return null;
  if (otlp !== undefined) return (await import('./otlp.ts')).openOtlp(otlp, version, log);
  if (!hasProgramSetUp()) return null;
  const [api, { OtelTracer }] = await Promise.all([import('@opentelemetry/api'), import('./otel-tracer.ts')]);
  const tracer = new OtelTracer({ api, tracer: api.trace.getTracer('sluice', version), ratio: 1 });
  return { tracer, metrics: [], close: async () => {} };
}

/** Whether what the settings need is there. Rejects with MissingPackages. */
export async function checkTelemetry({ messages, otlp }: TelemetrySettings): Promise<void> {
  if (messages && otlp !== undefined) await (await import('./otlp.ts')).checkSdk();
}

/** Where every version of `@opentelemetry/api` 1 keeps what a program has registered. */
const registered = Symbol.for('opentelemetry.js.api.1');

const hasProgramSetUp = (): boolean =>
  (globalThis as { [registered]?: { readonly trace?: object } })[registered]?.trace !== undefined;
