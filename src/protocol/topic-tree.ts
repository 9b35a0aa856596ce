/**
 * What is filed under topic filters, found by topic name: a tree of topic levels, as they stand in the filters.
 *
 * Finding costs the levels of the name times the wildcards that fit, however many other filters there are. [MQTT5 4.7]
 */

import { LevelNode } from './level-tree.ts';
import { levelsOf } from './topic.ts';

/** Few items stand in an array; many in a set, so that removing one of 100,000 is not a search. */
type Bag<T> = T[] | Set<T>;
const arrayMax = 16;

class Node<T> extends LevelNode<Node<T>> {
  /** Filed under the filter that ends here. */
  items: Bag<T> | null = null;
  /** Filed under the filter that goes on with `/#`. */
  hashItems: Bag<T> | null = null;

  protected override get isInUse(): boolean {
    return this.items !== null || this.hashItems !== null;
  }

  protected override make(): Node<T> {
    return new Node();
  }

  protected override moveTo(lower: Node<T>): void {
    lower.items = this.items;
    lower.hashItems = this.hashItems;
    this.items = this.hashItems = null;
  }
}

export class TopicTree<T> {
  readonly #root = new Node<T>();

  add(filter: string, item: T): void {
    const { levels, isOpen } = parse(filter);
    const node = this.#root.grow(levels);
    if (isOpen) node.hashItems = put(node.hashItems, item);
    else node.items = put(node.items, item);
  }

  /** Does nothing if it is not there. */
  remove(filter: string, item: T): void {
    const { levels, isOpen } = parse(filter);
    const node = this.#root.descend(levels);
    if (node === undefined) return;
    if (isOpen) node.hashItems = take(node.hashItems, item);
    else node.items = take(node.items, item);
    this.#root.prune(levels);
  }

  /** Everything that is filed under just this filter. What changes meanwhile may be missed. */
  under(filter: string): Iterable<T> {
    const { levels, isOpen } = parse(filter);
    const node = this.#root.descend(levels);
    const bag = (isOpen ? node?.hashItems : node?.items) ?? [];
    return bag instanceof Set ? bag : bag.slice();
  }

