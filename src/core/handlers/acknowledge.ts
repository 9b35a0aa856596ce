/**
 * The other halves of the QoS 1 and 2 exchanges, in both directions. [MQTT5 4.3]
 *
 * An answer that no exchange awaits is tolerated if its packet identifier stands for nothing: what it answered may have
 * ended with an earlier connection, or a crash. One that belongs to another kind of exchange, or to a later step of it,
 * is a protocol error: a client can send it only by mistake, and what it then takes for done is not. [MQTT5 4.13.1-1]
 * [MQTT3 4.8.0-1]
 */
import { ProtocolError } from '../../protocol/errors.ts';
import { type AckType, type PacketId, PacketType } from '../../protocol/packets.ts';
import { isFailure, ReasonCode } from '../../protocol/reason-codes.ts';
import type { CoreParts } from '../parts.ts';
import { Awaiting } from '../send-window.ts';
import type { Session } from '../session.ts';

export function handleAck(
  parts: CoreParts,
  session: Session,
  type: AckType,
  packetId: PacketId,
  reasonCode: number,
): void {
  switch (type) {
    case PacketType.puback:
      return handlePuback(parts, session, packetId);
    case PacketType.pubrec:
      return handlePubrec(parts, session, packetId, reasonCode);
    case PacketType.pubrel:
      return handlePubrel(parts, session, packetId);
    case PacketType.pubcomp:
      return handlePubcomp(parts, session, packetId);
  }
}

function handlePuback(parts: CoreParts, session: Session, packetId: PacketId): void {
  const awaiting = session.window.awaiting(packetId);
  if (awaiting === Awaiting.puback) return finish(parts, session, packetId);
  if (awaiting !== Awaiting.nothing) throw outOfState('PUBACK', packetId, awaiting);
}

function handlePubrec(parts: CoreParts, session: Session, packetId: PacketId, reasonCode: number): void {
  const { window } = session;
  switch (window.awaiting(packetId)) {
    case Awaiting.pubrec: {
      // A refused PUBREC ends the exchange; only an accepted one leads to PUBREL. [MQTT5 4.3.3-4]
      if (isFailure(reasonCode)) return finish(parts, session, packetId);
      const { staged } = parts.store;
      window.received(packetId);
      if (session.isPersistent) {
        const messageId = window.delivery(packetId)!.message.id;
        parts.store.putSending(session.sid, { packetId, messageId, isReceived: true });
      }
      return parts.answer(session, PacketType.pubrel, packetId, ReasonCode.Success, staged);
    }
    case Awaiting.pubcomp:
      // It was sent again: our PUBREL may have got lost with a connection.
      return answerAgain(parts, session, PacketType.pubrel, packetId, ReasonCode.Success);
    case Awaiting.puback:
      throw outOfState('PUBREC', packetId, Awaiting.puback);
    default:
      return parts.sink.acknowledge(session, PacketType.pubrel, packetId, ReasonCode.PacketIdentifierNotFound);
  }
}

/**
 * PUBCOMP frees the identifier: a crash must not bring it back, or the next message that has it passes for a resend.
 */
function handlePubrel(parts: CoreParts, session: Session, packetId: PacketId): void {
  if (!session.received.delete(packetId)) {
    return answerAgain(parts, session, PacketType.pubcomp, packetId, ReasonCode.PacketIdentifierNotFound);
  }
  const { staged } = parts.store;
  if (session.isPersistent) parts.store.removeReceived(session.sid, packetId);
  parts.answer(session, PacketType.pubcomp, packetId, ReasonCode.Success, staged);
}

function handlePubcomp(parts: CoreParts, session: Session, packetId: PacketId): void {
  const awaiting = session.window.awaiting(packetId);
  if (awaiting === Awaiting.pubcomp) return finish(parts, session, packetId);
  if (awaiting !== Awaiting.nothing) throw outOfState('PUBCOMP', packetId, awaiting);
}

const awaitedPackets = { [Awaiting.puback]: 'PUBACK', [Awaiting.pubrec]: 'PUBREC', [Awaiting.pubcomp]: 'PUBCOMP' };

function outOfState(packet: string, packetId: PacketId, awaiting: Exclude<Awaiting, 0>): ProtocolError {
  const what = `${packet} for packet identifier ${packetId}, of which ${awaitedPackets[awaiting]} is awaited`;
  return new ProtocolError(ReasonCode.ProtocolError, what);
}

/**
 * What the first answer waits for may still be on its way to the disk; of a session that is not stored it is nothing.
 */
function answerAgain(parts: CoreParts, session: Session, type: AckType, packetId: PacketId, reasonCode: number): void {
  if (session.isPersistent) parts.sink.acknowledgeStored(session, type, packetId, reasonCode);
  else parts.sink.acknowledge(session, type, packetId, reasonCode);
}

/** The client has the message, or will not have it: forget it and send what waited for room. */
function finish(parts: CoreParts, session: Session, packetId: PacketId): void {
  parts.delivering.settle(session, packetId);
  if (session.hasWaiting) parts.delivering.pump(session);
}
