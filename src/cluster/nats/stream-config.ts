/** What a stream of ours is in JetStream. */
import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import { EngineUnavailable, type StreamSettings } from '../../contracts/cluster-engine.ts';
import { asUnavailable } from './unavailable.ts';

export interface StreamPlace {
  /** Its name among all streams of the account. */
  readonly name: string;
  /** What all its subjects begin with. */
  readonly prefix: string;
}

export function placeOf(cluster: string, { name }: StreamSettings): StreamPlace {
  return { name: `sluice-${cluster}-${name}`, prefix: `sluice.${cluster}.${name}.` };
}

/** Nobody else may change these; the library has them all as optional. */
type OwnConfig = Pick<
  StreamConfig,
  | 'name'
  | 'subjects'
  | 'retention'
  | 'storage'
  | 'num_replicas'
  | 'max_msgs_per_subject'
  | 'discard'
  | 'max_bytes'
  | 'allow_direct'
>;

function configOf(settings: StreamSettings, { name, prefix }: StreamPlace, replicas: number): OwnConfig {
  return {
    name,
    subjects: [`${prefix}>`],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    num_replicas: replicas,
    max_msgs_per_subject: settings.keeps === 'newestOfSubject' ? 1 : -1,
    discard: settings.whenFull === 'refuse' ? DiscardPolicy.New : DiscardPolicy.Old,
    max_bytes: settings.bytesMax,
    allow_direct: true,
  };
}

/** JetStream's own number of the error. */
const streamNotFound = 10_059;
/** The server is alone, and keeps no copies. */
const noReplicas = 10_074;
/** Of what `max_file` allows. */
const noStorage = 10_047;

/** Makes the stream if there is none, and refuses one that is there with other settings. */
export async function createStream(
  manager: JetStreamManager,
  settings: StreamSettings,
  { cluster, replicas }: { readonly cluster: string; readonly replicas: number },
): Promise<StreamPlace> {
  const place = placeOf(cluster, settings);
  const config = configOf(settings, place, replicas);
  const found = await asUnavailable(
    manager.streams.info(place.name).then(
      (info) => info.config,
      (error: unknown) => {
        if (error instanceof JetStreamApiError && error.code === streamNotFound) return null;
        throw error;
      },
    ),
  );
  // Nothing of ours relies on JetStream's own look for duplicates; this is the shortest memory that it has for it.
  const made = found ?? (await createdBy(manager, { ...config, duplicate_window: 1e9 }));
  const differing = (Object.keys(config) as (keyof OwnConfig)[]).filter(
    (key) => JSON.stringify(made[key]) !== JSON.stringify(config[key]),
  );
  if (differing.length === 0) return place;
  const details = differing.map((key) => `${key} is ${JSON.stringify(made[key])}, not ${JSON.stringify(config[key])}`);
  throw new Error(
    `The stream ${place.name} has other settings: ${details.join('; ')}. ` +
      'Give all nodes of the cluster the same settings, or change the stream with the tool nats',
  );
}

async function createdBy(manager: JetStreamManager, config: Partial<StreamConfig> & { name: string }) {
  try {
    return (await manager.streams.add(config)).config;
  } catch (error) {
    const lasting = error instanceof JetStreamApiError ? lastingFault(error.code, config) : null;
    if (lasting !== null) throw new Error(lasting, { cause: error });
    throw new EngineUnavailable(`Cannot make the stream ${config.name}: ${(error as Error).message}`, { cause: error });
  }
}

/** What does not pass by itself, and what to do; null: it may pass. */
function lastingFault(code: number, { name, num_replicas: copies, max_bytes: bytes }: Partial<StreamConfig>) {
  if (code === noReplicas) {
    const what = `cluster.replicas is ${copies}, and the nats-server is alone`;
    return `${what}: set cluster.replicas to 1, or run at least ${copies} nats-servers as one cluster`;
  }
  if (code !== noStorage) return null;
  const what = `The nats-server has no room for the ${bytes} bytes of the stream ${name}`;
  return `${what}: raise max_file in the section jetstream of its configuration, or lower cluster.logBytes or cluster.recordBytes`;
}