  /**
   * Everything that is filed under filters that may match a topic that this one matches as well. What changes meanwhile
   * may be missed.
   */
  *around(filter: string): Generator<T> {
    const wanted = filter.split('/');
    const left: { readonly nodes: Iterator<Node<T>>; readonly depth: number }[] = [
      { nodes: [this.#root].values(), depth: 0 },
    ];
    for (let last = left.at(-1); last !== undefined; last = left.at(-1)) {
      const { value: node, done } = last.nodes.next();
      if (done === true) {
        left.pop();
        continue;
      }
      const depth = depthBelow(node.tail, wanted, last.depth);
      if (depth === -1) continue;
      // Before anything is told: what is below may be elsewhere afterwards.
      const below = childrenFor(node, wanted, depth);
      if (below !== null) left.push(...below);
      for (const bag of [node.hashItems, node.items]) if (bag !== null) yield* bag instanceof Set ? bag : bag.slice();
    }
  }

  /**
   * Finds everything whose filter matches a name; an item under two filters comes twice. What changes meanwhile may be
   * missed.
   */
  search(): TreeSearch<T> {
    return new TreeSearch(this.#root);
  }
}

/**
 * A search that can stop at any node: what filters with many wildcards share out among very many nodes is found in
 * steps.
 */
export class TreeSearch<T> {
  readonly #root: Node<T>;
  #levels: readonly string[] = [];
  /** Where the way parted: the nodes still to be looked at, and how many levels of the name lead to each. */
  readonly #nodes: Node<T>[] = [];
  readonly #indexes: number[] = [];
  /** What is left of large bags. */
  readonly #bags: IterableIterator<T>[] = [];

  constructor(root: Node<T>) {
    this.#root = root;
  }

  /** The search before must have come to its end. */
  begin(topicName: string): void {
    const levels = levelsOf(topicName);
    this.#levels = levels;
    // A leading wildcard does not match a name that begins with `$`. [MQTT5 4.7.2-1]
    const isHidden = levels[0]!.startsWith('$');
    const start = isHidden ? this.#root.child(levels[0]!) : this.#root;
    if (start === undefined) return;
    this.#nodes.push(start);
    this.#indexes.push(isHidden ? 1 : 0);
  }

  /**
   * Appends what is found, and looks at no more than about `budget` nodes and items. Returns whether there is more to
   * do.
   */
  step(budget: number, found: T[]): boolean {
    let left = budget;
    while (left > 0) {
      if (this.#bags.length > 0) left -= this.#takeFromBag(left, found);
      else {
        const node = this.#nodes.pop();
        if (node === undefined) return false;
        left -= this.#descend(node, this.#indexes.pop()!, found);
      }
    }
    return true;
  }

  /** Goes down one way to its end, and leaves the others for later. Returns what that has cost. */
  #descend(from: Node<T>, at: number, found: T[]): number {
    const levels = this.#levels;
    let node = from;
    let index = at;
    for (let cost = 1; ; cost++) {
      const { tail } = node;
      for (let i = 0; i < tail.length; i++, index++) {
        if (index === levels.length || (tail[i] !== levels[index] && tail[i] !== '+')) return cost + i;
      }
      cost += tail.length;
      if (node.hashItems !== null) cost += this.#collect(node.hashItems, found);
      if (index === levels.length) return node.items === null ? cost : cost + this.#collect(node.items, found);
      const child = node.child(levels[index++]!);
      const { plus } = node;
      if (child === undefined && plus === null) return cost;
      if (child !== undefined && plus !== null) {
        this.#nodes.push(plus);
        this.#indexes.push(index);
      }
      node = child ?? plus!;
    }
  }

  #collect(bag: Bag<T>, found: T[]): number {
    if (bag instanceof Set) {
      this.#bags.push(bag.values());
      return 0;
    }
    for (let i = 0; i < bag.length; i++) found.push(bag[i]!);
    return bag.length;
  }

  #takeFromBag(most: number, found: T[]): number {
    let taken = 0;
    // An iterator of a set goes on where it was left.
    for (const item of this.#bags.at(-1)!) {
      found.push(item);
      if (++taken === most) return taken;
    }
    this.#bags.pop();
    return taken;
  }
}

/** Those with which a filter, of which so many levels lead here, may have topics in common. */
function* nodesOf<T>(nodes: readonly (Node<T> | null | undefined)[]): Generator<Node<T>> {
  for (const node of nodes) if (node !== null && node !== undefined) yield node;
}

function childrenFor<T>(node: Node<T>, wanted: readonly string[], depth: number) {
  const level = wanted[Math.min(depth, wanted.length - 1)]!;
  const isOpen = level === '#';
  if (depth >= wanted.length && !isOpen) return null;
  const below = isOpen ? depth : depth + 1;
  if (isOpen || level === '+') {
    return [
      { nodes: nodesOf([node.plus]), depth: below },
      { nodes: node.children(), depth: below },
    ];
  }
  return [{ nodes: nodesOf([node.plus, node.child(level)]), depth: below }];
}

/** How many levels of a filter lead behind these, which begin at one of them; -1: they have no topic in common. */
function depthBelow(tail: readonly string[], wanted: readonly string[], start: number): number {
  let depth = start;
  for (const level of tail) {
    const other = wanted[Math.min(depth, wanted.length - 1)];
    if (other === '#') continue;
    if (depth >= wanted.length || (level !== '+' && other !== '+' && level !== other)) return -1;
    depth++;
  }
  return depth;
}

function parse(filter: string): { levels: string[]; isOpen: boolean } {
  const levels = filter.split('/');
  const isOpen = levels.at(-1) === '#';
  if (isOpen) levels.pop();
  return { levels, isOpen };
}

function put<T>(bag: Bag<T> | null, item: T): Bag<T> {
  if (bag === null) return [item];
  if (bag instanceof Set) return bag.add(item);
  if (bag.length === arrayMax) return new Set(bag).add(item);
  bag.push(item);
  return bag;
}

function take<T>(bag: Bag<T> | null, item: T): Bag<T> | null {
  if (bag instanceof Set) {
    bag.delete(item);
    return bag.size === 0 ? null : bag;
  }
  const index = bag === null ? -1 : bag.indexOf(item);
  if (index >= 0) bag!.splice(index, 1);
  return bag === null || bag.length === 0 ? null : bag;
}
