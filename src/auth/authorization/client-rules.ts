/**
 * The rules as they are for one client: which of them decides.
 */
import type { ClientIdentity } from '../../contracts/hooks.ts';
import type { QoS } from '../../protocol/packets.ts';
import { levelsOf, type ParsedFilter } from '../../protocol/topic.ts';
import { Action, type Rule } from './rule.ts';
import type { RuleIndex, RuleSet } from './rule-set.ts';
import type { Search } from './rule-tree.ts';
import { expand, levelsOfFilter, overlaps, type TemplateLevel, usernameOf } from './topic-pattern.ts';

export class ClientRules implements Search {
  found: Rule | null = null;
  readonly set: RuleSet;
  readonly #client: ClientIdentity;
  readonly #indexes: readonly RuleIndex[];
  readonly #hasSlash: boolean;
  // What is being looked for:
  #action: Action = Action.publish;
  #qos: QoS = 0;
  #retain = false;
  #isShared = false;

  constructor(set: RuleSet, client: ClientIdentity) {
    this.set = set;
    this.#client = client;
    this.#indexes = set.indexesFor(client);
    this.#hasSlash = client.clientId.includes('/') || client.username?.includes('/') === true;
  }

  /** The rule that decides; null: none, so the default does. */
  publish(topicName: string, qos: QoS, retain: boolean): Rule | null {
    this.#qos = qos;
    this.#retain = retain;
    return this.#findName(topicName, Action.publish);
  }

  receive(topicName: string): Rule | null {
    return this.#findName(topicName, Action.receive);
  }

  /**
   * A rule decides whose pattern covers all of the filter. A refusal that covers a part of it is left to the delivery,
   * except of shared subscriptions, or of ordinary ones: a delivered message does not tell which of them it comes by.
   */
  subscribe({ filter, shareName }: ParsedFilter): Rule | null {
    this.#isShared = shareName !== null;
    this.#find(levelsOfFilter(filter), Action.subscribe);
    for (const rule of this.set.kindRefusals) {
      if (this.found !== null && this.found.order <= rule.order) break;
      if (this.wants(rule) && this.#isMeant(rule) && this.#overlaps(rule, filter)) this.found = rule;
    }
    return this.found;
  }

  /** Of rules that are for the client, and about the action. */
  wants(rule: Rule): boolean {
    switch (this.#action) {
      case Action.publish:
        return this.#qos <= rule.maxQoS && (rule.retain === null || rule.retain === this.#retain);
      case Action.subscribe:
        return rule.shared === null || rule.shared === this.#isShared;
      default:
        return true;
    }
  }

  expand(level: TemplateLevel): string | null {
    return level.expand(this.#client);
  }

  /** Of topic names, not of filters. */
  get mayFillLevels(): boolean {
    return this.#hasSlash && this.#action !== Action.subscribe;
  }

  #find(levels: readonly string[], action: Action): void {
    this.#action = action;
    this.found = null;
    for (const index of this.#indexes) index.tree(action).find(levels, this);
  }

  #findName(topicName: string, action: Action): Rule | null {
    this.#find(levelsOf(topicName), action);
    return this.found;
  }

  #isMeant({ key, test }: Rule): boolean {
    if (test !== null && !test(this.#client)) return false;
    const username = usernameOf(this.#client);
    const { clientId, groups } = this.#client;
    switch (key?.by) {
      case undefined:
        return true;
      case 'anonymous':
        return username === null;
      case 'username':
        return username !== null && key!.names.includes(username);
      case 'clientId':
        return key!.names.includes(clientId);
      case 'group':
        return groups.some((group) => key!.names.includes(group));
    }
  }

  #overlaps({ patterns }: Rule, filter: string): boolean {
    if (patterns === null) return true;
    return patterns.some((pattern) => {
      const own = expand(pattern, this.#client);
      return own !== null && overlaps(own, filter);
    });
  }
}
