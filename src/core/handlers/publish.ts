/**
 * What one PUBLISH from a client means: route it, remember a QoS 2 identifier, answer once the answer holds.
 */
import type { Message } from '../../protocol/message.ts';
import { type PacketId, PacketType, type QoS } from '../../protocol/packets.ts';
import { isFailure, ReasonCode } from '../../protocol/reason-codes.ts';
import { Publication, type Resumable } from '../fan-out.ts';
import type { CoreParts } from '../parts.ts';
import type { Session } from '../session.ts';

/** The message may be borrowed. Returns what is left to do of one that is for very many. */
export function handlePublish(
  parts: CoreParts,
  session: Session,
  message: Message,
  packetId: PacketId,
): Resumable | null {
  const { qos } = message;
  if (qos === 0) {
    const outcome = parts.distributor.publish(message, session);
    return typeof outcome === 'number' ? null : outcome;
  }
  const { staged } = parts.store;
  if (qos === 2 && answerIfResend(parts, session, packetId)) return null;
  const outcome = parts.distributor.publish(message, session);
  if (typeof outcome === 'number') {
    answerPublish(parts, session, qos, packetId, outcome, staged);
    return null;
  }
  const done = finisher(parts, session, qos, packetId, staged);
  return new Publication(parts.distributor, [], session, done, { fanOut: outcome });
}

/** The first copy is on its way, perhaps still to the disk: a resend is only answered again. [MQTT5 4.3.3-10] */
export function answerIfResend(parts: CoreParts, session: Session, packetId: PacketId): boolean {
  if (!session.received.has(packetId)) return false;
  parts.sink.acknowledgeStored(session, PacketType.pubrec, packetId, ReasonCode.Success);
  return true;
}

/** What was published has reached everybody, or found no room. The answer waits for what was staged since `staged`. */
export function answerPublish(
  parts: CoreParts,
  session: Session,
  qos: QoS,
  packetId: PacketId,
  code: number,
  staged: number,
): void {
  if (qos === 1) parts.answer(session, PacketType.puback, packetId, code, staged);
  if (qos !== 2) return;
  if (!isFailure(code)) remember(parts, session, packetId);
  parts.answer(session, PacketType.pubrec, packetId, code, staged);
}

/** The same, perhaps in a later round. */
function finisher(
  parts: CoreParts,
  session: Session,
  qos: QoS,
  packetId: PacketId,
  staged: number,
): (code: number) => void {
  const { channel } = session;
  return (code) => {
    if (session.channel === channel) answerPublish(parts, session, qos, packetId, code, staged);
  };
}

/** Until PUBREL, the identifier stands for this message. */
function remember(parts: CoreParts, session: Session, packetId: PacketId): void {
  session.received.add(packetId);
  if (session.isPersistent) parts.store.putReceived(session.sid, packetId);
}

/** See `Core.forgetReceived`. */
export function forgetReceived(parts: CoreParts, session: Session): void {
  if (session.receivedCount === 0) return;
  if (session.isPersistent) {
    for (const packetId of session.received) parts.store.removeReceived(session.sid, packetId);
  }
  session.received.clear();
}

/**
 * A PUBLISH that was refused: nothing is routed. Before 5.0 no answer can say so, and a client that gets none sends for
 * ever; it is answered as if all were well. [MQTT3 3.3.5-2]
 */
export function answerRefused(
  parts: CoreParts,
  session: Session,
  qos: QoS,
  packetId: PacketId,
  reasonCode: number,
): void {
  const { staged } = parts.store;
  if (qos === 1) parts.answer(session, PacketType.puback, packetId, reasonCode, staged);
  if (qos !== 2) return;
  // A failure ends the exchange, but only 5.0 has one; before, it goes on to PUBREL. [MQTT5 4.3.3-9]
  if (!session.traits.hasProperties && !session.received.has(packetId)) remember(parts, session, packetId);
  parts.answer(session, PacketType.pubrec, packetId, reasonCode, staged);
}
