/**
 * The retained messages: at most one per topic, found by topic filter. [MQTT5 3.3.1.3]
 */
import type { Message } from '../protocol/message.ts';
import type { Subscription } from './subscription.ts';

class Node {
  children: Map<string, Node> | null = null;
  message: Message | null = null;
  /** A first level that begins with `$`: a leading wildcard passes it over. [MQTT5 4.7.2-1] */
  readonly isHidden: boolean;

  constructor(isHidden: boolean) {
    this.isHidden = isHidden;
  }
}

export class RetainedMessages {
  readonly #root = new Node(false);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get(topicName: string): Message | null {
    let node: Node | undefined = this.#root;
    for (const level of topicName.split('/')) node = node?.children?.get(level);
    return node?.message ?? null;
  }

  /** Replaces what the topic had. The message must own its bytes. */
  set(message: Message): void {
    let node = this.#root;
    for (const level of message.topic.name.split('/')) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) {
        child = new Node(node === this.#root && level.startsWith('$'));
        node.children.set(level, child);
      }
      node = child;
    }
    if (node.message === null) this.#count++;
    node.message = message;
  }

  /** Returns whether there was one. */
  delete(topicName: string): boolean {
    const removed = remove(this.#root, topicName.split('/'), 0);
    if (removed) this.#count--;
    return removed;
  }

  /** The messages whose topic the filter matches. What is set or deleted meanwhile may appear or not. */
  match(filter: string): RetainedMatches {
    return new RetainedMatches(this.#root, filter.split('/'), false);
  }

  [Symbol.iterator](): RetainedMatches {
    return new RetainedMatches(this.#root, ['#'], true);
  }
}

function remove(node: Node, levels: readonly string[], index: number): boolean {
  if (index === levels.length) {
    const had = node.message !== null;
    node.message = null;
    return had;
  }
  const child = node.children?.get(levels[index]!);
  if (child === undefined) return false;
  const removed = remove(child, levels, index + 1);
  if (child.message === null && child.children === null) {
    node.children!.delete(levels[index]!);
    if (node.children!.size === 0) node.children = null;
  }
  return removed;
}

/** How many more nodes may be looked at in one go: a filter may match few messages among very many. */
export interface Walk {
  stepsLeft: number;
}

const unhurried: Walk = { stepsLeft: Number.POSITIVE_INFINITY };

/**
 * A walk through the tree that can stop after each message. It keeps its place by itself: nested generators would pass each
 * message on through all their levels.
 */
export class RetainedMatches implements IterableIterator<Message> {
  readonly #levels: readonly string[];
  readonly #seesHidden: boolean;
  /** Where a wildcard branched off, innermost last: the nodes still to be seen, and the level that each of them is to match. */
  readonly #branches: Iterator<Node>[] = [];
  readonly #indexes: number[] = [];
  /** Null once the walk has begun. */
  #root: Node | null;
  /** There are no more. */
  isDone = false;

  constructor(root: Node, levels: readonly string[], seesHidden: boolean) {
    this.#levels = levels;
    this.#seesHidden = seesHidden;
    this.#root = root;
  }

  /** The next message. Null at the end, or where the walk has taken all steps that it may: see `isDone`. */
  take(walk: Walk = unhurried): Message | null {
    if (this.#root !== null) {
      const message = this.#enter(this.#root, 0);
      this.#root = null;
      if (message !== null) return message;
    }
    for (let top = this.#branches.length - 1; top >= 0; top = this.#branches.length - 1) {
      if (walk.stepsLeft <= 0) return null;
      walk.stepsLeft--;
      const { value: node, done } = this.#branches[top]!.next();
      if (done) {
        this.#branches.pop();
        this.#indexes.pop();
      } else if (!node.isHidden || this.#seesHidden) {
        const message = this.#enter(node, this.#indexes[top]!);
        if (message !== null) return message;
      }
    }
    this.isDone = true;
    return null;
  }

  /** Goes down from `node` to where the filter ends or branches; returns the message there if it matches. */
  #enter(node: Node, index: number): Message | null {
    for (;;) {
      const level = this.#levels[index];
      if (level === undefined) return node.message;
      if (level === '#') {
        this.#branch(node, index);
        // `a/#` matches `a` as well. [MQTT5 4.7.1.2]
        return node.message;
      }
      index++;
      if (level === '+') {
        this.#branch(node, index);
        return null;
      }
      const child = node.children?.get(level);
      if (child === undefined) return null;
      node = child;
    }
  }

  #branch({ children }: Node, index: number): void {
    if (children === null) return;
    this.#branches.push(children.values());
    this.#indexes.push(index);
  }

  next(): IteratorResult<Message> {
    const message = this.take();
    return message === null ? { value: undefined, done: true } : { value: message, done: false };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

/**
 * The retained messages that a new subscription is still to be sent, read as there is room for them: a subscription to `#`
 * fills no buffer, and a message that was replaced meanwhile is sent as it is now.
 */
export interface Replay {
  readonly subscription: Subscription;
  readonly messages: RetainedMatches;
}
