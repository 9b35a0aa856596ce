/**
 * A tree of topic levels. Levels with nothing but one way through them have no node of their own: they are the tail of
 * the node at their end. So a topic of a thousand levels costs no more nodes than one of two.
 */

import { ShardedMap } from '../base/sharded-map.ts';

const none: readonly never[] = [];
/** Branches of one node, beyond which they no longer stand in one map. */
const oneMapMax = 4_096;

export abstract class LevelNode<Self extends LevelNode<Self>> {
  /** The levels between the branch that leads here and what is here. */
  tail: readonly string[] = none;
  /** The branch for `+`: a name is looked for there at each of its levels. */
  plus: Self | null = null;
  /** The other branch, while it is the only one; a map only once there are several. */
  #onlyLevel: string | null = null;
  #only: Self | null = null;
  #several: Map<string, Self> | ShardedMap<string, Self> | null = null;

  /** Whether anything is filed here. */
  protected abstract get isInUse(): boolean;
  /** Moves what is filed here to a node that is new. */
  protected abstract moveTo(lower: Self): void;
  protected abstract make(): Self;

  get isLeaf(): boolean {
    return this.#only === null && this.#several === null && this.plus === null;
  }

  /** The branch for a level of a name, which is not `+`. */
  child(level: string): Self | undefined {
    if (this.#several !== null) return this.#several.get(level);
    return this.#onlyLevel === level ? this.#only! : undefined;
  }

  /** All branches but that for `+`. What is added or removed meanwhile may appear or not. */
  children(): Iterator<Self> {
    if (this.#several !== null) return this.#several.values();
    return (this.#only === null ? none : [this.#only]).values();
  }

  /** The node that is so many levels below this one, if there is one. */
  descend(levels: readonly string[]): Self | undefined {
    let node: LevelNode<Self> = this;
    for (let at = 0; at < levels.length; ) {
      const child = node.#branch(levels[at]!);
      if (child === undefined || sharedLevels(child.tail, levels, at + 1) < child.tail.length) return undefined;
      at += 1 + child.tail.length;
      node = child;
    }
    return node as Self;
  }

  /** The same, and makes it where there is none. */
  grow(levels: readonly string[]): Self {
    let node: LevelNode<Self> = this;
    for (let at = 0; at < levels.length; ) {
      const level = levels[at++]!;
      const child: Self = node.#branch(level) ?? node.#attach(level, this.make(), levels.slice(at));
      const shared = sharedLevels(child.tail, levels, at);
      if (shared < child.tail.length) child.#split(shared);
      at += shared;
      node = child;
    }
    return node as Self;
  }

  /**
   * Takes away the node that is so many levels below this one, and those on the way to it, if they are of no use any
   * more.
   */
  prune(levels: readonly string[], at = 0): void {
    const level = levels[at];
    if (level === undefined) return;
    const child = this.#branch(level)!;
    child.prune(levels, at + 1 + child.tail.length);
    if (child.isLeaf && !child.isInUse) this.#remove(level);
  }

  #branch(level: string): Self | undefined {
    return level === '+' ? (this.plus ?? undefined) : this.child(level);
  }

  #attach(level: string, child: Self, tail: readonly string[]): Self {
    if (tail.length > 0) child.tail = tail;
    if (level === '+') return (this.plus = child);
    if (this.#only !== null) {
      this.#several = new Map([[this.#onlyLevel!, this.#only]]);
      this.#onlyLevel = this.#only = null;
    }
    if (this.#several?.size === oneMapMax && this.#several instanceof Map)
      this.#several = new ShardedMap(this.#several);
    if (this.#several !== null) this.#several.set(level, child);
    else {
      this.#onlyLevel = level;
      this.#only = child;
    }
    return child;
  }

  #remove(level: string): void {
    if (level === '+') this.plus = null;
    else if (this.#several === null) this.#onlyLevel = this.#only = null;
    else {
      this.#several.delete(level);
      if (this.#several.size === 0) this.#several = null;
    }
  }

  /**
   * Ends so many levels down its tail, and has the rest below it: who is on a walk finds each node in the place where
   * it was.
   */
  #split(at: number): void {
    const lower = this.make();
    this.moveTo(lower);
    lower.plus = this.plus;
    lower.#onlyLevel = this.#onlyLevel;
    lower.#only = this.#only;
    lower.#several = this.#several;
    this.plus = this.#onlyLevel = this.#only = this.#several = null;
    this.#attach(this.tail[at]!, lower, this.tail.slice(at + 1));
    this.tail = this.tail.slice(0, at);
  }
}

/** How many levels of the tail are those from `at` on. */
function sharedLevels(tail: readonly string[], levels: readonly string[], at: number): number {
  let count = 0;
  while (count < tail.length && tail[count] === levels[at + count]) count++;
  return count;
}
