/**
 * What the peer takes, as its CONNACK says; what that leaves out is as the standard has it. [MQTT5 3.2.2.3]
 */
import type { BridgeSettings } from '../contracts/bridge-settings.ts';
import type { ConnackPacket, QoS } from '../protocol/packets.ts';
import { type Traits, traitsOf } from '../protocol/traits.ts';

export interface PeerLimits {
  readonly receiveMaximum: number;
  readonly packetBytesMax: number;
  readonly maximumQoS: QoS;
  readonly retainAvailable: boolean;
  readonly topicAliasMaximum: number;
  /** Instead of what was asked for. */
  readonly keepAliveSeconds: number;
  /** Whether the session outlives the connection. */
  readonly sessionExpirySeconds: number;
}

/** Largest packet that there can be. [MQTT5 2.1.4] */
const packetBytesMax = 268_435_460;

export function peerLimits(
  { properties }: ConnackPacket,
  { hasProperties }: Traits,
  asked: Pick<BridgeSettings, 'keepAliveSeconds' | 'sessionExpirySeconds' | 'maxPacketBytes'>,
): PeerLimits {
  return {
    // Before 5.0 nobody can say how many they take; a client holds what is not acknowledged itself.
    receiveMaximum: hasProperties ? (properties.receiveMaximum ?? 65_535) : 65_535,
    packetBytesMax: Math.min(properties.maximumPacketSize ?? packetBytesMax, asked.maxPacketBytes ?? packetBytesMax),
    maximumQoS: properties.maximumQoS ?? 2,
    retainAvailable: properties.retainAvailable ?? true,
    topicAliasMaximum: properties.topicAliasMaximum ?? 0,
    keepAliveSeconds: properties.serverKeepAlive ?? asked.keepAliveSeconds,
    sessionExpirySeconds: properties.sessionExpiryInterval ?? asked.sessionExpirySeconds,
  };
}

/** Before there is any. */
export const noLimits = peerLimits(
  { cmd: 'connack', sessionPresent: false, reasonCode: 0, properties: {} },
  traitsOf[5],
  {
    keepAliveSeconds: 0,
    sessionExpirySeconds: 0,
    maxPacketBytes: undefined,
  },
);
