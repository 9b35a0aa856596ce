/**
 * A rule as it is looked up. The first one that matches decides, so each knows its place in the order.
 */
import type { QoS } from '../../protocol/packets.ts';
import type { ClientTest } from './client-conditions.ts';
import type { TopicPattern } from './topic-pattern.ts';

/** What is asked, a bit each: a subscription is asked for once when it is made, and with each topic that it brings. */
export const Action = { publish: 1, subscribe: 2, receive: 4 } as const;
export type Action = (typeof Action)[keyof typeof Action];

/** Where to look for a rule: only clients with this very name can be meant by it. */
export type RuleKey =
  | { readonly by: 'username' | 'group' | 'clientId'; readonly names: readonly string[] }
  | { readonly by: 'anonymous' };

export interface RuleDraft {
  readonly isAllow: boolean;
  /** Sum of `Action`s. */
  readonly actions: number;
  /** Null: every topic. */
  readonly patterns: readonly TopicPattern[] | null;
  /** Null: all clients. */
  readonly key: RuleKey | null;
  /** What else must be true of the client; rules with the same conditions have the same function. */
  readonly test: ClientTest | null;
  readonly retain: boolean | null;
  readonly maxQoS: QoS;
  readonly shared: boolean | null;
  readonly isMosquitto: boolean;
  /** Where it stands and what it says, for people. */
  readonly name: string;
  /** All that it says, but not where it stands: two of the same are one rule. */
  readonly says: string;
}

export interface Rule extends RuleDraft {
  readonly order: number;
  /** The number of `test`; -1 without one. */
  readonly testNumber: number;
}
