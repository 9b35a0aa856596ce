/** Packets as client traces show them: all that is in them but secrets, and payloads only where they are wanted. */

import { cutText } from '../base/cut-text.ts';
import type { PublishHeader } from '../codec/publish.ts';
import { openProperties } from '../codec/publish-properties.ts';
import type { Message } from '../protocol/message.ts';
import type { ConnectPacket, ControlPacket, ServerPacket } from '../protocol/packets.ts';
import { describeReason } from '../protocol/reason-codes.ts';

const payloadBytesMax = 1_024;
/** Of a SUBSCRIBE or UNSUBSCRIBE, and of reason codes. */
const itemsMax = 100;

const packetNames = ['', '', '', 'PUBLISH', 'PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP'];

export interface TracedPublish {
  readonly packetId: number;
  readonly qos: number;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly topicAlias: number;
}

export function receivedPublish(packetId: number, dup: boolean, topicAlias: number, message: Message): TracedPublish {
  return { packetId, qos: message.qos, retain: message.retain, dup, topicAlias };
}

export const sentPublish = ({ packetId, qos, retain, dup, topicAlias, subscriptionIds }: PublishHeader) => {
  const subscriptionIdentifiers = subscriptionIds ?? undefined;
  return { packetId, qos, retain, dup, topicAlias, subscriptionIdentifiers };
};

export function publishDetails(publish: TracedPublish, message: Message, withPayload: boolean): object {
  const { packetId, topicAlias, ...flags } = publish;
  return {
    packet: 'PUBLISH',
    topic: message.topic.name,
    ...flags,
    ...(packetId === 0 ? {} : { packetId }),
    ...(topicAlias === 0 ? {} : { topicAlias }),
    bytes: message.payloadBytes,
    ...(message.expirySeconds < 0 ? {} : { messageExpiryInterval: message.expirySeconds }),
    ...propertiesOf(message.propertiesEnd > message.propertiesStart ? openProperties(message) : {}),
    ...(withPayload ? payloadOf(message.payload) : {}),
  };
}

/** As text if it is text, else in hexadecimal digits. */
function payloadOf(payload: Buffer): object {
  const shown = payload.subarray(0, payloadBytesMax);
  const text = shown.toString();
  const isText = Buffer.from(text).equals(shown);
  return {
    ...(isText ? { payload: text } : { payloadHex: shown.toString('hex') }),
    isCut: payload.length > shown.length,
  };
}

export function ackDetails(type: number, packetId: number, reasonCode: number, reasonString?: string): object {
  const reason = reasonCode === 0 ? {} : { reason: describeReason(reasonCode) };
  return { packet: packetNames[type], packetId, ...reason, ...(reasonString === undefined ? {} : { reasonString }) };
}

export function packetDetails(packet: ControlPacket | ServerPacket): object {
  const name = { packet: packet.cmd.toUpperCase() };
  switch (packet.cmd) {
    case 'connect':
      return { ...name, ...connectDetails(packet) };
    case 'subscribe': {
      const { messageId: packetId, subscriptions, properties } = packet;
      const filters = [...first(subscriptions)].map(({ topic, qos, nl, rap, rh }) => ({ topic, qos, nl, rap, rh }));
      return { ...name, packetId, subscriptions: filters, ...propertiesOf(properties) };
    }
    case 'unsubscribe': {
      const { messageId: packetId, unsubscriptions, properties } = packet;
      return { ...name, packetId, unsubscriptions: [...first(unsubscriptions)], ...propertiesOf(properties) };
    }
    case 'suback':
    case 'unsuback': {
      const { messageId: packetId, granted, properties } = packet;
      const codes = granted.slice(0, itemsMax).map((code) => (code < 3 ? code : describeReason(code)));
      return { ...name, packetId, codes, ...propertiesOf(properties) };
    }
    case 'connack': {
      const { sessionPresent, reasonCode, properties } = packet;
      return { ...name, sessionPresent, reason: describeReason(reasonCode), ...propertiesOf(properties) };
    }
    default:
      return { ...name, reason: describeReason(packet.reasonCode), ...propertiesOf(packet.properties) };
  }
}

/** User name and password may be secrets: only whether they are there. */
function connectDetails({ protocolVersion, clean, keepalive, will, username, password, properties }: ConnectPacket) {
  const about =
    will === undefined
      ? {}
      : { will: { topic: will.topic, qos: will.qos, retain: will.retain, bytes: will.payload.length } };
  const has = { hasUsername: username !== undefined, hasPassword: password !== undefined };
  return { protocolVersion, clean, keepAlive: keepalive, ...has, ...about, ...propertiesOf(properties) };
}

function* first<T>(items: Iterable<T>): Generator<T> {
  let left = itemsMax;
  for (const item of items) {
    if (left-- <= 0) return;
    yield item;
  }
}

/** Binary ones by their size: those of authentication are secrets. */
function propertiesOf(properties: object): { properties?: object } {
  const shown: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    if (Buffer.isBuffer(value)) shown[name] = `${value.length} bytes`;
    else if (name === 'userProperties') shown[name] = (value as [string, string][]).slice(0, itemsMax);
    else shown[name] = typeof value === 'string' ? cutText(value, payloadBytesMax) : value;
  }
  return Object.keys(shown).length === 0 ? {} : { properties: shown };
}
