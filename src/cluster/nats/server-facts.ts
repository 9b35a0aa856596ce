/** What nats-servers tell of themselves, for `sluice cluster check`. It changes nothing. */
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { Link, type NatsOptions, withoutPassword } from './link.ts';
import { asUnavailable } from './unavailable.ts';

/** To who connects as a client. */
export interface ServerFacts {
  /** As it was given, without a password. */
  readonly url: string;
  readonly name: string;
  readonly version: string;
  /** Of servers; null: it is alone. */
  readonly cluster: string | null;
  readonly hasJetStream: boolean;
  readonly maxPayloadBytes: number;
}

/** To who asks its monitoring over HTTP. */
export interface MonitorFacts {
  readonly url: string;
  readonly name: string;
  readonly isSyncedAlways: boolean;
  readonly syncSeconds: number;
  readonly storageBytesMax: number;
  readonly storageBytesUsed: number;
  /** Its clock minus ours. */
  readonly clockOffMs: number;
  /** Between the question and the answer: the difference of clocks is known no better. */
  readonly roundTripMs: number;
  /** Servers of JetStream; 1: it is alone. */
  readonly clusterSize: number;
  /** Who leads JetStream; null: nobody does, or it is alone. */
  readonly leader: string | null;
  readonly offline: readonly string[];
}

/** What the account that we connect as may use; -1: no limit. */
export interface AccountFacts {
  readonly storageBytesMax: number;
  readonly storageBytesUsed: number;
  readonly streamsMax: number;
  readonly streams: number;
  readonly consumersMax: number;
}

const monitorMs = 3_000;

/** Rejects with `EngineUnavailable`. */
export async function readServer(url: string, options: NatsOptions): Promise<ServerFacts> {
  const link = await Link.open('sluice cluster check', { ...options, servers: [url] });
  try {
    const info = link.connection.info!;
    return {
      url: withoutPassword(url),
      name: info.server_name,
      version: info.version,
      cluster: info.cluster ?? null,
      hasJetStream: info.jetstream === true,
      maxPayloadBytes: info.max_payload,
    };
  } finally {
    await link.close();
  }
}

interface MonitorAnswer {
  readonly server_name: string;
  readonly now: string;
}

interface JetStreamAnswer {
  readonly disabled?: boolean;
  readonly storage: number;
  readonly config?: { readonly max_storage: number; readonly sync_interval: number; readonly sync_always?: boolean };
  readonly meta_cluster?: {
    readonly leader?: string;
    readonly cluster_size: number;
    readonly replicas?: readonly { readonly name: string; readonly offline?: boolean }[];
  };
}

/** Rejects where nothing, or something else, answers. */
export async function readMonitor(url: string): Promise<MonitorFacts> {
  const base = url.replace(/\/+$/, '');
  const asked = Date.now();
  const server = await json<MonitorAnswer>(`${base}/varz`);
  const answered = Date.now();
  const { config, storage, meta_cluster: meta } = await json<JetStreamAnswer>(`${base}/jsz?config=true`);
  if (config === undefined || server.server_name === undefined) throw new Error('it tells nothing of JetStream');
  return {
    url: base,
    name: server.server_name,
    isSyncedAlways: config.sync_always === true,
    syncSeconds: config.sync_interval / 1e9,
    storageBytesMax: config.max_storage,
    storageBytesUsed: storage,
    clockOffMs: Date.parse(server.now) - (asked + answered) / 2,
    roundTripMs: answered - asked,
    clusterSize: meta?.cluster_size ?? 1,
    leader: meta?.leader || null,
    offline: (meta?.replicas ?? []).filter(({ offline }) => offline === true).map(({ name }) => name),
  };
}

async function json<T>(url: string): Promise<T> {
  const response = await fetch(url, { signal: AbortSignal.timeout(monitorMs) });
  if (!response.ok) throw new Error(`it answers ${response.status}`);
  return (await response.json()) as T;
}

/** Rejects with `EngineUnavailable`. */
export async function readAccount(options: NatsOptions): Promise<AccountFacts> {
  const link = await Link.open('sluice cluster check', options);
  try {
    const manager: JetStreamManager = await asUnavailable(
      jetstreamManager(link.connection, { timeout: options.answerMs }),
    );
    const { limits, storage, streams } = await asUnavailable(manager.getAccountInfo());
    return {
      storageBytesMax: limits.max_storage,
      storageBytesUsed: storage,
      streamsMax: limits.max_streams,
      streams,
      consumersMax: limits.max_consumers,
    };
  } finally {
    await link.close();
  }
}
