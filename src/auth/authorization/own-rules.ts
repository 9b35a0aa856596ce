/**
 * The rules of the configuration, as they are looked up.
 */
import type { RuleActions, RuleClients, RuleSettings } from '../../contracts/authorization-settings.ts';
import type { ClientIdentity } from '../../contracts/hooks.ts';
import { asList, type ClientTest, clientTest } from './client-conditions.ts';
import { Action, type RuleDraft, type RuleKey } from './rule.ts';
import { type Placeholder, parsePattern, placeholdersOf, placeholderValue } from './topic-pattern.ts';

/** `where`: the place of the rule with this index, for messages. */
export function ownRules(rules: readonly RuleSettings[], where: (index: number) => string): RuleDraft[] {
  const tests = new Map<string, ClientTest | null>();
  return rules.flatMap((settings, index) => draftsOf(settings, where(index), tests));
}

/** `tests`: those made before, so that rules with the same conditions share one. */
function draftsOf(settings: RuleSettings, where: string, tests: Map<string, ClientTest | null>): RuleDraft[] {
  const { allow, deny, topics, for: clients = {}, retain = null, maxQoS = 2, shared = null } = settings;
  const remember = (key: unknown, make: () => ClientTest | null) => {
    const text = JSON.stringify(key);
    if (!tests.has(text)) tests.set(text, make());
    return tests.get(text)!;
  };
  const key = keyOf(clients);
  const except = key?.by ?? null;
  const test = remember([clients, except], () => clientTest(clients, except));
  const patterns = topics?.map(parsePattern) ?? null;
  const action = (allow ?? deny)!;
  const rule: RuleDraft = {
    isAllow: allow !== undefined,
    actions: bitsOf(action, deny !== undefined && shared !== null),
    patterns,
    key,
    test,
    retain,
    maxQoS,
    shared,
    isMosquitto: false,
    name: `${where}: ${allow === undefined ? 'deny' : 'allow'} ${action} ${topics?.join(', ') ?? 'every topic'}`,
    says: JSON.stringify(settings),
  };
  const placeholders = placeholdersOf(patterns ?? []);
  if (placeholders.length === 0) return [rule];
  const danger = remember([clients, except, placeholders], () => (client) => {
    return (test === null || test(client)) && placeholders.some((each) => isDangerous(each, client));
  });
  const refusal = `${rule.name}: the client has a name with /, + or # that would stand there`;
  const barrier = { isAllow: false, patterns: null, test: danger, retain: null, maxQoS: 2, shared: null } as const;
  return [{ ...rule, ...barrier, name: refusal, says: `names for ${rule.says}` }, rule];
}

/**
 * A name that would become a wildcard, or more than one level, never stands in for a placeholder. What such a client
 * may do is not for the rules below to say either: they were written for clients that this rule has been applied to.
 */
function isDangerous(placeholder: Placeholder, client: ClientIdentity): boolean {
  return /[/+#]/.test(placeholderValue(placeholder, client) ?? '');
}

/**
 * `isOfKind`: the rule is about shared subscriptions only, or about others only, which a delivered message does not
 * tell.
 */
function bitsOf(action: RuleActions, isOfKind: boolean): number {
  const subscribe = Action.subscribe | (isOfKind ? 0 : Action.receive);
  return { publish: Action.publish, subscribe, all: Action.publish | subscribe }[action];
}

function keyOf(clients: RuleClients): Extract<RuleKey, { names: unknown }> | null {
  for (const by of ['username', 'clientId', 'group'] as const) {
    const wanted = clients[by];
    if (wanted === undefined) continue;
    const names = asList(wanted);
    if (names.every((name) => !name.includes('*'))) return { by, names };
  }
  return null;
}
