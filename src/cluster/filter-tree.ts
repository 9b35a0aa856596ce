/** Which of many topic filters match a topic: a walk along the levels of the topic, however many filters there are. */

interface Node<Value> {
  readonly below: Map<string, Node<Value>>;
  /** Of the filter that ends here. */
  value: Value | null;
}

const newNode = <Value>(): Node<Value> => ({ below: new Map(), value: null });

export class FilterTree<Value> {
  readonly #root = newNode<Value>();

  set(filter: string, value: Value): void {
    let node = this.#root;
    for (const level of filter.split('/')) {
      const next = node.below.get(level) ?? newNode<Value>();
      node.below.set(level, next);
      node = next;
    }
    node.value = value;
  }

  get(filter: string): Value | null {
    let node: Node<Value> | undefined = this.#root;
    for (const level of filter.split('/')) node = node?.below.get(level);
    return node?.value ?? null;
  }

  delete(filter: string): void {
    const way: [Node<Value>, string][] = [];
    let node = this.#root;
    for (const level of filter.split('/')) {
      const next = node.below.get(level);
      if (next === undefined) return;
      way.push([node, level]);
      node = next;
    }
    node.value = null;
    for (const [above, level] of way.reverse()) {
      const { below, value } = above.below.get(level)!;
      if (below.size > 0 || value !== null) return;
      above.below.delete(level);
    }
  }

  /** The values of all filters that match. */
  matching(topicName: string): Value[] {
    const found: Value[] = [];
    const add = (node: Node<Value> | undefined) => {
      if (node !== undefined && node.value !== null) found.push(node.value);
    };
    let nodes = [this.#root];
    for (const [depth, level] of topicName.split('/').entries()) {
      // Wildcards in the first level do not match it. [MQTT5 4.7.2-1]
      const isHidden = depth === 0 && level.startsWith('$');
      const next: Node<Value>[] = [];
      for (const { below } of nodes) {
        if (!isHidden) add(below.get('#'));
        for (const each of isHidden ? [level] : [level, '+']) {
          const node = below.get(each);
          if (node !== undefined) next.push(node);
        }
      }
      nodes = next;
    }
    for (const node of nodes) {
      add(node);
      // It matches the level above it as well. [MQTT5 4.7.1.2]
      add(node.below.get('#'));
    }
    return found;
  }
}
