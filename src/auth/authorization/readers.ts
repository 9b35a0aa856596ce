/**
 * Which topics may have other readers once rules take the place of others: routes to all other topics stay as they are.
 *
 * The first rule that matches decides. So where two lists begin with the same rules, and end with the same, a topic
 * that none of the rules in between is about has the same readers by both.
 */
import { Action, type Rule } from './rule.ts';
import type { RuleSet } from './rule-set.ts';
import { TemplateLevel, type TopicPattern } from './topic-pattern.ts';

/** Topic filters, each concerned topic matching one of them; null: it may be any topic. */
export type ConcernedTopics = readonly string[] | null;

/** Whether the two say the same, in whatever places of a file it stands. */
export function saySame(before: RuleSet, after: RuleSet): boolean {
  return haveSameFrame(before, after) && differing(before, after).length === 0;
}

export function topicsWithOtherReaders(before: RuleSet, after: RuleSet): ConcernedTopics {
  if (!haveSameFrame(before, after)) return null;
  const filters = new Set<string>();
  for (const { actions, patterns } of differing(before, after)) {
    if ((actions & Action.receive) === 0) continue;
    for (const pattern of patterns ?? [null]) {
      const filter = pattern === null ? null : filterAround(pattern);
      if (filter === null) return null;
      filters.add(filter);
    }
  }
  return [...filters];
}

/** What decides where no rule does. */
function haveSameFrame(before: RuleSet, after: RuleSet): boolean {
  return before.isOpen === after.isOpen && before.default === after.default && before.hasAclFile === after.hasAclFile;
}

/** Of both lists, what is between the rules that they have in common at their beginnings and at their ends. */
function differing({ rules: before }: RuleSet, { rules: after }: RuleSet): Rule[] {
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start]!.says === after[start]!.says) start++;
  let end = 0;
  while (end < most - start && before.at(-1 - end)!.says === after.at(-1 - end)!.says) end++;
  return [before, after].flatMap((rules) => rules.slice(start, rules.length - end));
}

/** A filter that every topic matches that the pattern matches for any client. */
function filterAround(pattern: TopicPattern): string | null {
  const levels: string[] = [];
  for (const level of pattern) {
    if (!(level instanceof TemplateLevel)) levels.push(level);
    // A name may fill several levels there; one that stands first may begin with `$`, which no wildcard matches.
    else return levels.length === 0 ? null : [...levels, '#'].join('/');
  }
  return levels.join('/');
}
