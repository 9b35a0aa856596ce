/**
 * What the audit log is told of connections. Without one these cost a look whether it is there.
 */
import type { AccessRequest } from '../contracts/access.ts';
import type { AuditEvent } from '../contracts/audit.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { ByteStream } from '../contracts/transport.ts';
import type { ProtocolError } from '../protocol/errors.ts';
import type { Message } from '../protocol/message.ts';
import type { QoS } from '../protocol/packets.ts';
import { describeReason } from '../protocol/reason-codes.ts';
import type { Traits } from '../protocol/traits.ts';
import type { ConnectionTicket } from './admission.ts';
import type { BrokerContext } from './broker-context.ts';
import type { ConnectionState } from './connection-state.ts';

/** The connection that it is about. */
interface AuditedConnection {
  readonly context: BrokerContext;
  readonly state: ConnectionState;
  readonly identity: ClientIdentity | null;
  readonly stream: ByteStream;
  readonly listener: string;
  readonly ticket: ConnectionTicket;
  readonly traits: Traits;
}

type Publication = Pick<AccessRequest & { action: 'publish' }, 'topic' | 'qos' | 'retain'>;

function whoIs({ identity, stream, listener }: AuditedConnection): Omit<AuditEvent, 'event'> {
  const { remoteAddress: from } = stream;
  return identity === null
    ? { from, listener }
    : { client: identity.clientId, user: identity.username, from, listener };
}

/** Which rule refused, if it was one. */
function ruleFor({ access }: BrokerContext, identity: ClientIdentity, request: AccessRequest): string | undefined {
  const decision = access?.explain?.(identity, request);
  return decision?.isAllowed === false ? decision.rule : undefined;
}

export function reportConnected(
  connection: AuditedConnection,
  mechanism: string | null,
  sessionPresent: boolean,
): void {
  const { audit } = connection.context;
  if (audit === null) return;
  const { stream, traits } = connection;
  const tls = stream.tlsVersion ?? undefined;
  const details = { transport: stream.kind, tls, version: traits.label, mechanism: mechanism ?? undefined };
  audit.record({ event: 'connected', ...whoIs(connection), ...details, sessionPresent });
}

export function reportDisconnected(connection: AuditedConnection, reason: string): void {
  const { audit } = connection.context;
  audit?.record({ event: 'disconnected', ...whoIs(connection), reason });
}

/** A connection was refused before it was accepted. */
export function reportRefused(connection: AuditedConnection, { reasonCode, message }: ProtocolError): void {
  const { audit } = connection.context;
  const { ticket, context, state } = connection;
  const event = ticket.hasFailed ? 'authenticationFailed' : 'refused';
  if (!audit?.wants(event)) return;
  const details = { code: describeReason(reasonCode), reason: message };
  // A user name that nobody has looked at yet may be a token.
  const isAuthenticated = 'isAuthenticated' in state && state.isAuthenticated;
  const isUnseen = !ticket.hasFailed && !isAuthenticated && context.hooks.authenticate !== undefined;
  audit.record({ event, ...whoIs(connection), ...(isUnseen ? { user: undefined } : {}), ...details });
}

/** `why`: in the words of a hook or a pipeline, if they have any. */
export function reportPublishRefused(
  connection: AuditedConnection,
  message: Message,
  code: number,
  why?: string,
): void {
  const { context, identity } = connection;
  const { audit } = context;
  if (!audit?.wants('publishRefused')) return;
  const { topic, qos, retain } = message;
  const rule = ruleFor(context, identity!, { action: 'publish', topic: topic.name, qos, retain });
  const details = { topic: topic.name, qos, retain, code: describeReason(code), reason: why, rule };
  audit.record({ event: 'publishRefused', ...whoIs(connection), ...details });
}

/** At CONNECT, which is refused for it, or when it was due and its client may have left long ago. */
export function reportWillRefused(
  context: BrokerContext,
  identity: ClientIdentity,
  { topic, qos, retain }: Publication,
  code: number,
  why?: string,
): void {
  const { audit } = context;
  if (!audit?.wants('willRefused')) return;
  const { clientId: client, username: user, remoteAddress: from, listener } = identity;
  const rule = ruleFor(context, identity, { action: 'publish', topic, qos, retain });
  const details = { topic, qos, retain, code: describeReason(code), reason: why, rule };
  audit.record({ event: 'willRefused', client, user, from, listener, ...details });
}

export function reportSubscribeRefused(
  connection: AuditedConnection,
  topicFilter: string,
  qos: QoS,
  code: number,
): void {
  const { context, identity } = connection;
  const { audit } = context;
  if (!audit?.wants('subscribeRefused')) return;
  const rule = ruleFor(context, identity!, { action: 'subscribe', filter: topicFilter, qos });
  const details = { topic: topicFilter, qos, code: describeReason(code), rule };
  audit.record({ event: 'subscribeRefused', ...whoIs(connection), ...details });
}

/** The new connection has the client identifier of one that is open. */
export function reportTakeover(connection: AuditedConnection, previous: AuditedConnection): void {
  const { audit } = connection.context;
  audit?.record({ event: 'takenOver', ...whoIs(connection), reason: `from ${previous.stream.remoteAddress}` });
}
