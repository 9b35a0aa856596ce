/**
 * The hooks: where authentication, authorisation and transformation plug into the broker.
 *
 * Every hook may answer at once or with a promise. At once costs nothing; a promise parks that one connection until it
 * is settled, so the order of its packets holds. A hook that throws, rejects, or answers anything but what is written
 * here counts as a refusal and is logged. A hook that is absent allows everything.
 */

import type { QoS, UserProperties } from '../protocol/packets.ts';
import type { ReasonCode } from '../protocol/reason-codes.ts';
import type { Topic } from '../protocol/topic.ts';
import type { ProtocolVersion } from '../protocol/traits.ts';
import type { ClientCertificate, TransportKind } from './transport.ts';

export type Awaitable<T> = T | Promise<T>;
/** Promises of other libraries are waited for as well. */
export type HookAnswer<T> = T | PromiseLike<T>;

/** Who is at the other end of a connection. */
export interface ClientIdentity {
  readonly clientId: string;
  readonly username: string | null;
  readonly protocolVersion: ProtocolVersion;
  readonly transport: TransportKind;
  /** `address:port`. */
  readonly remoteAddress: string;
  /** The listener it came through, as `mqtt://host:port`. */
  readonly listener: string;
  /** What authentication found out; rules may ask for it. */
  readonly groups: readonly string[];
  /** The same, by name: `certificate.commonName`, `token.site`. */
  readonly attributes: Readonly<Record<string, string>>;
  /** What the program gave `handle` with this connection. Not stored: absent once the broker was restarted. */
  readonly state?: unknown;
}

export interface AuthenticationRequest {
  readonly client: ClientIdentity;
  readonly password: Buffer | null;
  /** Of a client that showed one in its TLS handshake, which the listener has verified. */
  readonly certificate: ClientCertificate | null;
  /** Enhanced authentication: the method that CONNECT or AUTH named, or null. [MQTT5 4.12] */
  readonly method: string | null;
  readonly data: Buffer | null;
  /** True for an exchange that the client began on an established connection (AUTH 0x19). */
  readonly isReAuthentication: boolean;
  /** A slot for what the method must remember between two steps; the broker only carries it. */
  state: unknown;
}

export type AuthenticationAnswer =
  | {
      readonly outcome: 'accept';
      /** In the place of the one that CONNECT gave. */
      readonly username?: string;
      readonly groups?: readonly string[];
      readonly attributes?: Readonly<Record<string, string>>;
      /**
       * When the connection is to end, in milliseconds since the epoch, unless the client authenticates anew before.
       */
      readonly expiresAt?: number;
      readonly data?: Buffer;
      /** How the client has shown who it is, for the audit log and metrics: one of a few names. */
      readonly mechanism?: string;
    }
  /** `reasonCode` is one of MQTT 5.0; older clients get the return code nearest to it. */
  | {
      readonly outcome: 'refuse';
      readonly reasonCode: number;
      readonly reason?: string;
      /** What CONNECT gave as the user name is a secret, such as a token: nobody is told of it. */
      readonly hidesUsername?: boolean;
      /** Which mechanism has refused it, for metrics: one of a few names. */
      readonly mechanism?: string;
    }
  /** Enhanced authentication goes on: AUTH 0x18 with this data; the hook is called again with the client's answer. */
  | { readonly outcome: 'continue'; readonly data: Buffer };

/** What a hook sees of a message. The payload is valid during the call only; copy what is kept. */
export interface PublishedMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly contentType: string | undefined;
  readonly responseTopic: string | undefined;
  readonly correlationData: Buffer | undefined;
  readonly payloadFormatIndicator: boolean | undefined;
  readonly messageExpiryInterval: number | undefined;
  readonly userProperties: UserProperties;
}

/** What to change of a message; a field that is absent stays. */
export type MessageChange = { -readonly [K in keyof PublishedMessage]?: PublishedMessage[K] };

export type PublishVerdict =
  | { readonly verdict: 'keep' }
  | { readonly verdict: 'change'; readonly change: MessageChange }
  | { readonly verdict: 'split'; readonly messages: readonly MessageChange[] }
  /** Acknowledged and forgotten; after what the hook stored meanwhile is as durable as it can be. */
  | { readonly verdict: 'drop' }
  | { readonly verdict: 'reject'; readonly reasonCode: number; readonly reason?: string };

/** What became of a message that the program published. */
export interface PublishOutcome {
  /**
   * What a client would have been answered: Success, NoMatchingSubscribers, QuotaExceeded if it was refused for want of
   * room, or ServerShuttingDown once the broker is closed. From 0x80 on it was refused: nobody gets it, and it is not
   * retained.
   */
  readonly reasonCode: ReasonCode;
  /** Whether it was taken and somebody had subscribed to its topic: the reason code is Success. */
  readonly matched: boolean;
}

export interface Hooks {
  authenticate?(request: AuthenticationRequest): HookAnswer<AuthenticationAnswer>;
  /** 0 allows; a reason code of 0x80 or more refuses. Asked for a will at CONNECT, and again when it is due. */
  authorizePublish?(client: ClientIdentity, topic: Topic, qos: QoS, retain: boolean): HookAnswer<number>;
  /** The QoS to grant (0, 1, 2), or a reason code of 0x80 or more. `filter` as the client wrote it. */
  authorizeSubscribe?(client: ClientIdentity, filter: string, qos: QoS): HookAnswer<number>;
  /** Before routing, storing and acknowledging; behind the configured pipelines. A will comes when it is due. */
  onPublish?(client: ClientIdentity, message: PublishedMessage): HookAnswer<PublishVerdict>;
}
