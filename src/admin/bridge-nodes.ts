/** Bridges of a cluster, each as the node says that it runs at; the others stand by. */
import type { BridgeView } from '../contracts/commands/bridges.ts';

interface OfNode {
  readonly node: string;
  readonly bridges: readonly BridgeView[];
}

export function joinBridges(answers: readonly OfNode[]): BridgeView[] {
  const byName = new Map<string, { view: BridgeView; node: string | undefined; readonly standbys: string[] }>();
  for (const { node, bridges } of answers) {
    for (const view of bridges) {
      const joined = byName.get(view.name) ?? { view, node: undefined, standbys: [] };
      byName.set(view.name, joined);
      // Where it has just moved, two may say that it is there: the one that came later is right.
      const isThere = view.state !== 'standby' && (joined.node === undefined || view.since > joined.view.since);
      const left = isThere ? joined.node : node;
      if (left !== undefined) joined.standbys.push(left);
      if (isThere) Object.assign(joined, { view, node });
    }
  }
  const all = [...byName.values()].map(({ view, node, standbys }) => {
    return { ...view, ...(node !== undefined && { node }), standbys: standbys.sort() };
  });
  return all.sort((one, other) => (one.name < other.name ? -1 : 1));
}
