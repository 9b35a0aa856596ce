/**
 * What clients may do, once it is known who they are. The rules are in memory, so every answer is there at once.
 */
import type { QoS } from '../protocol/packets.ts';
import type { ParsedFilter, Topic } from '../protocol/topic.ts';
import type { ClientIdentity } from './hooks.ts';

export interface AccessPolicy {
  /** What this client may do, under the rules as they are now and as they will be: see `Rights`. */
  rightsOf(client: ClientIdentity): Rights;
  /** Why a request is allowed or not, if the policy can say. Not for every message: it writes texts. */
  explain?(client: ClientIdentity, request: AccessRequest): AccessDecision;
}

/**
 * Of one session. It may remember answers, as long as that has a bound and ends when the rules change; the broker is
 * told of such a change (`Broker.rulesChanged`), since it remembers routes.
 */
export interface Rights {
  /** 0 allows; a reason code of 0x80 or more refuses. */
  publish(topic: Topic, qos: QoS, retain: boolean): number;
  /** The same for the will of a CONNECT: whether the client may come in with it. `publish` is asked when it is due. */
  will(topic: Topic, qos: QoS, retain: boolean): number;
  /** The QoS to grant (0, 1, 2), or a reason code of 0x80 or more. */
  subscribe(filter: ParsedFilter, qos: QoS): number;
  /**
   * Whether the client may be given messages to this topic. Asked once per route and once per message that was kept.
   */
  receive(topicName: string): boolean;
}

/** What somebody wants to do, for `explain`. */
export type AccessRequest =
  | { readonly action: 'publish'; readonly topic: string; readonly qos: QoS; readonly retain: boolean }
  /** The filter as the client writes it, `$share/…` and all. */
  | { readonly action: 'subscribe'; readonly filter: string; readonly qos: QoS }
  | { readonly action: 'receive'; readonly topic: string };

export interface AccessDecision {
  readonly isAllowed: boolean;
  /** As `Rights` gives it: what is granted, or the reason code. */
  readonly code: number;
  /** Which rule decided, for people: `sluice.yaml:12:5: authorization.rules.2: deny publish secret/#`. */
  readonly rule: string;
}

/** A policy that can say why. */
export interface ExplainingPolicy extends AccessPolicy {
  explain(client: ClientIdentity, request: AccessRequest): AccessDecision;
}
