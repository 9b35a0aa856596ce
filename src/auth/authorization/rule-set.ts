/**
 * All rules that hold at one time, made ready for looking up: they never change, others take their place.
 *
 * Rules for everybody stand in one index, rules for certain names (usernames, groups, client ids) in one for each name.
 * Rules with other conditions (an address, a pattern of names) are gone through once for each client, and clients that
 * meet the same ones share an index of them. So a look-up passes by no rule that is not for the client, and the rules
 * are there once, however many clients there are.
 */
import type { ClientIdentity } from '../../contracts/hooks.ts';
import type { ClientTest } from './client-conditions.ts';
import { Action, type Rule, type RuleDraft, type RuleKey } from './rule.ts';
import { RuleTree } from './rule-tree.ts';
import { usernameOf } from './topic-pattern.ts';

/** Rules by what they are about. */
export class RuleIndex {
  readonly #trees = new Map<Action, RuleTree>(Object.values(Action).map((action) => [action, new RuleTree()]));

  /** Rules come in their order. */
  add(rule: Rule): void {
    for (const [action, tree] of this.#trees) if ((rule.actions & action) !== 0) tree.add(rule);
  }

  tree(action: Action): RuleTree {
    return this.#trees.get(action)!;
  }
}

/** Rules for the same name, or for everybody: those without other conditions, and the others. */
class Section {
  readonly index = new RuleIndex();
  readonly conditional: Rule[] = [];

  add(rule: Rule): void {
    if (rule.test === null) this.index.add(rule);
    else this.conditional.push(rule);
  }
}

/** So many indexes are kept of rules with conditions; beyond, they begin anew. */
const indexesMax = 1_024;

export class RuleSet {
  /** In their order. */
  readonly rules: readonly Rule[];
  /** There are no rules at all: everything is allowed. */
  readonly isOpen: boolean;
  readonly hasAclFile: boolean;
  readonly default: 'allow' | 'deny';
  /** Refusals of shared, or of ordinary, subscriptions: see `ClientRules.subscribe`. */
  readonly kindRefusals: readonly Rule[];
  readonly #general = new Section();
  readonly #anonymous = new Section();
  readonly #byName = {
    username: new Map<string, Section>(),
    group: new Map<string, Section>(),
    clientId: new Map<string, Section>(),
  } as const;
  /** By the places of their rules. */
  readonly #conditional = new Map<string, RuleIndex>();
  /** By the number of the test: 0 not asked yet, 1 true of the client, 2 not. */
  readonly #answers: Uint8Array;

  constructor(drafts: readonly RuleDraft[], other: { hasAclFile: boolean; default: 'allow' | 'deny' }) {
    const tests = new Map<ClientTest, number>();
    const rules = drafts.map((draft, order): Rule => {
      if (draft.test !== null && !tests.has(draft.test)) tests.set(draft.test, tests.size);
      return { ...draft, order, testNumber: draft.test === null ? -1 : tests.get(draft.test)! };
    });
    this.rules = rules;
    this.#answers = new Uint8Array(tests.size);
    this.hasAclFile = other.hasAclFile;
    this.default = other.default;
    this.isOpen = drafts.length === 0 && !other.hasAclFile;
    for (const rule of rules) for (const section of this.#sectionsFor(rule.key)) section.add(rule);
    this.kindRefusals = rules.filter(({ isAllow, shared }) => !isAllow && shared !== null);
  }

  #sectionsFor(key: RuleKey | null): readonly Section[] {
    if (key === null) return [this.#general];
    if (key.by === 'anonymous') return [this.#anonymous];
    const sections = this.#byName[key.by];
    return [...new Set(key.names)].map((name) => {
      let section = sections.get(name);
      if (section === undefined) sections.set(name, (section = new Section()));
      return section;
    });
  }

  #sectionsOf(client: ClientIdentity): readonly Section[] {
    const username = usernameOf(client);
    const { username: byUsername, group: byGroup, clientId: byClientId } = this.#byName;
    const own = [
      username === null ? this.#anonymous : byUsername.get(username),
      byClientId.get(client.clientId),
      ...[...new Set(client.groups)].map((group) => byGroup.get(group)),
    ];
    return [this.#general, ...own.filter((section) => section !== undefined)];
  }

  /** Where the rules are that are for this client. */
  indexesFor(client: ClientIdentity): readonly RuleIndex[] {
    const sections = this.#sectionsOf(client);
    const indexes = sections.map(({ index }) => index);
    const conditional = sections.map((section) => section.conditional).filter((rules) => rules.length > 0);
    if (conditional.length === 0) return indexes;
    this.#answers.fill(0);
    const passed = new Set<Rule>();
    for (const rules of conditional) for (const rule of rules) if (this.#passes(rule, client)) passed.add(rule);
    if (passed.size > 0) indexes.push(this.#indexOf([...passed].sort((a, b) => a.order - b.order)));
    return indexes;
  }

  #passes({ test, testNumber }: Rule, client: ClientIdentity): boolean {
    const known = this.#answers[testNumber]!;
    if (known !== 0) return known === 1;
    const passes = test!(client);
    this.#answers[testNumber] = passes ? 1 : 2;
    return passes;
  }

  #indexOf(rules: readonly Rule[]): RuleIndex {
    const name = rules.map(({ order }) => order).join();
    const known = this.#conditional.get(name);
    if (known !== undefined) return known;
    const index = new RuleIndex();
    for (const rule of rules) index.add(rule);
    if (this.#conditional.size >= indexesMax) this.#conditional.clear();
    this.#conditional.set(name, index);
    return index;
  }
}
