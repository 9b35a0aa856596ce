import { encodePublishProperties, type OpenProperties } from '../codec/publish-properties.ts';
import { Message, never } from '../protocol/message.ts';
import { assertMessageParts } from '../protocol/message-fields.ts';
import type { QoS } from '../protocol/packets.ts';
import { Topic, type TopicLimits } from '../protocol/topic.ts';

export interface MessageFields extends OpenProperties {
  readonly payload: Uint8Array;
  readonly qos?: QoS;
  readonly retain?: boolean;
  readonly messageExpiryInterval?: number | undefined;
}

/**
 * A message that was not read from a PUBLISH: a will, the program's own, or what a hook or a pipeline made of one.
 * Throws a ProtocolError if it could not be sent. `known`: the topic of this name, if it is at hand. `isOurs`: the
 * payload need not be copied.
 */
export function createMessage(
  topic: string,
  fields: MessageFields,
  now: number,
  limits: TopicLimits,
  known?: Topic,
  isOurs = false,
): Message {
  const { payload, qos = 0, retain = false, messageExpiryInterval = -1 } = fields;
  assertMessageParts({ ...fields, topic }, limits);
  const properties = encodePublishProperties(fields);
  const of = isOurs && properties.length === 0 ? Message.over : Message.of;
  const message = of(known ?? Topic.of(topic), payload, { qos, retain, properties });
  message.expirySeconds = messageExpiryInterval;
  message.expiresAt = message.expirySeconds < 0 ? never : now + message.expirySeconds * 1000;
  return message;
}
