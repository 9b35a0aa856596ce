/**
 * What the audit log is told of what the broker decides: see `Journal`. Without an audit log these cost a look whether
 * it is there.
 */
import type { AccessRequest } from '../contracts/access.ts';
import type { Audit, AuditEvent } from '../contracts/audit.ts';
import type { Ban } from '../contracts/bans.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { ByteStream } from '../contracts/transport.ts';
import type { ProtocolError } from '../protocol/errors.ts';
import type { Message } from '../protocol/message.ts';
import type { QoS } from '../protocol/packets.ts';
import { describeReason } from '../protocol/reason-codes.ts';
import type { Traits } from '../protocol/traits.ts';
import type { ConnectionState } from './connection-state.ts';

/** The connection that it is about. */
export interface AuditedConnection {
  readonly context: { readonly hooks: { readonly authenticate?: unknown } };
  readonly state: ConnectionState;
  readonly identity: ClientIdentity | null;
  readonly stream: ByteStream;
  readonly listener: string;
  /** Whether its credentials were refused. */
  readonly ticket: { readonly hasFailed: boolean };
  readonly traits: Traits;
}

type Publication = Pick<AccessRequest & { action: 'publish' }, 'topic' | 'qos' | 'retain'>;

function whoIs({ identity, stream, listener }: AuditedConnection): Omit<AuditEvent, 'event'> {
  const { remoteAddress: from } = stream;
  return identity === null
    ? { from, listener }
    : { client: identity.clientId, user: identity.username, from, listener };
}

/**
 * A user name that nobody has looked at yet may be a token: it is told once the client has shown who it is, or has
 * failed to.
 */
export function isUsernameKnown({ state, ticket, context }: AuditedConnection): boolean {
  const isAuthenticated = 'isAuthenticated' in state && state.isAuthenticated;
  return ticket.hasFailed || isAuthenticated || context.hooks.authenticate === undefined;
}

export class AuditEvents {
  readonly #audit: Audit | null;

  constructor(audit: Audit | null) {
    this.#audit = audit;
  }

  /** Asked before the details of a refusal are found out; true: it is to be told then. See `Audit.wants`. */
  wants(event: AuditEvent['event']): boolean {
    return this.#audit?.wants(event) === true;
  }

  connected(connection: AuditedConnection, mechanism: string | null, sessionPresent: boolean): void {
    if (this.#audit === null) return;
    const { stream, traits } = connection;
    const tls = stream.tlsVersion ?? undefined;
    const details = { transport: stream.kind, tls, version: traits.label, mechanism: mechanism ?? undefined };
    this.#audit.record({ event: 'connected', ...whoIs(connection), ...details, sessionPresent });
  }

  disconnected(connection: AuditedConnection, reason: string): void {
    this.#audit?.record({ event: 'disconnected', ...whoIs(connection), reason });
  }

  turnedAway(from: string, listener: string, reason: string): void {
    if (this.wants('refused')) this.#audit!.record({ event: 'refused', from, listener, reason });
  }

  banned({ address, user, client, why, until }: Ban): void {
    if (!this.wants('banned')) return;
    const ends = new Date(until).toISOString();
    this.#audit!.record({
      event: 'banned',
      ...(address === null ? {} : { from: address }),
      user,
      client,
      reason: why,
      until: ends,
    });
  }

  /** A connection was refused before it was accepted. */
  refused(connection: AuditedConnection, { reasonCode, message }: ProtocolError): void {
    const event = connection.ticket.hasFailed ? 'authenticationFailed' : 'refused';
    if (!this.wants(event)) return;
    const details = { code: describeReason(reasonCode), reason: message };
    const hidden = isUsernameKnown(connection) ? {} : { user: undefined };
    this.#audit!.record({ event, ...whoIs(connection), ...hidden, ...details });
  }

  /** `rule`: which one refused, if it was one. `why`: in the words of a hook or a pipeline, if they have any. */
  publishRefused(connection: AuditedConnection, message: Message, code: number, rule?: string, why?: string): void {
    const { topic, qos, retain } = message;
    const details = { topic: topic.name, qos, retain, code: describeReason(code), reason: why, rule };
    this.#audit?.record({ event: 'publishRefused', ...whoIs(connection), ...details });
  }

  /** At CONNECT, which is refused for it, or when it was due and its client may have left long ago. */
  willRefused(client: ClientIdentity, { topic, qos, retain }: Publication, code: number, rule?: string, why?: string) {
    const { clientId, username: user, remoteAddress: from, listener } = client;
    const details = { topic, qos, retain, code: describeReason(code), reason: why, rule };
    this.#audit?.record({ event: 'willRefused', client: clientId, user, from, listener, ...details });
  }

  subscribeRefused(connection: AuditedConnection, topic: string, qos: QoS, code: number, rule?: string): void {
    const details = { topic, qos, code: describeReason(code), rule };
    this.#audit?.record({ event: 'subscribeRefused', ...whoIs(connection), ...details });
  }

  /** The new connection has the client identifier of one that is open. */
  takenOver(connection: AuditedConnection, previous: AuditedConnection): void {
    this.#audit?.record({ event: 'takenOver', ...whoIs(connection), reason: `from ${previous.stream.remoteAddress}` });
  }
}
