/**
 * `forward: subscribed` of what comes in: what a bridge subscribes to at its peer, of the entries of `topics` for which
 * that is only what somebody here has subscribed to. Told by the core of each change; looked at once the core is at
 * rest.
 */
import type { BrokerContext } from '../broker/broker-context.ts';
import { FilterDemand } from '../broker/filter-demand.ts';
import { onePerOrigin, type Path } from '../broker/subscriber-paths.ts';
import type { ClientSession } from '../core/client-session.ts';
import { covers, meet } from '../protocol/topic.ts';
import { type TopicEntry, type TopicMap, targetOf } from './topic-map.ts';

export interface DemandOptions {
  readonly context: BrokerContext;
  readonly brokerId: string;
  /** Of what comes in. */
  readonly topics: TopicMap;
  /** What these subscribe to is asked for by the peer itself. */
  readonly isOwn: (session: ClientSession) => boolean;
  /** `wanted` is other than before, or may be. */
  readonly onChange: () => void;
}

/** An entry, or a part of one; and for whom it is wanted, null: for clients of this broker. */
export interface WantedEntry extends TopicEntry {
  readonly paths: readonly Path[] | null;
}

export class Demand {
  readonly #options: DemandOptions;
  readonly #demands = new Map<TopicEntry, FilterDemand>();
  #isTold = false;
  #isClosed = false;

  constructor(options: DemandOptions) {
    this.#options = options;
    const { context, topics, isOwn, brokerId } = options;
    const onChange = () => this.#changed();
    for (const entry of topics.entries) {
      if (entry.forward === 'all') continue;
      const demand = new FilterDemand({ context, brokerId, filter: targetOf(entry), isOwn, onChange });
      this.#demands.set(entry, demand);
    }
  }

  #changed(): void {
    if (this.#isTold || this.#isClosed) return;
    this.#isTold = true;
    queueMicrotask(() => {
      this.#isTold = false;
      if (!this.#isClosed && !this.#options.context.boundary.isBroken) this.#options.onChange();
    });
  }

  /** Whether all subscriptions that were there at the beginning have been looked at. */
  get isKnown(): boolean {
    return [...this.#demands.values()].every(({ isKnown }) => isKnown);
  }

  /** It is never other than the settings have it. */
  get isFixed(): boolean {
    return this.#demands.size === 0;
  }

  /** What is to be subscribed to at the peer. `peerId`: null: it is no Sluice. */
  wanted(peerId: string | null): WantedEntry[] {
    return this.#options.topics.entries.flatMap((entry) => {
      const demand = this.#demands.get(entry);
      if (demand === undefined) return [{ ...entry, paths: null }];
      if (!demand.isKnown) return [];
      const wanted = demand.wanted(peerId);
      return wanted === null ? [{ ...entry, paths: [this.#options.brokerId] }] : coverOf(wanted, entry);
    });
  }

  close(): void {
    this.#isClosed = true;
    for (const demand of this.#demands.values()) demand.close();
  }
}

/**
 * Filters where the messages come from, none of which has all that another one has: some brokers send a message once
 * for each. `wanted`: filters where they go.
 */
export function coverOf(wanted: ReadonlyMap<string, readonly Path[]>, entry: TopicEntry): WantedEntry[] {
  const { from, to } = entry;
  const target = targetOf(entry);
  const all = new Map<string, Path[]>();
  for (const [each, paths] of wanted) {
    const common = meet(each, target);
    if (common === null) continue;
    const filter = from + common.slice(to.length);
    all.set(filter, [...(all.get(filter) ?? []), ...paths]);
  }
  const isCovered = (filter: string) => [...all.keys()].some((other) => other !== filter && covers(other, filter));
  return [...all.keys()]
    .filter((each) => !isCovered(each))
    .map((filter) => {
      const paths = [...all].filter(([other]) => covers(filter, other)).flatMap(([, each]) => each);
      return { ...entry, filter, paths: onePerOrigin(paths) };
    });
}
