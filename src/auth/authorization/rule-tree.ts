/**
 * Rules filed under their topic patterns: the first rule that matches, without looking at the others.
 *
 * One search serves topic names and topic filters: a pattern that matches every topic of a filter *covers* it, and that
 * goes level by level just as with a name, except that only `+` and `#` cover a `+`, and only `#` a `#`. [MQTT5 4.7]
 */
import type { Rule } from './rule.ts';
import { TemplateLevel, type TopicPattern } from './topic-pattern.ts';

/** What is looked for: `wants` is asked about rules that match the topic, `expand` about levels with placeholders. */
export interface Search {
  /** The first rule found so far; a search in several trees goes on from there. */
  found: Rule | null;
  wants(rule: Rule): boolean;
  expand(level: TemplateLevel): string | null;
  /** Whether a name that holds `/` fills several levels, where the pattern allows that. */
  readonly mayFillLevels: boolean;
}

class Node {
  /** No rule from here on comes before this one. */
  readonly lowest: number;
  children: Map<string, Node> | null = null;
  templates: { readonly level: TemplateLevel; readonly node: Node }[] | null = null;
  /** The branch for `+`. */
  plus: Node | null = null;
  /** Whose pattern ends here, in their order. */
  rules: Rule[] | null = null;
  /** Whose pattern goes on with `#`. */
  hashRules: Rule[] | null = null;

  constructor(lowest: number) {
    this.lowest = lowest;
  }
}

export class RuleTree {
  readonly #root = new Node(0);
  /** For every topic, also those that begin with `$`. */
  readonly #everywhere: Rule[] = [];

  /** Rules come in their order. */
  add(rule: Rule): void {
    if (rule.patterns === null) this.#everywhere.push(rule);
    else for (const pattern of rule.patterns) this.#file(pattern, rule);
  }

  #file(pattern: TopicPattern, rule: Rule): void {
    let node = this.#root;
    for (const level of pattern) {
      if (level === '#') {
        (node.hashRules ??= []).push(rule);
        return;
      }
      node = childFor(node, level, rule.order);
    }
    (node.rules ??= []).push(rule);
  }

  /** `levels`: of a topic name, or of a filter by `levelsOfFilter`. */
  find(levels: readonly string[], search: Search): void {
    consider(this.#everywhere, search);
    const first = levels[0]!;
    if (!first.startsWith('$')) return find(this.#root, levels, 0, search);
    // A leading wildcard does not match a name that begins with `$`. [MQTT5 4.7.2-1]
    const child = this.#root.children?.get(first);
    if (child !== undefined) find(child, levels, 1, search);
    for (const { level, node } of this.#root.templates ?? []) {
      const end = level.mayBeginWithDollar ? endOf(level, levels, 0, search) : -1;
      if (end > 0) find(node, levels, end, search);
    }
  }
}

function childFor(node: Node, level: TopicPattern[number], order: number): Node {
  if (level === '+') return (node.plus ??= new Node(order));
  if (level instanceof TemplateLevel) {
    node.templates ??= [];
    const same = node.templates.find((each) => each.level.isSame(level));
    if (same !== undefined) return same.node;
    const child = new Node(order);
    node.templates.push({ level, node: child });
    return child;
  }
  node.children ??= new Map();
  let child = node.children.get(level);
  if (child === undefined) node.children.set(level, (child = new Node(order)));
  return child;
}

function find(node: Node, levels: readonly string[], index: number, search: Search): void {
  if (search.found !== null && search.found.order <= node.lowest) return;
  if (node.hashRules !== null) consider(node.hashRules, search);
  if (index === levels.length) {
    if (node.rules !== null) consider(node.rules, search);
    return;
  }
  const level = levels[index]!;
  if (level === '#') return;
  if (level !== '+') {
    const child = node.children?.get(level);
    if (child !== undefined) find(child, levels, index + 1, search);
    if (node.templates !== null) {
      for (const { level: template, node: next } of node.templates) {
        const end = endOf(template, levels, index, search);
        if (end > 0) find(next, levels, end, search);
      }
    }
  }
  if (node.plus !== null) find(node.plus, levels, index + 1, search);
}

/** Where the levels end that the template fills, if it stands at `index`; -1 if others are there. */
function endOf(template: TemplateLevel, levels: readonly string[], index: number, search: Search): number {
  const text = search.expand(template);
  if (text === levels[index]) return index + 1;
  if (text === null || !search.mayFillLevels || !template.mayFillLevels) return -1;
  const parts = text.split('/');
  for (let i = 0; i < parts.length; i++) if (parts[i] !== levels[index + i]) return -1;
  return index + parts.length;
}

/** The rules stand in their order, so the first that is wanted is the best of them. */
function consider(rules: readonly Rule[], search: Search): void {
  for (const rule of rules) {
    if (search.found !== null && search.found.order <= rule.order) return;
    if (!search.wants(rule)) continue;
    search.found = rule;
    return;
  }
}
