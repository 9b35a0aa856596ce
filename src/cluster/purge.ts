/**
 * How far the log may be purged: what no node needs any more, and has not needed for a while.
 *
 * A session that moves is for a moment in the record of neither node, and a record that is read may be outdated. So
 * what was needed at any time within the last minute stays, and so does whatever is younger than that: the newest entry
 * of a node, too, without which no fence would refuse it.
 */
import type { Sequence } from '../contracts/cluster-engine.ts';
import { mayFallTo, type NodeRecord } from './node-record.ts';

/** A living node writes to the log far more often than this. */
export const purgeKeptMs = 60_000;

interface Sample {
  readonly at: number;
  /** Up to here no node needs anything. */
  readonly needed: Sequence;
  /** The end of the log. */
  readonly last: Sequence;
}

/** Of one partition. */
export class PurgeLimit {
  readonly #partition: number;
  readonly #keptMs: number;
  readonly #of: 'low' | 'at';
  readonly #samples: Sample[] = [];

  /** `at`: up to where nobody asks any more what was so before an entry, which is the checkpoint. */
  constructor(partition: number, keptMs: number = purgeKeptMs, of: 'low' | 'at' = 'low') {
    this.#of = of;
    this.#partition = partition;
    this.#keptMs = keptMs;
  }

  /**
   * Some times a minute, by the time of this node; `last` is where its tail is, and `retained` the first entry with
   * something that is retained. Returns up to where the log may be purged; 0: it may not.
   */
  look(now: number, nodes: ReadonlyMap<string, NodeRecord>, last: Sequence, retained: Sequence): Sequence {
    const samples = this.#samples;
    const needed = Math.min(this.#neededAfter(nodes, last), retained - 1);
    samples.push({ at: now, needed, last });
    // One that is as old as that, or older, stays: it says what the log was then.
    while (samples.length > 1 && samples[1]!.at <= now - this.#keptMs) samples.shift();
    const [oldest] = samples;
    if (oldest === undefined || oldest.at > now - this.#keptMs) return 0;
    return Math.min(oldest.last, ...samples.map(({ needed }) => needed));
  }

  #neededAfter(nodes: ReadonlyMap<string, NodeRecord>, last: Sequence): Sequence {
    let lowest = last;
    for (const [id, record] of nodes) {
      if (record.state === 'dead' && isDoneWith(id, nodes)) continue;
      const first = this.#of === 'low' ? (record.low[this.#partition] ?? 0) - 1 : (record.at[this.#partition] ?? 0);
      lowest = Math.min(lowest, Math.max(0, first));
    }
    return lowest;
  }
}

/** Whether all that may inherit from a dead node, and live, have taken in its sessions. */
function isDoneWith(dead: string, nodes: ReadonlyMap<string, NodeRecord>): boolean {
  const living = [...nodes].filter(([, { state }]) => state !== 'dead');
  const heirs = living.filter(([id]) => mayFallTo(id, dead, nodes));
  return heirs.length > 0 && heirs.every(([, { adopted }]) => adopted.includes(dead));
}
