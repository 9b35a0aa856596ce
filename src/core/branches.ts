/**
 * What the trees of topic levels have in common: the branches of a node, by level.
 */

const none: readonly never[] = [];

export abstract class Branches<Node extends Branches<Node>> {
  /** The branch, while it is the only one; a map only once there are several, since most nodes of long topics have one. */
  #onlyLevel: string | null = null;
  #only: Node | null = null;
  #several: Map<string, Node> | null = null;

  get isLeaf(): boolean {
    return this.#only === null && this.#several === null;
  }

  child(level: string): Node | undefined {
    if (this.#several !== null) return this.#several.get(level);
    return this.#onlyLevel === level ? this.#only! : undefined;
  }

  addChild(level: string, child: Node): Node {
    if (this.#only !== null) {
      this.#several = new Map([[this.#onlyLevel!, this.#only]]);
      this.#onlyLevel = this.#only = null;
    }
    if (this.#several !== null) this.#several.set(level, child);
    else {
      this.#onlyLevel = level;
      this.#only = child;
    }
    return child;
  }

  removeChild(level: string): void {
    if (this.#several === null) this.#onlyLevel = this.#only = null;
    else {
      this.#several.delete(level);
      if (this.#several.size === 0) this.#several = null;
    }
  }

  /** What is added or removed meanwhile may appear or not. */
  children(): Iterator<Node> {
    if (this.#several !== null) return this.#several.values();
    return (this.#only === null ? none : [this.#only]).values();
  }
}
