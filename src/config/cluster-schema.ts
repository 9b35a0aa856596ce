/** What a configuration says of the cluster that its broker is a node of. */
import { hostname } from 'node:os';
import * as z from 'zod';
import type { BridgeSettings } from '../contracts/bridge-settings.ts';
import { bytes, seconds, text } from '../contracts/values.ts';

const name = z.string().regex(/^[a-z0-9-]{1,32}$/, { error: '1 to 32 lower-case letters, digits and hyphens' });

const server = z.string().refine(
  (url) => {
    const { protocol = '', hostname: host = '', username = '' } = URL.canParse(url) ? new URL(url) : {};
    // Whoever may see the configuration is shown it; credentials are in a file of their own.
    return (protocol === 'nats:' || protocol === 'tls:') && host !== '' && url.includes('//') && username === '';
  },
  { error: 'nats://HOST:PORT or tls://HOST:PORT, without a user: credentialsFile has that' },
);

export const cluster = z.strictObject({
  name: name.default('main').describe('which cluster on these servers; all its nodes have the same'),
  node: text
    .default(() => hostname())
    .meta({ description: 'what this node is called in logs and lists of NATS', isDefaultVarying: true }),
  servers: z.array(server).min(1).describe('the nats-servers: `nats://HOST:4222`, or `tls://HOST:4222`'),
  credentialsFile: text.optional().describe('a file of credentials of NATS (`.creds`)'),
  tls: z
    .strictObject({
      caFile: text.optional().describe('the authority that servers are trusted by'),
      certFile: text.optional().describe('a certificate to show to them'),
      keyFile: text.optional().describe('its key'),
    })
    .optional()
    .describe('certificates for `tls://`'),
  replicas: z
    .literal([1, 3, 5])
    .default(3)
    .describe('copies of everything, on so many servers. 1 survives no loss of a server'),
  logBytes: bytes(1_048_576).default(10_737_418_240).describe('of the log; publishers wait while it is full'),
  recordBytes: bytes(1_048_576).default(1_073_741_824).describe('of the records of all sessions'),
  keepSeconds: seconds(60, 86_400)
    .default(900)
    .describe('what waits in the log for longer is copied to its end, so that the log stays short'),
});
export type ClusterSettings = z.output<typeof cluster>;

interface Checked {
  readonly cluster?: unknown;
  readonly store: { readonly kind: string };
  readonly limits: { readonly queuePolicy: string };
  readonly bridges: readonly BridgeSettings[];
}

/** What nodes of a cluster cannot do is refused, and not half done. */
export function problemsOfCluster({ cluster, store, limits, bridges }: Checked) {
  if (cluster === undefined) return [];
  const problems: { path: string[]; message: string }[] = [];
  const refuse = (path: string[], message: string) => problems.push({ path, message });
  const inCluster = 'with `cluster`';
  if (store.kind !== 'memory') {
    refuse(['store', 'kind'], `memory ${inCluster}: its nats-servers keep what must last, and nodes keep nothing`);
  }
  if (limits.queuePolicy === 'reject') {
    const why = 'a publisher is answered before other nodes look at their queues';
    refuse(['limits', 'queuePolicy'], `drop-oldest or drop-newest ${inCluster}: ${why}`);
  }
  for (const [index, bridge] of bridges.entries()) {
    for (const [path, message] of problemsOfBridge(bridge)) {
      refuse(['bridges', String(index), ...path], message.replace('{}', inCluster));
    }
  }
  return problems;
}

/** `{}` stands for where it holds. */
function* problemsOfBridge({ queue, topics }: BridgeSettings): Generator<[path: string[], message: string]> {
  if (queue.whenFull === 'refuse') {
    const why = 'a publisher is answered before the node of the bridge looks at its queue';
    yield [['queue', 'whenFull'], `drop-oldest {}: ${why}`];
  }
  const first = topics.find(({ direction }) => direction !== 'in');
  for (const [at, { direction, forward, pipeline, priority }] of topics.entries()) {
    const path = (name: string) => ['topics', String(at), name];
    if (forward === 'subscribed') {
      yield [path('forward'), 'all {}: no node knows what is subscribed to at the others'];
    }
    if (direction === 'in') continue;
    const why = 'several queues of one bridge do not move as one';
    if (pipeline !== undefined) yield [path('pipeline'), `none for what goes out, {}: ${why}`];
    if (priority !== first!.priority) yield [path('priority'), `one for all that goes out, {}: ${why}`];
  }
}
