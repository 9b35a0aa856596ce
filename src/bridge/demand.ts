/**
 * `forward: subscribed`: what a bridge subscribes to at its peer, of the entries of `topics` for which that is only
 * what somebody here has subscribed to. Told by the core of each change; looked at once the core is at rest.
 */
import type { BrokerContext } from '../broker/broker-context.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { Core } from '../core/core.ts';
import { covers, meet } from '../protocol/topic.ts';
import type { TopicEntry, TopicMap } from './topic-map.ts';

type FilterWatch = ReturnType<Core['watchFilters']>;

export interface DemandOptions {
  readonly context: BrokerContext;
  /** Of what comes in. */
  readonly topics: TopicMap;
  /** What these subscribe to is asked for by the peer itself. */
  readonly isOwn: (session: ClientSession) => boolean;
  /** `wanted` is other than before, or may be. */
  readonly onChange: () => void;
}

/** Beyond so many filters of one entry, all of the entry is subscribed to. */
export const filtersMax = 200;
/** Subscriptions that are looked at in one step. */
const looksPerStep = 200;

export class Demand {
  readonly #options: DemandOptions;
  readonly #watches = new Map<TopicEntry, FilterWatch>();
  #isTold = false;
  #isClosed = false;

  constructor(options: DemandOptions) {
    this.#options = options;
    const { context, topics, isOwn } = options;
    for (const entry of topics.entries) {
      if (entry.forward === 'all') continue;
      const watch = context.core.watchFilters({
        filter: entry.local,
        most: filtersMax,
        counts: (session) => !isOwn(session),
        onChange: () => this.#changed(),
        onLookAgain: () => this.#look(watch),
      });
      this.#watches.set(entry, watch);
      this.#look(watch);
    }
  }

  #look(watch: FilterWatch): void {
    const { scheduler } = this.#options.context;
    scheduler.jobs.queueBackground(() => !this.#isClosed && watch.step(looksPerStep));
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
    return [...this.#watches.values()].every(({ isKnown }) => isKnown);
  }

  /** It is never other than the settings have it. */
  get isFixed(): boolean {
    return this.#watches.size === 0;
  }

  /** What is to be subscribed to at the peer. */
  get wanted(): TopicEntry[] {
    return this.#options.topics.entries.flatMap((entry) => {
      const watch = this.#watches.get(entry);
      if (watch === undefined) return [entry];
      if (watch.found === null) return watch.isKnown ? [entry] : [];
      return coverOf(watch.found, entry);
    });
  }

  close(): void {
    this.#isClosed = true;
    for (const watch of this.#watches.values()) this.#options.context.core.unwatchFilters(watch);
  }
}

/** Filters at the peer, none of which has all that another one has: some brokers send a message once for each. */
function coverOf(found: ReadonlySet<string>, entry: TopicEntry): TopicEntry[] {
  const { local, from, to } = entry;
  const all = new Set([...found].map((each) => from + meet(each, local)!.slice(to.length)));
  const isCovered = (filter: string) => [...all].some((other) => other !== filter && covers(other, filter));
  return [...all].filter((each) => !isCovered(each)).map((filter) => ({ ...entry, filter }));
}
