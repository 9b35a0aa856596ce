import { encodePublishProperties, type OpenProperties } from '../codec/publish-properties.ts';
import { Message, never } from '../protocol/message.ts';
import type { QoS } from '../protocol/packets.ts';
import type { Topic } from '../protocol/topic.ts';

export interface MessageFields extends OpenProperties {
  readonly payload: Uint8Array;
  readonly qos?: QoS;
  readonly retain?: boolean;
  readonly messageExpiryInterval?: number | undefined;
}

/** A message that was not read from a PUBLISH: a will, the broker's own, or what a hook made of one. */
export function createMessage(topic: Topic, fields: MessageFields, now: number): Message {
  const message = Message.of(topic, fields.payload, {
    qos: fields.qos ?? 0,
    retain: fields.retain ?? false,
    properties: encodePublishProperties(fields),
  });
  message.expirySeconds = fields.messageExpiryInterval ?? -1;
  message.expiresAt = message.expirySeconds < 0 ? never : now + message.expirySeconds * 1000;
  return message;
}
