/**
 * What the bridge says of itself in CONNECT, and how it goes on if the peer does not know that version.
 */
import type { BridgeSettings } from '../contracts/bridge-settings.ts';
import type { Limits } from '../contracts/settings.ts';
import type { ConnectPacket, UserProperties, Will } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { type ProtocolVersion, traitsOf } from '../protocol/traits.ts';
import type { Credentials } from './credentials.ts';

/** A way to say who comes. */
export interface Manner {
  readonly version: ProtocolVersion;
  /** Before 5.0: see `ConnectPacket.isBridge`. Not all brokers know of it. */
  readonly isBridge: boolean;
}

const v5: Manner = { version: 5, isBridge: false };
const v311: readonly Manner[] = [
  { version: 4, isBridge: true },
  { version: 4, isBridge: false },
];

/** In the order in which they are tried. */
export function mannersOf(version: BridgeSettings['version']): readonly Manner[] {
  return version === '5.0' ? [v5] : version === '3.1.1' ? v311 : [v5, ...v311];
}

/** Return code of 3.1.1. [MQTT3 3.2.2.3] */
const unacceptableProtocolVersion = 1;

/** Whether the peer, which refuses, may know another version. */
export const refusesVersion = (reasonCode: number) =>
  reasonCode === unacceptableProtocolVersion || reasonCode === ReasonCode.UnsupportedProtocolVersion;

export function connectPacket(
  settings: BridgeSettings,
  { version, isBridge }: Manner,
  who: Credentials & { readonly clientId: string; readonly userProperties: UserProperties; readonly will: Will | null },
  limits: Limits,
): ConnectPacket {
  const { cleanStart, keepAliveSeconds, sessionExpirySeconds } = settings;
  const packet: ConnectPacket = {
    cmd: 'connect',
    protocolVersion: version,
    clientId: who.clientId,
    clean: cleanStart,
    keepalive: keepAliveSeconds,
    properties: {},
  };
  if (isBridge) packet.isBridge = true;
  if (who.will !== null) packet.will = who.will;
  if (who.username !== null) packet.username = who.username;
  if (who.password !== null) packet.password = who.password;
  if (!traitsOf[version].hasProperties) return packet;
  packet.properties = {
    sessionExpiryInterval: sessionExpirySeconds,
    receiveMaximum: settings.maxInflight,
    maximumPacketSize: limits.packetBytes,
    topicAliasMaximum: limits.topicAliases,
    userProperties: who.userProperties,
  };
  return packet;
}
