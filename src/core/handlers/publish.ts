/**
 * What one PUBLISH from a client means: route it, remember a QoS 2 identifier, answer once the answer holds.
 */
import type { Message } from '../../protocol/message.ts';
import { type PacketId, PacketType, type QoS } from '../../protocol/packets.ts';
import { isFailure, ReasonCode } from '../../protocol/reason-codes.ts';
import type { Core } from '../core.ts';
import type { Prepared } from '../prepared.ts';
import type { Session } from '../session.ts';

/** The message may be borrowed. For `mayPause` see `Core.publish`. */
export function handlePublish(
  core: Core,
  session: Session,
  message: Message,
  packetId: PacketId,
  mayPause = false,
): void {
  if (message.qos === 0) core.publish(message, session, null, mayPause);
  else exchange(core, session, message.qos, packetId, message);
}

/**
 * A PUBLISH of this QoS became other messages, or none, on its way through the pipeline. The publisher is answered once, and
 * after what has been stored since `stagedBefore`.
 */
export function handleTransformed(
  core: Core,
  session: Session,
  qos: QoS,
  packetId: PacketId,
  messages: readonly Prepared[],
  stagedBefore: number,
): void {
  exchange(core, session, qos, packetId, messages, stagedBefore);
}

function exchange(
  core: Core,
  session: Session,
  qos: QoS,
  packetId: PacketId,
  messages: Message | readonly Prepared[],
  staged = core.store.staged,
): void {
  if (qos === 0) {
    publishEach(core, session, messages, qos);
  } else if (qos === 1) {
    const reasonCode = publishEach(core, session, messages, qos);
    core.answer(session, PacketType.puback, packetId, reasonCode, staged);
  } else {
    // A resend: the first copy is on its way, perhaps still to the disk, so only answer again. [MQTT5 4.3.3-10]
    if (session.received.has(packetId)) {
      return core.sink.acknowledgeStored(session, PacketType.pubrec, packetId, ReasonCode.Success);
    }
    const reasonCode = publishEach(core, session, messages, qos);
    if (!isFailure(reasonCode)) remember(core, session, packetId);
    core.answer(session, PacketType.pubrec, packetId, reasonCode, staged);
  }
}

/**
 * All of it or, where there is no room for all of it and the publisher can be told, nothing: a part that was routed would come
 * twice when the publisher tries again.
 */
function publishEach(core: Core, session: Session, messages: Message | readonly Prepared[], qos: QoS): number {
  const canBeTold = qos > 0 && session.traits.hasProperties;
  if (!Array.isArray(messages)) {
    const message = messages as Message;
    if (canBeTold && core.refusesOne(message, session)) return ReasonCode.QuotaExceeded;
    return core.publish(message, session);
  }
  if (canBeTold && core.refuses(messages, session)) return ReasonCode.QuotaExceeded;
  let worst: number = ReasonCode.Success;
  for (const { message, forms } of messages) worst = Math.max(worst, core.publish(message, session, forms));
  return worst;
}

/** Until PUBREL, the identifier stands for this message. */
function remember(core: Core, session: Session, packetId: PacketId): void {
  session.received.add(packetId);
  if (session.isPersistent) core.store.putReceived(session.sid, packetId);
}

/**
 * A PUBLISH that was refused: nothing is routed. Before 5.0 no answer can say so, and a client that gets none sends for ever;
 * it is answered as if all were well. [MQTT3 3.3.5-2]
 */
export function refusePublish(core: Core, session: Session, qos: QoS, packetId: PacketId, reasonCode: number): void {
  const { staged } = core.store;
  if (qos === 1) core.answer(session, PacketType.puback, packetId, reasonCode, staged);
  if (qos !== 2) return;
  // A failure ends the exchange, but only 5.0 has one; before, it goes on to PUBREL. [MQTT5 4.3.3-9]
  if (!session.traits.hasProperties && !session.received.has(packetId)) remember(core, session, packetId);
  core.answer(session, PacketType.pubrec, packetId, reasonCode, staged);
}
