/**
 * What a client may publish, for what configured stages make of its messages: it is asked as for a message of its own,
 * also when it has long gone. [MQTT5 4.7.2]
 */
import type { Rights } from '../contracts/access.ts';
import type { Awaitable, ClientIdentity } from '../contracts/hooks.ts';
import type { QoS } from '../protocol/packets.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { assertTopicName, isClosedToClients, Topic } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import { answerOf } from './late-answers.ts';

/** A connection has one identity for as long as nothing changes, so its rules are looked for once. */
const known = new WeakMap<ClientIdentity, Rights>();

/** 0, or the reason code that refuses. */
export function mayPublish(
  context: BrokerContext,
  client: ClientIdentity,
  topicName: string,
  qos: QoS,
  retain: boolean,
): Awaitable<number> {
  const { access, hooks, settings } = context;
  if (isClosedToClients(topicName, settings.allowedDollarPrefixes)) return ReasonCode.NotAuthorized;
  try {
    assertTopicName(topicName, settings.limits);
  } catch {
    return ReasonCode.TopicNameInvalid;
  }
  const topic = Topic.of(topicName);
  if (access !== null) {
    let rights = known.get(client);
    if (rights === undefined) known.set(client, (rights = access.rightsOf(client)));
    const code = rights.publish(topic, qos, retain);
    if (isFailure(code)) return code;
  }
  if (hooks.authorizePublish === undefined) return 0;
  const ask = () => hooks.authorizePublish!(client, topic, qos, retain);
  return answerOf<number>(context, client.clientId, 'authorizePublish', ask, ReasonCode.NotAuthorized);
}
