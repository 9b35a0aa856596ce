/**
 * A PUBLISH on its way through the hooks, before anything is routed, stored or acknowledged. Without hooks this is passed by.
 */
import { openProperties } from '../codec/publish-properties.ts';
import type { MessageChange, PublishedMessage, PublishVerdict } from '../contracts/hooks.ts';
import { handlePublish, handleTransformed, refusePublish } from '../core/handlers/publish.ts';
import type { Session } from '../core/session.ts';
import type { Message } from '../protocol/message.ts';
import { type PacketId, PacketType } from '../protocol/packets.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { assertTopicName, Topic } from '../protocol/topic.ts';
import { withAnswer } from './awaiting.ts';
import type { Connection } from './connection.ts';
import { createMessage } from './create-message.ts';

export function publishThroughHooks(
  connection: Connection,
  session: Session,
  borrowed: Message,
  packetId: PacketId,
): void {
  const { hooks, core } = connection.shell;
  // $SYS is the broker's own to publish. [MQTT5 4.7.2]
  if (borrowed.topic.name.startsWith('$SYS/'))
    return refuse(connection, session, borrowed, packetId, ReasonCode.NotAuthorized);
  // A resend of a message that has been through already. [MQTT5 4.3.3-10]
  if (borrowed.qos === 2 && session.received.has(packetId)) return handlePublish(core, session, borrowed, packetId);
  const message = borrowed.keep();
  if (hooks.authorizePublish === undefined) return transform(connection, session, message, packetId);
  const ask = () => hooks.authorizePublish!(connection.identity!, message.topic, message.qos, message.retain);
  withAnswer<number>(connection, 'authorizePublish', ask, ReasonCode.NotAuthorized, (code) => {
    if (connection.session !== session) return;
    if (isFailure(code)) refuse(connection, session, message, packetId, code);
    else transform(connection, session, message, packetId);
  });
}

/**
 * The disk takes no writes, so nothing can be promised. 5.0 is told; before, no answer can say so, and the connection waits.
 */
export function publishWhenStored(
  connection: Connection,
  session: Session,
  borrowed: Message,
  packetId: PacketId,
): void {
  const { storeRecovery, log } = connection.shell;
  if (connection.traits.hasProperties) {
    const type = borrowed.qos === 1 ? PacketType.puback : PacketType.pubrec;
    connection.receiveQuota++;
    return connection.refuseAck(type, packetId, ReasonCode.QuotaExceeded, 'The broker cannot write to its disk');
  }
  const message = borrowed.keep();
  log.warn({ client: connection.identity?.clientId }, 'a publisher waits until the data directory takes writes again');
  withAnswer(
    connection,
    'store',
    () => storeRecovery.wait(),
    undefined,
    () => {
      if (connection.session === session) publishThroughHooks(connection, session, message, packetId);
    },
  );
}

function refuse(connection: Connection, session: Session, message: Message, packetId: PacketId, code: number): void {
  const { counters, log, core } = connection.shell;
  counters.publishRefused++;
  log.debug({ client: connection.identity?.clientId, topic: message.topic.name, reason: code }, 'publish refused');
  refusePublish(core, session, message.qos, packetId, code);
}

const failed = { verdict: 'reject', reasonCode: ReasonCode.ImplementationSpecificError } as const;

function transform(connection: Connection, session: Session, message: Message, packetId: PacketId): void {
  const { hooks, core } = connection.shell;
  if (hooks.onPublish === undefined) return handlePublish(core, session, message, packetId);
  const seen = opened(message);
  const ask = () => hooks.onPublish!(connection.identity!, seen);
  withAnswer<PublishVerdict>(connection, 'onPublish', ask, failed, (answer) => {
    if (connection.session !== session) return;
    if (answer.verdict === 'keep') handlePublish(core, session, message, packetId);
    else if (answer.verdict === 'reject') refuse(connection, session, message, packetId, answer.reasonCode);
    else {
      const messages = changedBy(connection, answer, message, seen);
      if (messages === null) refuse(connection, session, message, packetId, failed.reasonCode);
      else handleTransformed(core, session, message.qos, packetId, messages);
    }
  });
}

/** Null if what the hook wants cannot be published: the hook's mistake, which the client must not pay for. */
function changedBy(
  { shell, identity }: Connection,
  answer: PublishVerdict,
  message: Message,
  seen: PublishedMessage,
): Message[] | null {
  try {
    return changesOf(answer).map((change) => changed(message, seen, change, shell.core.now));
  } catch (err) {
    shell.log.error({ client: identity?.clientId, topic: seen.topic, err }, 'onPublish made an invalid message');
    return null;
  }
}

function changesOf(answer: PublishVerdict): readonly MessageChange[] {
  if (answer.verdict === 'change') return [answer.change];
  return answer.verdict === 'split' ? answer.messages : [];
}

function opened(message: Message): PublishedMessage {
  return {
    topic: message.topic.name,
    payload: message.payload,
    qos: message.qos,
    retain: message.retain,
    messageExpiryInterval: message.expirySeconds < 0 ? undefined : message.expirySeconds,
    ...openProperties(message),
  };
}

function changed(original: Message, seen: PublishedMessage, change: MessageChange, now: number): Message {
  const next: PublishedMessage = { ...seen, ...change };
  assertTopicName(next.topic);
  const topic = next.topic === seen.topic ? original.topic : Topic.of(next.topic);
  return createMessage(topic, next, now);
}
