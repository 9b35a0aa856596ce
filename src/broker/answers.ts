/**
 * Answers in packets that are seldom sent: as much of them as the client wants and can take. [MQTT5 3.1.2-24] [MQTT5
 * 3.1.2-29]
 */
import { encodeAnswer, encodeRefusal, withoutExplanations } from '../codec/encode.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { AckType, PacketId, ServerPacket } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Connection } from './connection.ts';

/**
 * Sends what the client waits for. One whose Maximum Packet Size leaves no room for it would wait without end, so its
 * connection ends with 0x95 then, and this returns false.
 */
export function sendOrEnd(connection: Connection, packet: ServerPacket): boolean {
  if (send(connection, packet)) return true;
  const what = `Maximum Packet Size ${connection.packetBytesMax} leaves no room for ${packet.cmd.toUpperCase()}`;
  connection.fail(new ProtocolError(ReasonCode.PacketTooLarge, what));
  return false;
}

/**
 * Sends a packet, without its explanations where they are unwelcome or would not fit. False if it cannot fit at all.
 */
export function send(connection: Connection, packet: ServerPacket): boolean {
  const { wantsProblemInformation, packetBytesMax, traits } = connection;
  const mayExplain = wantsProblemInformation || packet.cmd === 'connack' || packet.cmd === 'disconnect';
  let bytes = encodeAnswer(mayExplain ? packet : withoutExplanations(packet), traits.version);
  if (bytes.length > packetBytesMax) bytes = encodeAnswer(withoutExplanations(packet), traits.version);
  if (bytes.length > packetBytesMax) return false;
  connection.sendBytes(bytes);
  return true;
}

/** An acknowledgement that says in words why it refuses, where the client wants and can take that. */
export function refuseAck(
  connection: Connection,
  type: AckType,
  packetId: PacketId,
  reasonCode: number,
  why: string,
): void {
  const { commits, core } = connection.context;
  const bytes = encodeRefusal(type, packetId, reasonCode, why);
  if (!connection.wantsProblemInformation || bytes.length > connection.packetBytesMax) {
    return commits.acknowledge(connection, type, packetId, reasonCode);
  }
  commits.answer(connection, core.store.staged, () => {
    if (connection.state !== 'open') return;
    connection.receiveQuota++;
    connection.sendBytes(bytes);
  });
}
