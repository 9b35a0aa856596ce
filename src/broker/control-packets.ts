/**
 * What comes seldom: each packet but PUBLISH, its acknowledgements and PINGREQ.
 */
import type { ClientSession } from '../core/client-session.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { ControlPacket, DisconnectPacket } from '../protocol/packets.ts';
import { describeReason, ReasonCode } from '../protocol/reason-codes.ts';
import { handleAuth } from './authentication.ts';
import type { Connection } from './connection.ts';
import { handleConnect } from './handshake.ts';
import { whenStoreKeepsUp } from './late-answers.ts';
import { handleSubscribe, handleUnsubscribe } from './subscribe.ts';

export function handleControlPacket(connection: Connection, packet: ControlPacket): void {
  const { session } = connection;
  if (packet.cmd === 'connect') {
    if (connection.state.name !== 'opening') throw new ProtocolError(ReasonCode.ProtocolError, 'A second CONNECT'); // [MQTT5 3.1.0-2]
    return handleConnect(connection, packet);
  }
  if (packet.cmd === 'auth') return handleAuth(connection, packet);
  if (session === null) {
    if (connection.isClosing) return;
    if (packet.cmd === 'disconnect') return connection.leave('disconnected before authentication ended', true);
    throw new ProtocolError(ReasonCode.ProtocolError, `${packet.cmd.toUpperCase()} before authentication ended`);
  }
  switch (packet.cmd) {
    case 'subscribe':
      return whenSubscriptionsAreStored(connection, session, () => handleSubscribe(connection, session, packet));
    case 'unsubscribe':
      return whenSubscriptionsAreStored(connection, session, () => handleUnsubscribe(connection, session, packet));
    case 'disconnect':
      return handleDisconnect(connection, session, packet);
  }
}

/** A client can subscribe as often as it likes: what is to be stored of it is bounded, as what it publishes is. */
function whenSubscriptionsAreStored(connection: Connection, session: ClientSession, then: () => void): void {
  if (!session.isPersistent) return then();
  whenStoreKeepsUp(connection, () => {
    if (connection.session === session) then();
  });
}

function handleDisconnect(connection: Connection, session: ClientSession, packet: DisconnectPacket): void {
  const { reasonCode, properties } = packet;
  if (properties.sessionExpiryInterval !== undefined) {
    changeExpiry(session, properties.sessionExpiryInterval, connection.context.settings.sessionExpiryMaximumSeconds);
  }
  const why = reasonCode === 0 ? 'disconnected' : `disconnected: ${describeReason(reasonCode)}`;
  connection.leave(why, reasonCode !== ReasonCode.NormalDisconnection);
}

function changeExpiry(session: ClientSession, seconds: number, maximum: number): void {
  if (session.expirySeconds === 0 && seconds > 0) {
    const what = 'DISCONNECT sets a Session Expiry Interval, though CONNECT had 0'; // [MQTT5 3.14.2-2]
    throw new ProtocolError(ReasonCode.ProtocolError, what);
  }
  session.expirySeconds = Math.min(seconds, maximum);
}
