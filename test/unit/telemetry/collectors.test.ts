/** Where spans go: to a collector that may be down, or to what the program has set up; and what that needs. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { context, trace } from '@opentelemetry/api';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { expect, test } from 'vitest';
import { type Log, silentLog } from '../../../src/contracts/log.ts';
import { type ConfigInput, createBroker } from '../../../src/index.ts';
import { ExportCounts } from '../../../src/telemetry/export-counts.ts';
import { build, mainFile } from '../../support/build.ts';
import { OtlpCollector } from '../../support/otlp-collector.ts';

const memory: ConfigInput = {
  ...{ listeners: [{ kind: 'tcp', port: 0 }], store: { kind: 'memory' }, sysIntervalSeconds: 0 },
};

test('spans that a collector does not take are counted, which the log says once, and that it does again', async () => {
  const collector = await OtlpCollector.open();
  // Not one of those with which a client tries again by itself.
  collector.status = 400;
  const lines: string[] = [];
  const note = (_: object, text?: string) => void lines.push(text ?? '');
  const log: Log = { ...silentLog, warn: note, info: note };
  const telemetry = { otlp: { url: collector.url, ratio: 1 } };
  const broker = await createBroker({ config: { ...memory, telemetry }, log });
  const outcomes = () => {
    const { samples } = broker.statistics().sluice_spans_total!;
    return Object.fromEntries(samples.map(({ labels, value }) => [labels.outcome, value]));
  };
  try {
    for (let count = 1; count <= 2; count++) {
      await broker.publish('a', 'x');
      await expect.poll(outcomes).toEqual({ exported: 0, failed: count, dropped: 0 });
    }
    collector.status = 200;
    await broker.publish('a', 'x');
    await expect.poll(outcomes).toEqual({ exported: 1, failed: 2, dropped: 0 });
    const about = lines.filter((line) => line.startsWith('the collector'));
    expect(about).toEqual([
      'the collector takes no spans: they are lost, and counted',
      'the collector takes spans again',
    ]);
  } finally {
    await broker.close();
    await collector.close();
  }
});

test('a broker stops though nobody takes its spans', async () => {
  const collector = await OtlpCollector.open();
  const { url } = collector;
  await collector.close();
  const broker = await createBroker({ config: { ...memory, telemetry: { otlp: { url, ratio: 1 } } }, log: silentLog });
  await broker.publish('a', 'x');
  await broker.close();
});

test('beyond those that may wait, spans are dropped and counted', () => {
  const counts = new ExportCounts({ waitingMax: 2, url: 'http://localhost', log: silentLog });
  const ended: unknown[] = [];
  const processor = counts.processor({
    onStart() {},
    onEnd: (span) => void ended.push(span),
    forceFlush: async () => {},
    shutdown: async () => {},
  });
  for (let i = 0; i < 5; i++) processor.onEnd({} as never);
  expect([ended.length, counts.waiting, counts.dropped]).toEqual([2, 2, 3]);
});

test('a program that has set up OpenTelemetry has the spans in its own', async () => {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  trace.setGlobalTracerProvider(provider);
  try {
    const broker = await createBroker({ config: memory, log: silentLog });
    await broker.publish('a', 'x');
    await broker.close();
    const silent = await createBroker({ config: { ...memory, telemetry: { messages: false } }, log: silentLog });
    await silent.publish('b', 'x');
    await silent.close();
    const spans = exporter.getFinishedSpans();
    expect(spans.map(({ name, attributes }) => [name, attributes['messaging.destination.name']])).toEqual([
      ['publish', 'a'],
    ]);
  } finally {
    trace.disable();
    context.disable();
    await provider.shutdown();
  }
});

/** Runs in a process in which the SDK is not installed. */
const withoutSdk = `import { register } from 'node:module';
register('data:text/javascript,' + encodeURIComponent(\`export async function resolve(name, context, next) {
  if (!name.startsWith('@opentelemetry/')) return next(name, context);
  throw Object.assign(new Error('Cannot find package ' + name), { code: 'ERR_MODULE_NOT_FOUND' });
}\`));`;

test.each([
  ['names what to install', '{ otlp: { url: "http://localhost:4318/v1/traces" } }', 1],
  ['does not miss it where no spans are wanted', '{ messages: true }', 0],
])('without the SDK, sluice %s', async (_, telemetry, code) => {
  await build();
  const directory = mkdtempSync(join(tmpdir(), 'sluice-telemetry-'));
  try {
    const [file, hook] = [join(directory, 'sluice.yaml'), join(directory, 'hook.mjs')];
    writeFileSync(file, `telemetry: ${telemetry}\n`);
    writeFileSync(hook, withoutSdk);
    const args = ['--import', hook, mainFile, 'config', 'check', file];
    const done = await new Promise<{ code: number; text: string }>((resolve) => {
      execFile(process.execPath, args, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), text: stdout + stderr });
      });
    });
    expect(done.code, done.text).toBe(code);
    if (code === 1) {
      expect(done.text).toMatch(
        /sluice\.yaml:1:14: telemetry\.otlp: it needs packages that are not installed here: npm /,
      );
      expect(done.text).toContain('npm install @opentelemetry/sdk-trace-base@2 @opentelemetry/resources@2 ');
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
