/** Every metric that there is, of a broker with a pipeline and a TLS listener that has not been started. */
import { Alarms } from '../../src/admin/alarms.ts';
import { alarmsOf } from '../../src/alarms.ts';
import type { Metric } from '../../src/base/metrics.ts';
import type { Bridge } from '../../src/bridge/bridge.ts';
import { bridgeMetrics } from '../../src/bridge/metrics.ts';
import { createContext } from '../../src/broker/create-context.ts';
import type { BrokerFigures } from '../../src/broker/figures.ts';
import { silentLog } from '../../src/contracts/log.ts';
import { defaultSettings } from '../../src/contracts/settings.ts';
import { listenerMetrics, type MeasuredListener } from '../../src/net/metrics.ts';
import { storeMetrics } from '../../src/store/level/metrics.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { ExportCounts } from '../../src/telemetry/export-counts.ts';
import { telemetryMetrics } from '../../src/telemetry/metrics.ts';
import { benchWith } from './pipeline.ts';

const unnamed = { file: 'server.pem', subject: null, issuer: null, subjectAltNames: [], from: 0 };
const listener: MeasuredListener = {
  url: 'mqtts://127.0.0.1:8883',
  expiring: [{ kind: 'certificate', name: 'tls.certFile server.pem', until: 1_000, ...unnamed }],
};

const figures = {} as BrokerFigures;
const metrics = { topics: [{ name: 'telemetry', filters: ['telemetry/#'] }] };
const settings = { ...defaultSettings, metrics };

export async function allMetrics(): Promise<Metric[]> {
  const { pipelines } = await benchWith([{ decode: 'json' }]);
  const options = { settings, store: new MemoryStore(), pipeline: pipelines };
  const { metrics: registry, counters } = createContext(options, new Set(), () => {});
  counters.authentications.add('password-file', 'accepted');
  registry.add(
    listenerMetrics(
      () => [listener],
      () => 0,
    ),
  );
  const alarms = alarmsOf({
    figures: () => figures,
    diskFreeBytes: () => null,
    listeners: () => [],
    bridges: [],
    audit: null,
  });
  registry.add(new Alarms(alarms, silentLog, () => 0).metrics);
  registry.add(bridgeMetrics([{ name: 'cloud', view: () => ({}) as ReturnType<Bridge['view']> }]));
  registry.add(storeMetrics('.', async () => 0));
  registry.add(telemetryMetrics(new ExportCounts({ waitingMax: 1, url: '', log: silentLog })));
  return [...registry];
}
