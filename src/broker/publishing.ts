/**
 * A PUBLISH on its way through the hooks, before anything is routed, stored or acknowledged. Without hooks this is passed by.
 */
import type { PublishVerdict } from '../contracts/hooks.ts';
import { handlePublish, handleTransformed, refusePublish as refuseInCore } from '../core/handlers/publish.ts';
import type { Prepared } from '../core/prepared.ts';
import type { Session } from '../core/session.ts';
import type { Message } from '../protocol/message.ts';
import { type PacketId, PacketType, type QoS } from '../protocol/packets.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { whenStoreKeepsUp, withAnswer } from './awaiting.ts';
import type { Connection } from './connection.ts';
import { isPiped, mayChange, messagesOf, opened, prepare } from './piping.ts';
import { reportPublishRefused } from './reporting.ts';

export function publishThroughHooks(
  connection: Connection,
  session: Session,
  borrowed: Message,
  packetId: PacketId,
): void {
  const { hooks, core } = connection.shell;
  // A resend of a message that has been through already. [MQTT5 4.3.3-10]
  if (borrowed.qos === 2 && session.received.has(packetId)) return handlePublish(core, session, borrowed, packetId);
  const message = borrowed.keep();
  if (hooks.authorizePublish === undefined) return transform(connection, session, message, packetId);
  const ask = () => hooks.authorizePublish!(connection.identity!, message.topic, message.qos, message.retain);
  withAnswer<number>(connection, 'authorizePublish', ask, ReasonCode.NotAuthorized, (code) => {
    if (connection.session !== session) return;
    if (isFailure(code)) refusePublish(connection, session, message, packetId, code);
    else transform(connection, session, message, packetId);
  });
}

/** Whether it is one message more that has to wait for the disk. */
export function mustBeStored({ shell }: Connection, session: Session, message: Message): boolean {
  const { core, pipeline } = shell;
  // QoS 0 promises nothing: what of it is stored all the same waits only once too much does.
  if (message.qos === 0 && !core.store.isBehind) return false;
  // What the pipeline makes of it is not known yet, nor whether it ends in quarantine.
  if (pipeline !== null && mayChange(pipeline, core.router, message.topic)) return true;
  return core.mustStore(message, session);
}

/**
 * The disk takes no writes, or is behind. If it fails, 5.0 is told; before, no answer can say so, and the connection waits. It waits as
 * well if the refusal would have to stay behind an answer that is owed for an earlier message.
 */
export function publishWhenStored(
  connection: Connection,
  session: Session,
  borrowed: Message,
  packetId: PacketId,
): void {
  const { storeHealth, complaints, core } = connection.shell;
  // The first copy was taken: a refusal would free its identifier for the client, and not for us. [MQTT5 4.3.3-10]
  if (borrowed.qos === 2 && session.received.has(packetId)) return handlePublish(core, session, borrowed, packetId);
  const isTold = storeHealth.isFailing && packetId !== 0 && connection.traits.hasProperties;
  if (isTold && connection.heldAnswers === 0) {
    const type = borrowed.qos === 1 ? PacketType.puback : PacketType.pubrec;
    return connection.refuseAck(type, packetId, ReasonCode.QuotaExceeded, 'The broker cannot write to its disk');
  }
  const message = borrowed.keep();
  if (storeHealth.isFailing) {
    const fields = { client: connection.identity?.clientId };
    complaints.warn('waiting', fields, 'a publisher waits until the data directory takes writes again');
  }
  whenStoreKeepsUp(connection, () => {
    if (connection.session === session) publishThroughHooks(connection, session, message, packetId);
  });
}

/** Nobody gets the message; the publisher is told as its version can be. */
export function refusePublish(
  connection: Connection,
  session: Session,
  message: Message,
  packetId: PacketId,
  code: number,
  why?: string,
): void {
  const { counters, log, core } = connection.shell;
  // The first copy was allowed, and is on its way already. [MQTT5 4.3.3-10]
  if (message.qos === 2 && session.received.has(packetId)) return handlePublish(core, session, message, packetId);
  counters.publishRefused++;
  log.debug({ client: connection.identity?.clientId, topic: message.topic.name, reason: code }, 'publish refused');
  reportPublishRefused(connection, message, code, why);
  // In words too, where the version has them.
  if (why !== undefined && packetId !== 0 && connection.traits.hasProperties) {
    return connection.refuseAck(message.qos === 1 ? PacketType.puback : PacketType.pubrec, packetId, code, why);
  }
  refuseInCore(core, session, message.qos, packetId, code);
}

const failed = { verdict: 'reject', reasonCode: ReasonCode.ImplementationSpecificError } as const;

function transform(connection: Connection, session: Session, message: Message, packetId: PacketId): void {
  const { pipeline, core } = connection.shell;
  if (pipeline === null) return handlePublish(core, session, message, packetId);
  const { staged } = core.store;
  if (!isPiped(pipeline, message.topic)) return route(connection, session, message.qos, packetId, [message], staged);
  const seen = opened(message);
  const ask = () => pipeline.onPublish(connection.identity!, seen);
  withAnswer<PublishVerdict>(connection, 'onPublish', ask, failed, (verdict) => {
    if (connection.session !== session) return;
    if (verdict.verdict === 'reject') {
      const { reasonCode, reason } = verdict;
      return refusePublish(connection, session, message, packetId, reasonCode, reason);
    }
    let messages: Message[];
    try {
      messages = messagesOf(verdict, message, seen, connection.shell);
    } catch (err) {
      // The pipeline's mistake: the client must not pay for it with its connection.
      const fields = { client: connection.identity?.clientId, topic: seen.topic, err };
      connection.shell.complaints.error('pipeline', fields, 'onPublish made an invalid message');
      return refusePublish(connection, session, message, packetId, failed.reasonCode);
    }
    route(connection, session, message.qos, packetId, messages, staged);
  });
}

/** Routes what came of the message, once each class of subscribers has its form. */
function route(
  connection: Connection,
  session: Session,
  qos: QoS,
  packetId: PacketId,
  messages: readonly Message[],
  stagedBefore: number,
): void {
  const { shell } = connection;
  withAnswer<readonly Prepared[]>(
    connection,
    'onDeliver',
    () => prepare(shell, messages),
    [],
    (prepared) => {
      if (connection.session === session) {
        handleTransformed(shell.core, session, qos, packetId, prepared, stagedBefore);
      }
    },
  );
}
