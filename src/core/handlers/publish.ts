/**
 * What one PUBLISH from a client means: route it, remember a QoS 2 identifier, answer once the answer holds.
 */
import type { Message } from '../../protocol/message.ts';
import { type PacketId, PacketType, type QoS } from '../../protocol/packets.ts';
import { isFailure, ReasonCode } from '../../protocol/reason-codes.ts';
import type { Core } from '../core.ts';
import { Publication } from '../fan-out.ts';
import type { Session } from '../session.ts';

/** The message may be borrowed. For `mayPause` see `Core.publish`. */
export function handlePublish(
  core: Core,
  session: Session,
  message: Message,
  packetId: PacketId,
  mayPause = false,
): void {
  const { qos } = message;
  if (qos === 0) return void core.publish(message, session, null, mayPause);
  const { staged } = core.store;
  if (answerIfResend(core, session, qos, packetId)) return;
  const code = core.publish(message, session, null, mayPause);
  if (core.fanOut === null) return answerPublish(core, session, qos, packetId, code, staged);
  const done = finisher(core, session, qos, packetId, staged);
  core.fanOut = new Publication(core, [], session, done, { fanOut: core.takeFanOut() });
}

/** The first copy is on its way, perhaps still to the disk: a resend is only answered again. [MQTT5 4.3.3-10] */
function answerIfResend(core: Core, session: Session, qos: QoS, packetId: PacketId): boolean {
  if (qos !== 2 || !session.received.has(packetId)) return false;
  core.sink.acknowledgeStored(session, PacketType.pubrec, packetId, ReasonCode.Success);
  return true;
}

/** What was published has reached everybody, or found no room. The answer waits for what was staged since `staged`. */
export function answerPublish(
  core: Core,
  session: Session,
  qos: QoS,
  packetId: PacketId,
  code: number,
  staged: number,
): void {
  if (qos === 1) core.answer(session, PacketType.puback, packetId, code, staged);
  if (qos !== 2) return;
  if (!isFailure(code)) remember(core, session, packetId);
  core.answer(session, PacketType.pubrec, packetId, code, staged);
}

/** The same, perhaps in a later round. */
function finisher(core: Core, session: Session, qos: QoS, packetId: PacketId, staged: number): (code: number) => void {
  const { channel } = session;
  return (code) => {
    if (session.channel === channel) answerPublish(core, session, qos, packetId, code, staged);
  };
}

/** Until PUBREL, the identifier stands for this message. */
function remember(core: Core, session: Session, packetId: PacketId): void {
  session.received.add(packetId);
  if (session.isPersistent) core.store.putReceived(session.sid, packetId);
}

/**
 * A PUBLISH that was refused: nothing is routed. Before 5.0 no answer can say so, and a client that gets none sends for
 * ever; it is answered as if all were well. [MQTT3 3.3.5-2]
 */
export function answerRefused(core: Core, session: Session, qos: QoS, packetId: PacketId, reasonCode: number): void {
  const { staged } = core.store;
  if (qos === 1) core.answer(session, PacketType.puback, packetId, reasonCode, staged);
  if (qos !== 2) return;
  // A failure ends the exchange, but only 5.0 has one; before, it goes on to PUBREL. [MQTT5 4.3.3-9]
  if (!session.traits.hasProperties && !session.received.has(packetId)) remember(core, session, packetId);
  core.answer(session, PacketType.pubrec, packetId, reasonCode, staged);
}
