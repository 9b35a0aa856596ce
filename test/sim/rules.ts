/**
 * Who may do what, in a run with rules: the broker asks the production policy, the judge goes through the same rules
 * one by one. They change while clients stay.
 */
import type { Random } from '../../scripts/crash/random.ts';
import { ownRules } from '../../src/auth/authorization/own-rules.ts';
import { RulePolicy } from '../../src/auth/authorization/policy.ts';
import { RuleSet } from '../../src/auth/authorization/rule-set.ts';
import type { RuleActions, RuleSettings } from '../../src/contracts/authorization-settings.ts';
import { matches } from '../../src/protocol/topic.ts';

/** The first rule that is about the client, what it does and the topic decides; without one, all is allowed. */
export interface SimulatedRule {
  readonly isAllow: boolean;
  readonly actions: RuleActions;
  readonly filter: string;
  /** Null: everybody. */
  readonly clientId: string | null;
}

export class Rules {
  readonly policy = new RulePolicy();
  #rules: readonly SimulatedRule[] = [];
  /** All that were in force in this run. */
  readonly #past = [this.#rules];

  /** Returns which topics may have other readers now; null: any may. */
  use(rules: readonly SimulatedRule[]): readonly string[] | null {
    this.#rules = rules;
    this.#past.push(rules);
    const settings = rules.map(({ isAllow, actions, filter, clientId }): RuleSettings => {
      const of = { topics: [filter], ...(clientId !== null && { for: { clientId } }) };
      return isAllow ? { allow: actions, ...of } : { deny: actions, ...of };
    });
    const drafts = ownRules(settings, (index) => `rule ${index + 1}`);
    return this.policy.replace(new RuleSet(drafts, { hasAclFile: false, default: 'allow' }));
  }

  mayPublish(clientId: string, topic: string): boolean {
    return this.#may('publish', clientId, topic);
  }

  mayReceive(clientId: string, topic: string): boolean {
    return this.#may('subscribe', clientId, topic);
  }

  /** At some moment of this run. */
  mightReceive(clientId: string, topic: string): boolean {
    return this.#past.some((rules) => this.#may('subscribe', clientId, topic, rules));
  }

  /** At every moment of this run. */
  mightAlwaysReceive(clientId: string, topic: string): boolean {
    return this.#past.every((rules) => this.#may('subscribe', clientId, topic, rules));
  }

  #may(action: RuleActions, clientId: string, topic: string, rules = this.#rules): boolean {
    const rule = rules.find(({ actions, filter, clientId: whose }) => {
      return (actions === 'all' || actions === action) && (whose ?? clientId) === clientId && matches(filter, topic);
    });
    return rule?.isAllow ?? true;
  }
}

export function drawRules(random: Random, clients: number): SimulatedRule[] {
  return Array.from({ length: random.between(0, 4) }, () => ({
    isAllow: random.isLucky(0.25),
    actions: random.pick(['publish', 'subscribe', 'subscribe', 'all'] as const),
    filter: random.pick(['#', 'a', 'a/#', 'a/b', '+/b/+', 'x/#', 'x/y']),
    clientId: random.isLucky(0.25) ? null : `c${random.between(1, clients)}`,
  }));
}
