/**
 * The retained messages: at most one per topic, found by topic filter. [MQTT5 3.3.1.3]
 */
import { Account, Category, unlimited } from '../base/ledger.ts';
import { LevelNode } from '../protocol/level-tree.ts';
import type { Message } from '../protocol/message.ts';
import { levelsOf, type Topic } from '../protocol/topic.ts';
import { aroundRetained, hold, letGo } from './footprint.ts';
import { RetainedBytes } from './retained-bytes.ts';
import type { Subscription } from './subscription.ts';

class Node extends LevelNode<Node> {
  message: Message | null = null;

  protected override get isInUse(): boolean {
    return this.message !== null;
  }

  protected override make(): Node {
    return new Node();
  }

  protected override moveTo(lower: Node): void {
    lower.message = this.message;
    this.message = null;
  }
}

/** So many nodes are looked at to find out whether there is anything for a filter at all. */
const fewSteps = 50;

export class RetainedMessages {
  /** Of all retained messages: their publishers may be gone for long. */
  readonly account: Account;
  readonly #root = new Node();
  /** Topics that begin with `$` stand apart: a leading wildcard passes them over. [MQTT5 4.7.2-1] */
  readonly #hiddenRoot = new Node();
  readonly #bytes = new RetainedBytes();
  #count = 0;
  #messageBytes = 0;

  constructor(account = new Account(unlimited)) {
    this.account = account;
  }

  get count(): number {
    return this.#count;
  }

  /** Their payloads, properties and topics. */
  get messageBytes(): number {
    return this.#messageBytes;
  }

  /** What their slabs take, beside messages that have buffers of their own. */
  get slabBytes(): number {
    return this.#bytes.bytes;
  }

  get(topicName: string): Message | null {
    return this.#rootOf(topicName).descend(levelsOf(topicName))?.message ?? null;
  }

  /** The same, for a topic that is in use: it knows the place. */
  of(topic: Topic): Message | null {
    return this.#nodeOf(topic)?.message ?? this.get(topic.name);
  }

