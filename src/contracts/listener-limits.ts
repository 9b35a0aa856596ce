/** What one listener allows of what the broker allows. */
import type { QoS } from '../protocol/packets.ts';
import type { ProtocolVersion } from '../protocol/traits.ts';

export interface ListenerLimits {
  readonly protocolVersions: readonly ProtocolVersion[];
  readonly maximumQoS: QoS;
  /** At one time. */
  readonly connections: number;
}

/** As people write them. */
export const versionNames = ['3.1', '3.1.1', '5.0'] as const;
const versions = { '3.1': 3, '3.1.1': 4, '5.0': 5 } as const;

export const everything: ListenerLimits = {
  protocolVersions: Object.values(versions),
  maximumQoS: 2,
  connections: Number.POSITIVE_INFINITY,
};

export function limitsOfListener({
  protocolVersions = versionNames,
  maximumQoS = 2,
  connections = Number.POSITIVE_INFINITY,
}: {
  readonly protocolVersions?: readonly (typeof versionNames)[number][] | undefined;
  readonly maximumQoS?: QoS | undefined;
  readonly connections?: number | undefined;
}): ListenerLimits {
  return { protocolVersions: protocolVersions.map((name) => versions[name]), maximumQoS, connections };
}
