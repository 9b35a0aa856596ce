/** What a running broker is at, on one page. */
import type { Alarms } from './admin/alarms.ts';
import { RecentRates } from './admin/rates.ts';
import type { Broker } from './broker/broker.ts';
import { version } from './broker/version.ts';
import type { Config } from './config/schema.ts';
import type { BrokerStatus, ClusterStatus, Rates } from './contracts/status.ts';
import type { Listener } from './contracts/transport.ts';

export interface StatusSources {
  readonly broker: Broker;
  /** As it was started with. */
  readonly config: Config;
  /** Where that comes from; null: no file. */
  readonly configFile: string | null;
  readonly phase: () => BrokerStatus['phase'];
  readonly listeners: readonly Listener[];
  readonly adminListeners: readonly { readonly url: string }[];
  readonly alarms: Alarms;
  readonly cluster: () => ClusterStatus | null;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export class StatusPage {
  readonly #sources: StatusSources;
  readonly #rates;

  constructor(sources: StatusSources) {
    this.#sources = sources;
    this.#rates = new RecentRates(() => sources.broker.figures().counts);
  }

  /** Once a second. */
  tick(): void {
    this.#rates.tick(this.#sources.now());
  }

  read(): BrokerStatus {
    const { broker, config, configFile, phase, listeners, adminListeners, alarms, now } = this.#sources;
    const { startedAt, counts: _, memory, ...figures } = broker.figures();
    const { store, cluster } = config;
    return {
      version,
      node: process.version,
      pid: process.pid,
      phase: phase(),
      startedAt,
      uptimeSeconds: Math.max(0, Math.round((now() - startedAt) / 1_000)),
      configFile,
      dataDirectory: store.kind === 'level' ? store.directory : null,
      durability: store.kind === 'level' ? store.durability : cluster === undefined ? 'memory' : 'cluster',
      cluster: this.#sources.cluster(),
      listeners: listeners.map(({ url, isListening }) => ({
        url,
        isListening,
        connections: broker.listenerCounts.of(url).open,
      })),
      api: adminListeners.map(({ url }) => url),
      ...figures,
      perSecond: this.#perSecond(),
      memory: { ...memory, residentBytes: process.memoryUsage.rss() },
      alarms: alarms.active,
    };
  }

  #perSecond(): Rates {
    const { seconds, of } = this.#rates.read(this.#sources.now());
    return {
      seconds,
      messagesReceived: of('messagesReceived'),
      messagesSent: of('messagesSent'),
      messagesDropped: of('messagesDropped'),
      bytesReceived: of('bytesReceived'),
      bytesSent: of('bytesSent'),
      connections: of('connectionsAccepted'),
    };
  }
}
