/**
 * What a connection is at, and what belongs to that alone: `opening` until CONNECT, `authenticating` until the client
 * may come in, `open` with a session, and `closing` once it is decided that it ends.
 */
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { BridgeClient } from './bridge-client.ts';
import type { InboundAliases, OutboundAliases } from './topic-aliases.ts';

export type ConnectionState = Opening | Authenticating | Open | Closing;

interface Opening {
  readonly name: 'opening';
}

/** Who the client is, once it has sent CONNECT. */
interface Client {
  identity: ClientIdentity;
  /** Somebody has vouched for the identity; before, its user name may be a secret that CONNECT has there. */
  isAuthenticated: boolean;
  /** By which mechanism the client showed who it is. */
  mechanism: string | null;
  /** Null: CONNECT named no method. */
  readonly exchange: Exchange | null;
}

/** Enhanced authentication. [MQTT5 4.12] */
export interface Exchange {
  /** That CONNECT named. */
  readonly method: string;
  /** What the hook keeps from one step to the next. */
  state: unknown;
  /** What follows once the AUTH packets under way succeed; null: there are none. */
  accepted: ((data: Buffer | null) => void) | null;
}

export interface Authenticating extends Client {
  readonly name: 'authenticating';
  /** Its CONNECT waits until the disk takes writes. */
  awaitsStore: boolean;
}

export interface Open extends Client {
  readonly name: 'open';
  readonly session: ClientSession;
  /** Stands on each of its messages: see `protocol/publisher.ts`. */
  readonly publisher: string;
  /** CONNACK has left and `connected` was emitted, so `disconnected` must be. */
  isAnswered: boolean;
  /** When CONNACK left, in milliseconds since the epoch; 0: it has not. */
  connectedAt: number;
  readonly inboundAliases: InboundAliases | null;
  readonly outboundAliases: OutboundAliases | null;
  /** Null: the client is no bridge of another Sluice. */
  readonly bridge: BridgeClient | null;
  /** How many more QoS 1 and 2 messages the client may have in flight. [MQTT5 3.3.4-7] */
  receiveQuota: number;
  /** What CONNACK told the client. */
  readonly receiveMaximum: number;
}

export interface Closing {
  readonly name: 'closing';
  readonly why: string;
  /** Null: no CONNECT has come. */
  readonly identity: ClientIdentity | null;
  /** `connected` was emitted. */
  readonly wasAnswered: boolean;
  /** The session that is still to be told; null: there is none, or it has been. */
  session: ClientSession | null;
  /** False: DISCONNECT came in good order. */
  readonly publishesWill: boolean;
}

export const opening: Opening = { name: 'opening' };

export function authenticating(identity: ClientIdentity, method: string | null): Authenticating {
  const exchange = method === null ? null : { method, state: undefined, accepted: null };
  return { name: 'authenticating', identity, isAuthenticated: false, mechanism: null, exchange, awaitsStore: false };
}

/** One of the client's messages is no longer in flight. Answers to packets that are none of these raise nothing. */
export function raiseQuota(state: Open): void {
  if (state.receiveQuota < state.receiveMaximum) state.receiveQuota++;
}

export function closing(before: ConnectionState, why: string, publishesWill: boolean): Closing {
  const identity = before.name === 'opening' ? null : before.identity;
  const wasAnswered = before.name === 'open' && before.isAnswered;
  const session = before.name === 'open' ? before.session : null;
  return { name: 'closing', why, identity, wasAnswered, session, publishesWill };
}
