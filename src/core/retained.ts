/**
 * The retained messages: at most one per topic, found by topic filter. [MQTT5 3.3.1.3]
 */
import type { Message } from '../protocol/message.ts';
import type { Subscription } from './subscription.ts';

class Node {
  children: Map<string, Node> | null = null;
  message: Message | null = null;
}

export class RetainedMessages {
  readonly #root = new Node();
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
      if (child === undefined) node.children.set(level, (child = new Node()));
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
  *match(filter: string): Generator<Message> {
    yield* match(this.#root, filter.split('/'), 0, true);
  }

  [Symbol.iterator](): Generator<Message> {
    return everything(this.#root);
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

function* match(node: Node, levels: readonly string[], index: number, isFirst: boolean): Generator<Message> {
  const level = levels[index];
  if (level === undefined) {
    if (node.message !== null) yield node.message;
  } else if (level === '#') {
    // `a/#` matches `a` as well. [MQTT5 4.7.1.2]
    if (node.message !== null) yield node.message;
    for (const [name, child] of node.children ?? []) {
      if (!(isFirst && name.startsWith('$'))) yield* everything(child);
    }
  } else if (level === '+') {
    for (const [name, child] of node.children ?? []) {
      if (!(isFirst && name.startsWith('$'))) yield* match(child, levels, index + 1, false);
    }
  } else {
    const child = node.children?.get(level);
    if (child !== undefined) yield* match(child, levels, index + 1, false);
  }
}

function* everything(node: Node): Generator<Message> {
  if (node.message !== null) yield node.message;
  if (node.children === null) return;
  for (const child of node.children.values()) {
    // Most nodes are leaves, and a generator for each would cost more than the message.
    if (child.children !== null) yield* everything(child);
    else if (child.message !== null) yield child.message;
  }
}

/**
 * The retained messages that a new subscription is still to be sent, read as there is room for them: a subscription to `#`
 * fills no buffer, and a message that was replaced meanwhile is sent as it is now.
 */
export class ReplayCursor {
  readonly subscription: Subscription;
  readonly #messages: Iterator<Message>;
  #next: Message | null = null;

  constructor(subscription: Subscription, messages: Iterator<Message>) {
    this.subscription = subscription;
    this.#messages = messages;
  }

  /** The next message without taking it; null at the end. */
  peek(): Message | null {
    this.#next ??= (this.#messages.next().value as Message | undefined) ?? null;
    return this.#next;
  }

  take(): void {
    this.#next = null;
  }
}
