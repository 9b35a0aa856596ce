/**
 * Who may come in: asks the `authenticate` hook, in one step or, with enhanced authentication, in several. [MQTT5 4.12]
 */
import type { AuthenticationAnswer, AuthenticationRequest } from '../contracts/hooks.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { AuthPacket } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Connection } from './connection.ts';
import type { Authenticating, Exchange, Open } from './connection-state.ts';
import { withAnswer } from './late-answers.ts';

const failed: AuthenticationAnswer = {
  outcome: 'refuse',
  reasonCode: ReasonCode.ServerUnavailable,
  reason: 'Authentication is unavailable',
};

/** Calls `accepted` with the data for the last packet of the exchange, or lets the connection fail. */
export function authenticate(
  connection: Connection,
  state: Authenticating,
  password: Buffer | null,
  data: Buffer | null,
  accepted: (data: Buffer | null) => void,
): void {
  const { exchange } = state;
  if (connection.context.hooks.authenticate !== undefined) return step(connection, state, { password, data }, accepted);
  if (exchange === null) return accepted(null);
  const what = `Authentication method "${exchange.method}" is not offered here`;
  throw new ProtocolError(ReasonCode.BadAuthenticationMethod, what);
}

/** What the client shows in one packet. */
interface Evidence {
  readonly password: Buffer | null;
  readonly data: Buffer | null;
}

function step(
  connection: Connection,
  state: Authenticating | Open,
  { password, data }: Evidence,
  accepted: (data: Buffer | null) => void,
): void {
  const { exchange, identity } = state;
  const request: AuthenticationRequest = {
    client: identity,
    password,
    certificate: connection.stream.certificate,
    method: exchange?.method ?? null,
    data,
    isReAuthentication: state.name === 'open',
    state: exchange?.state,
  };
  const ask = () => connection.context.hooks.authenticate!(request);
  withAnswer(connection, 'authenticate', ask, failed, (answer) => {
    if (exchange !== null) exchange.state = request.state;
    const { authentications } = connection.context.counters;
    switch (answer.outcome) {
      case 'accept':
        authentications.add(answer.mechanism ?? null, 'accepted');
        if (exchange !== null) exchange.accepted = null;
        takeIdentity(connection, state, answer);
        return accepted(answer.data ?? null);
      case 'refuse':
        authentications.add(answer.mechanism ?? null, 'refused');
        if (answer.hidesUsername === true) forgetUsername(connection, state);
        return refuseCredentials(connection, answer.reasonCode, answer.reason ?? 'Authentication failed');
      case 'continue':
        if (exchange === null) throw new Error('a hook wants to continue an authentication without a method');
        exchange.accepted = accepted;
        return sendAuth(connection, exchange, ReasonCode.ContinueAuthentication, answer.data);
    }
  });
}

function forgetUsername(connection: Connection, state: Authenticating | Open): void {
  state.identity = { ...state.identity, username: null };
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
  state: Authenticating | Open,
  answer: Extract<AuthenticationAnswer, { outcome: 'accept' }>,
): void {
  const client = state.identity;
  const { username = client.username, groups = client.groups, attributes = client.attributes } = answer;
  const identity = { ...client, username, groups, attributes };
  if (state.name === 'open' && username !== client.username) {
    throw new ProtocolError(ReasonCode.NotAuthorized, 'Re-authentication as another user');
  }
  state.identity = identity;
  state.isAuthenticated = true;
  state.mechanism = answer.mechanism ?? null;
  connection.deadlines.endAt(answer.expiresAt ?? null);
  if (state.name !== 'open') return;
  const { core } = connection.context;
  core.identify(state.session, identity);
}

function sendAuth(connection: Connection, { method }: Exchange, reasonCode: number, data: Buffer | null): void {
  const properties = { authenticationMethod: method, ...(data === null ? {} : { authenticationData: data }) };
  connection.sendOrEnd({ cmd: 'auth', reasonCode, properties });
}

/** AUTH from the client: the next step of an exchange, or a new one on an open connection. */
export function handleAuth(connection: Connection, packet: AuthPacket): void {
  const { state } = connection;
  if (state.name === 'closing') return;
  const { authenticationMethod, authenticationData } = packet.properties;
  const exchange = state.name === 'opening' ? null : state.exchange;
  if (state.name === 'opening' || exchange === null || authenticationMethod !== exchange.method) {
    throw new ProtocolError(ReasonCode.ProtocolError, 'AUTH with another method than CONNECT'); // [MQTT5 4.12.1-1]
  }
  const evidence = { password: null, data: authenticationData ?? null };
  if (packet.reasonCode === ReasonCode.ContinueAuthentication) {
    if (exchange.accepted === null) {
      throw new ProtocolError(ReasonCode.ProtocolError, 'AUTH continues an exchange that was not begun');
    }
    return step(connection, state, evidence, exchange.accepted);
  }
  if (packet.reasonCode !== ReasonCode.ReAuthenticate || !connection.isAnswered) {
    throw new ProtocolError(ReasonCode.ProtocolError, `AUTH with reason code ${packet.reasonCode} at a wrong time`);
  }
  exchange.state = undefined;
  step(connection, state, evidence, (data) => sendAuth(connection, exchange, ReasonCode.Success, data));
}
