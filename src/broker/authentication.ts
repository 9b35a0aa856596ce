/**
 * Who may come in: asks the `authenticate` hook, in one step or, with enhanced authentication, in several. [MQTT5 4.12]
 */
import type { AuthenticationAnswer, AuthenticationRequest, ClientIdentity } from '../contracts/hooks.ts';
import { identify } from '../core/lifecycle.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { AuthPacket } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { sendOrEnd } from './answers.ts';
import type { Connection } from './connection.ts';
import { withAnswer } from './late-answers.ts';

const failed: AuthenticationAnswer = {
  outcome: 'refuse',
  reasonCode: ReasonCode.ServerUnavailable,
  reason: 'Authentication is unavailable',
};

/** Calls `accepted` with the data for the last packet of the exchange, or lets the connection fail. */
export function authenticate(
  connection: Connection,
  password: Buffer | null,
  data: Buffer | null,
  accepted: (data: Buffer | null) => void,
): void {
  const { hooks } = connection.context;
  if (hooks.authenticate === undefined) {
    if (connection.authenticationMethod === null) return accepted(null);
    const what = `Authentication method "${connection.authenticationMethod}" is not offered here`;
    throw new ProtocolError(ReasonCode.BadAuthenticationMethod, what);
  }
  step(connection, password, data, false, accepted);
}

function step(
  connection: Connection,
  password: Buffer | null,
  data: Buffer | null,
  isReAuthentication: boolean,
  accepted: (data: Buffer | null) => void,
): void {
  const method = connection.authenticationMethod;
  const client = connection.identity!;
  const request: AuthenticationRequest = {
    client,
    password,
    certificate: connection.stream.certificate,
    method,
    data,
    isReAuthentication,
    state: connection.authenticationState,
  };
  const ask = () => connection.context.hooks.authenticate!(request);
  withAnswer(connection, 'authenticate', ask, failed, (answer) => {
    connection.authenticationState = request.state;
    switch (answer.outcome) {
      case 'accept':
        connection.whenAuthenticated = null;
        takeIdentity(connection, client, answer);
        return accepted(answer.data ?? null);
      case 'refuse':
        if (answer.hidesUsername === true) forgetUsername(connection, client);
        return refuseCredentials(connection, answer.reasonCode, answer.reason ?? 'Authentication failed');
      case 'continue':
        connection.whenAuthenticated = accepted;
        return sendAuth(connection, ReasonCode.ContinueAuthentication, answer.data);
    }
  });
}

function forgetUsername(connection: Connection, client: ClientIdentity): void {
  connection.identity = { ...client, username: null };
  connection.ticket.user = null;
}

/** At once, or after a while if it is not the first time. */
function refuseCredentials(connection: Connection, reasonCode: number, reason: string): void {
  const { admission, core } = connection.context;
  const delayMs = admission.failed(connection.ticket, reasonCode, core.now);
  const error = new ProtocolError(reasonCode as ReasonCode, reason);
  if (delayMs === 0) throw error;
  connection.deadlines.failLater(error, delayMs);
}

/** What authentication found out of the client; on an open connection, its session follows. */
function takeIdentity(
  connection: Connection,
  client: ClientIdentity,
  answer: Extract<AuthenticationAnswer, { outcome: 'accept' }>,
): void {
  const { username = client.username, groups = client.groups, attributes = client.attributes } = answer;
  const identity = { ...client, username, groups, attributes };
  const { session, context } = connection;
  if (session !== null && username !== client.username) {
    throw new ProtocolError(ReasonCode.NotAuthorized, 'Re-authentication as another user');
  }
  connection.identity = identity;
  connection.isAuthenticated = true;
  connection.mechanism = answer.mechanism ?? null;
  connection.deadlines.endAt(answer.expiresAt ?? null);
  if (session !== null) identify(context.core, session, identity, context.core.access?.rightsOf(identity) ?? null);
}

function sendAuth(connection: Connection, reasonCode: number, data: Buffer | null): void {
  const authenticationMethod = connection.authenticationMethod!;
  const properties = data === null ? { authenticationMethod } : { authenticationMethod, authenticationData: data };
  sendOrEnd(connection, { cmd: 'auth', reasonCode, properties });
}

/** AUTH from the client: the next step of an exchange, or a new one on an open connection. */
export function handleAuth(connection: Connection, packet: AuthPacket): void {
  const { authenticationMethod, authenticationData } = packet.properties;
  if (connection.authenticationMethod === null || authenticationMethod !== connection.authenticationMethod) {
    throw new ProtocolError(ReasonCode.ProtocolError, 'AUTH with another method than CONNECT'); // [MQTT5 4.12.1-1]
  }
  const data = authenticationData ?? null;
  if (packet.reasonCode === ReasonCode.ContinueAuthentication) {
    const { whenAuthenticated } = connection;
    if (whenAuthenticated === null) {
      throw new ProtocolError(ReasonCode.ProtocolError, 'AUTH continues an exchange that was not begun');
    }
    return step(connection, null, data, connection.state === 'open', whenAuthenticated);
  }
  if (packet.reasonCode !== ReasonCode.ReAuthenticate || connection.state !== 'open') {
    throw new ProtocolError(ReasonCode.ProtocolError, `AUTH with reason code ${packet.reasonCode} at a wrong time`);
  }
  connection.authenticationState = undefined;
  step(connection, null, data, true, (answer) => sendAuth(connection, ReasonCode.Success, answer));
}
