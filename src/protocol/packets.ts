/**
 * The packets that are read into objects. PUBLISH and its acknowledgements are not among them: they are decoded in
 * place, see `PublishView` and `PacketReceiver` in `codec/`.
 *
 * Field names are those of the npm package mqtt-packet, which users of MQTT.js and Aedes know. One difference: user
 * properties are a list of pairs, because their order must survive. [MQTT5 3.3.2-18]
 */
import type { ProtocolVersion } from './traits.ts';

export type QoS = 0 | 1 | 2;
/** 1 to 65,535; 0 stands for "no packet identifier". [MQTT5 2.2.1-3] */
export type PacketId = number;
export type UserProperties = ReadonlyArray<readonly [name: string, value: string]>;

export interface WillProperties {
  willDelayInterval?: number;
  payloadFormatIndicator?: boolean;
  messageExpiryInterval?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Buffer;
  userProperties?: UserProperties;
}

export interface Will {
  topic: string;
  payload: Buffer;
  qos: QoS;
  retain: boolean;
  properties: WillProperties;
}

export interface ConnectProperties {
  sessionExpiryInterval?: number;
  receiveMaximum?: number;
  maximumPacketSize?: number;
  topicAliasMaximum?: number;
  requestResponseInformation?: boolean;
  requestProblemInformation?: boolean;
  userProperties?: UserProperties;
  authenticationMethod?: string;
  authenticationData?: Buffer;
}

export interface ConnectPacket {
  cmd: 'connect';
  protocolVersion: ProtocolVersion;
  clientId: string;
  /** Clean Session in 3.1 and 3.1.1, Clean Start in 5.0. */
  clean: boolean;
  /** Seconds; 0 turns keep-alive off. */
  keepalive: number;
  /**
   * Before 5.0: it is a bridge, which gets nothing back that it brought, and messages retained as they were published.
   * 5.0 has options of a subscription for both.
   */
  isBridge?: true;
  will?: Will;
  username?: string;
  password?: Buffer;
  properties: ConnectProperties;
}

export interface ConnackProperties {
  sessionExpiryInterval?: number;
  receiveMaximum?: number;
  maximumQoS?: 0 | 1;
  retainAvailable?: boolean;
  maximumPacketSize?: number;
  assignedClientIdentifier?: string;
  topicAliasMaximum?: number;
  reasonString?: string;
  userProperties?: UserProperties;
  wildcardSubscriptionAvailable?: boolean;
  subscriptionIdentifiersAvailable?: boolean;
  sharedSubscriptionAvailable?: boolean;
  serverKeepAlive?: number;
  responseInformation?: string;
  serverReference?: string;
  authenticationMethod?: string;
  authenticationData?: Buffer;
}

export interface ConnackPacket {
  cmd: 'connack';
  sessionPresent: boolean;
  /** A reason code of 5.0, or a return code (0 to 5) of 3.1 and 3.1.1. */
  reasonCode: number;
  properties: ConnackProperties;
}

export interface SubscriptionRequest {
  /** As the client wrote it, `$share/…` included. */
  topic: string;
  qos: QoS;
  nl: boolean;
  rap: boolean;
  rh: 0 | 1 | 2;
}

export interface SubscribePacket {
  cmd: 'subscribe';
  messageId: PacketId;
  /** Each is read from the packet when it is asked for. */
  subscriptions: Iterable<SubscriptionRequest>;
  properties: { subscriptionIdentifier?: number; userProperties?: UserProperties };
}

export interface UnsubscribePacket {
  cmd: 'unsubscribe';
  messageId: PacketId;
  /** Each is read from the packet when it is asked for. */
  unsubscriptions: Iterable<string>;
  properties: { userProperties?: UserProperties };
}

/** Reason string and user properties, as every answer of 5.0 may carry them. */
export interface AnswerProperties {
  reasonString?: string;
  userProperties?: UserProperties;
}

export interface SubackPacket {
  cmd: 'suback' | 'unsuback';
  messageId: PacketId;
  granted: number[];
  properties: AnswerProperties;
}

export interface DisconnectPacket {
  cmd: 'disconnect';
  reasonCode: number;
  properties: AnswerProperties & { sessionExpiryInterval?: number; serverReference?: string };
}

export interface AuthPacket {
  cmd: 'auth';
  reasonCode: number;
  properties: AnswerProperties & { authenticationMethod?: string; authenticationData?: Buffer };
}

/** What a client may send, apart from PUBLISH, its acknowledgements and PINGREQ. */
export type ControlPacket = ConnectPacket | SubscribePacket | UnsubscribePacket | DisconnectPacket | AuthPacket;

/** What the server sends, apart from PUBLISH, its acknowledgements and PINGRESP. */
export type ServerPacket = ConnackPacket | SubackPacket | DisconnectPacket | AuthPacket;

/** Control packet types, the upper half of a packet's first byte. [MQTT5 2.1.2] */
export const PacketType = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
} as const;

/** PUBACK, PUBREC, PUBREL, PUBCOMP. */
export type AckType = 4 | 5 | 6 | 7;
