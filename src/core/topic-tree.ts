/**
 * What is filed under topic filters, found by topic name: a tree of topic levels, as they stand in the filters.
 *
 * Finding costs the levels of the name times the wildcards that fit, however many other filters there are. [MQTT5 4.7]
 */
import { LevelNode } from './level-tree.ts';

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

  /** Appends to `found` everything whose filter matches `topicName`; an item under two filters comes twice. */
  find(topicName: string, found: T[]): void {
    const levels = topicName.split('/');
    // A leading wildcard does not match a name that begins with `$`. [MQTT5 4.7.2-1]
    if (topicName.startsWith('$')) {
      const child = this.#root.child(levels[0]!);
      if (child !== undefined) find(child, levels, 1, found);
    } else find(this.#root, levels, 0, found);
  }
}

function parse(filter: string): { levels: string[]; isOpen: boolean } {
  const levels = filter.split('/');
  const isOpen = levels.at(-1) === '#';
  if (isOpen) levels.pop();
  return { levels, isOpen };
}

/** One name can come here thousands of times, by as many filters, and before V8 has compiled it: loops with an iterator would take twice as long. */
function find<T>(node: Node<T>, levels: readonly string[], index: number, found: T[]): void {
  const { tail } = node;
  for (let i = 0; i < tail.length; i++, index++) {
    if (index === levels.length || (tail[i] !== levels[index] && tail[i] !== '+')) return;
  }
  if (node.hashItems !== null) collect(node.hashItems, found);
  if (index === levels.length) {
    if (node.items !== null) collect(node.items, found);
    return;
  }
  const child = node.child(levels[index]!);
  if (child !== undefined) find(child, levels, index + 1, found);
  if (node.plus !== null) find(node.plus, levels, index + 1, found);
}

function collect<T>(bag: Bag<T>, found: T[]): void {
  if (bag instanceof Set) for (const item of bag) found.push(item);
  else for (let i = 0; i < bag.length; i++) found.push(bag[i]!);
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