  /** Where the topic was told to stand, if it still does. */
  #nodeOf(topic: Topic): Node | null {
    const node = topic.retainedNode as Node | null;
    return node?.message?.topic === topic ? node : null;
  }

  /** Replaces what the topic had. The message must own its bytes. */
  set(message: Message): void {
    const { topic } = message;
    const node = this.#nodeOf(topic) ?? this.#rootOf(topic.name).grow(levelsOf(topic.name));
    if (node.message === null) this.#count++;
    else this.#letGo(node.message);
    node.message = message;
    topic.retainedNode = node;
    this.#bytes.moveIn(message);
    this.#messageBytes += message.size;
    hold(this.account, Category.retained, message, aroundRetained(message));
  }

  /** Returns whether there was one. */
  delete(topicName: string): boolean {
    const levels = levelsOf(topicName);
    const root = this.#rootOf(topicName);
    const node = root.descend(levels);
    if (node === undefined || node.message === null) return false;
    this.#letGo(node.message);
    node.message = null;
    root.prune(levels);
    this.#count--;
    return true;
  }

  #letGo(message: Message): void {
    this.#bytes.moveOut(message);
    this.#messageBytes -= message.size;
    letGo(this.account, Category.retained, message, aroundRetained(message));
  }

  /** The messages whose topic the filter matches. What is set or deleted meanwhile may appear or not. */
  match(filter: string): RetainedMatches {
    return new RetainedMatches(this, [this.#rootOf(filter)], filter.split('/'));
  }

  /** False only if there are none that the filter matches. It looks at a few nodes, not at all. */
  mayHave(filter: string): boolean {
    if (this.#count === 0) return false;
    const walk = { stepsLeft: fewSteps };
    const matches = this.match(filter);
    return matches.take(walk) !== null || !matches.isDone;
  }

  [Symbol.iterator](): RetainedMatches {
    return new RetainedMatches(this, [this.#root, this.#hiddenRoot], ['#']);
  }

  #rootOf(topic: string): Node {
    return topic.startsWith('$') ? this.#hiddenRoot : this.#root;
  }
}

/** How many more nodes may be looked at in one go: a filter may match few messages among very many. */
export interface Walk {
  stepsLeft: number;
}

const unhurried: Walk = { stepsLeft: Number.POSITIVE_INFINITY };

/**
 * A walk through the tree that can stop after each message. It keeps its place by itself: nested generators would pass
 * each message on through all their levels.
 */
export class RetainedMatches implements IterableIterator<Message> {
  readonly #all: RetainedMessages;
  readonly #levels: readonly string[];
  /**
   * Where a wildcard branched off, innermost last: the nodes still to be seen, and the level that each of them is to
   * match.
   */
  readonly #branches: Iterator<Node>[];
  readonly #indexes: number[] = [0];
  /** The message that `find` has come to, and where it stood. */
  #found: { readonly node: Node; readonly topic: Topic } | null = null;
  /** There are no more. */
  isDone = false;

  constructor(all: RetainedMessages, roots: readonly Node[], levels: readonly string[]) {
    this.#all = all;
    this.#branches = [roots.values()];
    this.#levels = levels;
  }

  /**
   * The next message, as it is now. Null at the end, or where the walk has taken all steps that it may: see `isDone`.
   */
  take(walk: Walk = unhurried): Message | null {
    const found = this.#foundAsItIs;
    this.#found = null;
    return found ?? this.#walk(walk)?.message ?? null;
  }

  get #foundAsItIs(): Message | null {
    if (this.#found === null) return null;
    const { node, topic } = this.#found;
    if (node.message?.topic.name === topic.name) return node.message;
    // Its node may stand lower by now. One that was deleted and set again stands elsewhere, where the walk may still
    // come to it.
    return node.isLeaf ? null : this.#all.of(topic);
  }

  /** Goes up to the next message and leaves it to `take`. False where `take` would return null. */
  find(walk: Walk): boolean {
    if (this.#found !== null) return true;
    const node = this.#walk(walk);
    if (node !== null) this.#found = { node, topic: node.message!.topic };
    return node !== null;
  }

  /** Returns where the next message stands. */
  #walk(walk: Walk): Node | null {
    for (let top = this.#branches.length - 1; top >= 0; top = this.#branches.length - 1) {
      if (walk.stepsLeft <= 0) return null;
      walk.stepsLeft--;
      const { value: node, done } = this.#branches[top]!.next();
      if (done) {
        this.#branches.pop();
        this.#indexes.pop();
      } else {
        const entered = this.#enter(node, this.#indexes[top]!);
        if (entered !== null && entered.message !== null) return entered;
      }
    }
    this.isDone = true;
    return null;
  }

  /** Goes down from `node` to where the filter ends or branches; returns that place if it matches. */
  #enter(node: Node, index: number): Node | null {
    for (;;) {
      for (const each of node.tail) {
        const wanted = this.#levels[index];
        if (wanted === '#') break;
        if (wanted !== each && wanted !== '+') return null;
        index++;
      }
      const level = this.#levels[index];
      if (level === undefined) return node;
      if (level === '#') {
        this.#branch(node, index);
        // `a/#` matches `a` as well. [MQTT5 4.7.1.2]
        return node;
      }
      index++;
      if (level === '+') {
        this.#branch(node, index);
        return null;
      }
      const child = node.child(level);
      if (child === undefined) return null;
      node = child;
    }
  }

  #branch(node: Node, index: number): void {
    if (node.isLeaf) return;
    this.#branches.push(node.children());
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
 * The retained messages that a new subscription is still to be sent, read as there is room for them: a subscription to
 * `#` fills no buffer, and a message that was replaced meanwhile is sent as it is now.
 */
export interface Replay {
  /** As it was when it asked for them, in the class that it has now. */
  subscription: Subscription;
  readonly messages: RetainedMatches;
}
