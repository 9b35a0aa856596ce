/**
 * What is filed under topic filters, found by topic name: a tree of topic levels in which `+` and `#` are branches of their own.
 *
 * Finding costs the levels of the name times the wildcards that fit, however many other filters there are. [MQTT5 4.7]
 */

import { Branches } from './branches.ts';

/** Few items stand in an array; many in a set, so that removing one of 100,000 is not a search. */
type Bag<T> = T[] | Set<T>;
const arrayMax = 16;

class Node<T> extends Branches<Node<T>> {
  /** The branch for `+`. */
  plus: Node<T> | null = null;
  /** Filed under the filter that ends here. */
  items: Bag<T> | null = null;
  /** Filed under the filter that goes on with `/#`. */
  hashItems: Bag<T> | null = null;

  get isEmpty(): boolean {
    return this.isLeaf && this.plus === null && this.items === null && this.hashItems === null;
  }
}

export class TopicTree<T> {
  readonly #root = new Node<T>();

  add(filter: string, item: T): void {
    let node = this.#root;
    const levels = filter.split('/');
    for (const level of levels) {
      if (level === '#') {
        node.hashItems = put(node.hashItems, item);
        return;
      }
      if (level === '+') node = node.plus ??= new Node();
      else node = node.child(level) ?? node.addChild(level, new Node());
    }
    node.items = put(node.items, item);
  }

  /** Does nothing if it is not there. Branches that hold nothing any more go as well. */
  remove(filter: string, item: T): void {
    remove(this.#root, filter.split('/'), 0, item);
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

function find<T>(node: Node<T>, levels: readonly string[], index: number, found: T[]): void {
  if (node.hashItems !== null) for (const item of node.hashItems) found.push(item);
  if (index === levels.length) {
    if (node.items !== null) for (const item of node.items) found.push(item);
    return;
  }
  const child = node.child(levels[index]!);
  if (child !== undefined) find(child, levels, index + 1, found);
  if (node.plus !== null) find(node.plus, levels, index + 1, found);
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

function remove<T>(node: Node<T>, levels: readonly string[], index: number, item: T): void {
  const level = levels[index];
  if (level === undefined) {
    node.items = take(node.items, item);
  } else if (level === '#') {
    node.hashItems = take(node.hashItems, item);
  } else if (level === '+') {
    if (node.plus === null) return;
    remove(node.plus, levels, index + 1, item);
    if (node.plus.isEmpty) node.plus = null;
  } else {
    const child = node.child(level);
    if (child === undefined) return;
    remove(child, levels, index + 1, item);
    if (child.isEmpty) node.removeChild(level);
  }
}
