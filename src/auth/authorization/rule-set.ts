/**
 * All rules that hold at one time, made ready for looking up: they never change, others take their place.
 *
 * Rules for certain names (usernames, groups, client ids) are filed by the name, all others in one tree; a client's search goes
 * through its own few trees. However many clients there are, the rules are there once.
 */
import type { ClientIdentity } from '../../contracts/hooks.ts';
import type { QoS } from '../../protocol/packets.ts';
import { matches, type ParsedFilter } from '../../protocol/topic.ts';
import type { ClientTest } from './client-conditions.ts';
import { Action, type Rule, type RuleDraft, type RuleKey } from './rule.ts';
import { RuleTree, type Search } from './rule-tree.ts';
import { expand, levelsOfFilter, overlaps, type TemplateLevel, usernameOf } from './topic-pattern.ts';

export class RuleSet {
  /** There are no rules at all: everything is allowed. */
  readonly isOpen: boolean;
  readonly rules: readonly Rule[];
  readonly hasAclFile: boolean;
  readonly default: 'allow' | 'deny';
  readonly testCount: number;
  readonly #general = new RuleTree();
  readonly #anonymous = new RuleTree();
  readonly #byName = {
    username: new Map<string, RuleTree>(),
    group: new Map<string, RuleTree>(),
    clientId: new Map<string, RuleTree>(),
  } as const;
  /** Refusals of shared, or of ordinary, subscriptions: see `ClientRules.subscribe`. */
  readonly kindRefusals: readonly Rule[];
  /** A name that holds `/` fills several levels of these, which a tree cannot follow. */
  readonly mosquittoPatterns: readonly Rule[];

  constructor(drafts: readonly RuleDraft[], other: { hasAclFile: boolean; default: 'allow' | 'deny' }) {
    const tests = new Map<ClientTest, number>();
    this.rules = drafts.map((draft, order) => {
      if (draft.test !== null && !tests.has(draft.test)) tests.set(draft.test, tests.size);
      return { ...draft, order, testNumber: draft.test === null ? -1 : tests.get(draft.test)! };
    });
    this.testCount = tests.size;
    this.hasAclFile = other.hasAclFile;
    this.default = other.default;
    this.isOpen = drafts.length === 0 && !other.hasAclFile;
    for (const rule of this.rules) for (const tree of this.#treesFor(rule.key)) tree.add(rule);
    this.kindRefusals = this.rules.filter(({ isAllow, shared }) => !isAllow && shared !== null);
    this.mosquittoPatterns = this.rules.filter(({ isMosquitto, patterns }) => {
      return isMosquitto && (patterns ?? []).flat().some((level) => typeof level !== 'string');
    });
  }

  #treesFor(key: RuleKey | null): Iterable<RuleTree> {
    if (key === null) return [this.#general];
    if (key.by === 'anonymous') return [this.#anonymous];
    const trees = this.#byName[key.by];
    return [...new Set(key.names)].map((name) => {
      let tree = trees.get(name);
      if (tree === undefined) trees.set(name, (tree = new RuleTree()));
      return tree;
    });
  }

  /** Where the rules are that can be about this client. */
  treesOf(client: ClientIdentity): readonly RuleTree[] {
    const { groups, clientId } = client;
    const username = usernameOf(client);
    const { username: byUsername, group: byGroup, clientId: byClientId } = this.#byName;
    const own = [
      username === null ? this.#anonymous : byUsername.get(username),
      byClientId.get(clientId),
      ...[...new Set(groups)].map((group) => byGroup.get(group)),
    ];
    return [this.#general, ...own.filter((tree) => tree !== undefined)];
  }

  readonly #levels = { name: '', levels: [''] as readonly string[] };

  /** The levels of the topic name last asked for are remembered: all its subscribers are asked about in a row. */
  levelsOf(topicName: string): readonly string[] {
    const last = this.#levels;
    if (last.name !== topicName) {
      last.name = topicName;
      last.levels = topicName.split('/');
    }
    return last.levels;
  }
}

/** The rules as they are for one client. */
export class ClientRules implements Search {
  found: Rule | null = null;
  readonly set: RuleSet;
  readonly #client: ClientIdentity;
  readonly #trees: readonly RuleTree[];
  /** By number: 0 not asked yet, 1 true of the client, 2 not. */
  #tests: Uint8Array | null = null;
  readonly #hasSlash: boolean;
  // What is being looked for:
  #action: Action = Action.publish;
  #qos: QoS = 0;
  #retain = false;
  #isShared = false;

  constructor(set: RuleSet, client: ClientIdentity) {
    this.set = set;
    this.#client = client;
    this.#trees = set.treesOf(client);
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
   * A rule decides whose pattern covers all of the filter. A refusal that covers a part of it is left to the delivery, except
   * of shared subscriptions, or of ordinary ones: a delivered message does not tell which of them it comes by.
   */
  subscribe({ filter, shareName }: ParsedFilter): Rule | null {
    this.#isShared = shareName !== null;
    this.#begin(Action.subscribe);
    const levels = levelsOfFilter(filter);
    for (const tree of this.#trees) tree.find(levels, this);
    for (const rule of this.set.kindRefusals) {
      if (this.found !== null && this.found.order <= rule.order) break;
      if (this.#isMeant(rule) && this.wants(rule) && this.#overlaps(rule, filter)) this.found = rule;
    }
    return this.found;
  }

  wants(rule: Rule): boolean {
    if ((rule.actions & this.#action) === 0) return false;
    if (this.#action === Action.publish) {
      if (this.#qos > rule.maxQoS || (rule.retain !== null && rule.retain !== this.#retain)) return false;
    } else if (this.#action === Action.subscribe && rule.shared !== null && rule.shared !== this.#isShared)
      return false;
    return rule.test === null || this.#passes(rule);
  }

  expand(level: TemplateLevel): string | null {
    return level.expand(this.#client);
  }

  #begin(action: Action): void {
    this.#action = action;
    this.found = null;
  }

  #findName(topicName: string, action: Action): Rule | null {
    this.#begin(action);
    const levels = this.set.levelsOf(topicName);
    for (const tree of this.#trees) tree.find(levels, this);
    if (this.#hasSlash) this.#findAcrossLevels(topicName);
    return this.found;
  }

  #findAcrossLevels(topicName: string): void {
    for (const rule of this.set.mosquittoPatterns) {
      if (this.found !== null && this.found.order <= rule.order) return;
      if (!this.wants(rule)) continue;
      const filter = expand(rule.patterns![0]!, this.#client);
      if (filter !== null && matches(filter, topicName)) this.found = rule;
    }
  }

  #passes({ test, testNumber }: Rule): boolean {
    this.#tests ??= new Uint8Array(this.set.testCount);
    const known = this.#tests[testNumber]!;
    if (known !== 0) return known === 1;
    const passes = test!(this.#client);
    this.#tests[testNumber] = passes ? 1 : 2;
    return passes;
  }

  /** Whether the client is among those whom the rule names; in a tree of the client's it is. */
  #isMeant({ key }: Rule): boolean {
    const { clientId, groups } = this.#client;
    const username = usernameOf(this.#client);
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
