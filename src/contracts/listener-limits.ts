/** What one listener allows of what the broker allows. */
import type { QoS } from '../protocol/packets.ts';
import { parseFilter } from '../protocol/topic.ts';
import type { ProtocolVersion } from '../protocol/traits.ts';

export interface ListenerLimits {
  readonly protocolVersions: readonly ProtocolVersion[];
  readonly maximumQoS: QoS;
  /** At one time. */
  readonly connections: number;
  /** Put before the topics of its clients; empty: nothing is. */
  readonly mountPoint: string;
  /** How client identifiers begin that the broker gives out here. */
  readonly clientIdPrefix: string;
}

/** Topics can begin with it, and none of them is the broker's own or a shared subscription. */
export const isMountPoint = (prefix: string): boolean =>
  !prefix.startsWith('$') && parseFilter(prefix)?.hasWildcard === false && Buffer.byteLength(prefix) <= 1_024;

/** Characters of the prefix of client identifiers. */
export const clientIdPrefixMost = 64;

/** As people write them. */
export const versionNames = ['3.1', '3.1.1', '5.0'] as const;
const versions = { '3.1': 3, '3.1.1': 4, '5.0': 5 } as const;

export const everything: ListenerLimits = {
  protocolVersions: Object.values(versions),
  maximumQoS: 2,
  connections: Number.POSITIVE_INFINITY,
  mountPoint: '',
  clientIdPrefix: 'sluice-',
};

export function limitsOfListener({
  protocolVersions = versionNames,
  maximumQoS = 2,
  connections = everything.connections,
  mountPoint = everything.mountPoint,
  clientIdPrefix = everything.clientIdPrefix,
}: {
  readonly protocolVersions?: readonly (typeof versionNames)[number][] | undefined;
  readonly maximumQoS?: QoS | undefined;
  readonly connections?: number | undefined;
  readonly mountPoint?: string | undefined;
  readonly clientIdPrefix?: string | undefined;
}): ListenerLimits {
  const accepted = protocolVersions.map((name) => versions[name]);
  return { protocolVersions: accepted, maximumQoS, connections, mountPoint, clientIdPrefix };
}
