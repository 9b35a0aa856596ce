/**
 * Packets as Aedes has them: those of mqtt-packet, and what the broker adds to a PUBLISH that it hands out.
 */
import type {
  IConnackPacket,
  IConnectPacket,
  IPingreqPacket,
  IPublishPacket,
  IPubrelPacket,
  ISubscribePacket,
  ISubscription,
  IUnsubscribePacket,
} from 'mqtt-packet';
import type { MessageFields } from '../broker/create-message.ts';
import type { PublishedMessage } from '../contracts/hooks.ts';
import { userPropertyPairs } from '../protocol/user-properties.ts';

export type ConnectPacket = IConnectPacket & { cmd: 'connect' };
export type ConnackPacket = IConnackPacket & { cmd: 'connack' };
export type PingreqPacket = IPingreqPacket & { cmd: 'pingreq' };
export type PubrelPacket = IPubrelPacket & { cmd: 'pubrel' };
export type SubscribePacket = ISubscribePacket & { cmd: 'subscribe' };
export type UnsubscribePacket = IUnsubscribePacket & { cmd: 'unsubscribe' };
export type Subscription = ISubscription & { clientId?: string };
export type Subscriptions = { subscriptions: Subscription[] };
export type PublishPacket = IPublishPacket & { cmd: 'publish' };

export interface AedesPacket {
  brokerId: string;
  /** Rises with each packet that this broker hands out. */
  brokerCounter: number;
  /** Who published it, for `subscribe` of the broker; absent: the program. */
  clientId?: string;
}
export type AedesPublishPacket = PublishPacket & AedesPacket;

/** What a program need not write out, other than in Aedes's own types. */
export type OutgoingPacket = Pick<PublishPacket, 'topic'> & Partial<PublishPacket>;

type Properties = NonNullable<PublishPacket['properties']>;

const bytesOf = (payload: string | Buffer | undefined): Buffer =>
  payload === undefined ? Buffer.alloc(0) : Buffer.from(payload as Buffer);

/** For `publish` of the broker. */
export function fieldsOf({ payload, qos = 0, retain = false, properties = {} }: OutgoingPacket): MessageFields {
  const { contentType, responseTopic, correlationData, payloadFormatIndicator, messageExpiryInterval } = properties;
  const named = { contentType, responseTopic, correlationData, payloadFormatIndicator };
  return {
    ...{ payload: bytesOf(payload), qos, retain, ...named },
    ...(messageExpiryInterval === undefined ? {} : { messageExpiryInterval }),
    userProperties: userPropertyPairs(properties.userProperties),
  };
}

/** A message of the broker as a PUBLISH; the payload is copied, since it is the broker's. */
export function packetOf(message: PublishedMessage): PublishPacket {
  const { topic, payload, qos, retain } = message;
  const properties = propertiesOf(message);
  const packet: PublishPacket = { cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain, dup: false };
  return properties === null ? packet : { ...packet, properties };
}

function propertiesOf(message: PublishedMessage): Properties | null {
  const { contentType, responseTopic, correlationData, payloadFormatIndicator, messageExpiryInterval } = message;
  const properties: Properties = {};
  if (contentType !== undefined) properties.contentType = contentType;
  if (responseTopic !== undefined) properties.responseTopic = responseTopic;
  if (correlationData !== undefined) properties.correlationData = Buffer.from(correlationData);
  if (payloadFormatIndicator !== undefined) properties.payloadFormatIndicator = payloadFormatIndicator;
  if (messageExpiryInterval !== undefined) properties.messageExpiryInterval = messageExpiryInterval;
  if (message.userProperties.length > 0) {
    const named: Record<string, string[]> = Object.create(null);
    for (const [name, value] of message.userProperties) (named[name] ??= []).push(value);
    properties.userProperties = { ...named };
  }
  return Object.keys(properties).length === 0 ? null : properties;
}
