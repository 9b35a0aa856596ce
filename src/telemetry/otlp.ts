/**
 * Spans to a collector by OTLP, with the SDK of OpenTelemetry. The SDK is loaded here and nowhere else: whoever wants
 * no spans need not install it.
 */
import type { Log } from '../contracts/log.ts';
import type { OtlpSettings } from '../contracts/telemetry-settings.ts';
import { ExportCounts } from './export-counts.ts';
import { telemetryMetrics } from './metrics.ts';
import { OtelTracer } from './otel-tracer.ts';
import { MissingPackages, type Telemetry } from './telemetry.ts';

/** Spans are sent this often, or once so many have gathered. */
const sendMs = 1_000;
const batchSpans = 512;
/** So long the last spans may take at the end of the broker. */
const lastSpansMs = 2_000;

const packages = [
  '@opentelemetry/sdk-trace-base@2',
  '@opentelemetry/resources@2',
  '@opentelemetry/exporter-trace-otlp-proto@0.223',
] as const;

/** Rejects with MissingPackages. */
export async function checkSdk(): Promise<void> {
  await loadSdk();
}

async function loadSdk() {
  try {
    const [api, sdk, resources, exporter] = await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/sdk-trace-base'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/exporter-trace-otlp-proto'),
    ]);
    return { api, sdk, resources, exporter };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new MissingPackages(packages, cause as Error);
  }
}

export async function openOtlp(settings: OtlpSettings, version: string, log: Log): Promise<Telemetry> {
  const { api, sdk, resources, exporter } = await loadSdk();
  const { url, headers, serviceName, ratio, queueSpans: waitingMax, timeoutSeconds } = settings;
  const timeoutMillis = timeoutSeconds * 1_000;
  const counts = new ExportCounts({ waitingMax, url: withoutSecrets(url), log });
  const counted = counts.exporter(new exporter.OTLPTraceExporter({ url, headers: { ...headers }, timeoutMillis }));
  const batches = new sdk.BatchSpanProcessor(counted, {
    maxQueueSize: waitingMax,
    maxExportBatchSize: batchSpans,
    scheduledDelayMillis: sendMs,
    // The exporter has its own, and says why it failed.
    exportTimeoutMillis: timeoutMillis + sendMs,
  });
  const provider = new sdk.BasicTracerProvider({
    resource: resources
      .defaultResource()
      .merge(resources.resourceFromAttributes({ 'service.name': serviceName, 'service.version': version })),
    // Which message begins a trace is decided before anything of a span is made.
    sampler: new sdk.ParentBasedSampler({ root: new sdk.AlwaysOnSampler() }),
    spanProcessors: [counts.processor(batches)],
  });
  return {
    tracer: new OtelTracer({ api, tracer: provider.getTracer('sluice', version), ratio }),
    metrics: telemetryMetrics(counts),
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, lastSpansMs);
      });
      // That it failed has been told, and counted.
      await Promise.race([provider.shutdown().catch(() => {}), late]);
      clearTimeout(timer);
    },
  };
}

/** A URL may have a key in it. */
function withoutSecrets(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
