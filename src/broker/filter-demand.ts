/**
 * What clients of this broker have subscribed to, of the topics of one filter, for another broker that is to send only
 * that; and what further bridges have subscribed to, unless that comes from the other broker.
 */
import type { Scheduler } from '../base/scheduler.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { Core } from '../core/core.ts';
import { type Path, SubscriberPaths } from './subscriber-paths.ts';

type FilterWatch = ReturnType<Core['watchFilters']>;

export interface FilterDemandOptions {
  readonly context: {
    readonly core: Core;
    readonly scheduler: Scheduler;
    readonly subscriberPaths: SubscriberPaths;
  };
  /** Of this broker. */
  readonly brokerId: string;
  /** Without a share name. */
  readonly filter: string;
  /** What these have subscribed to is for the other broker. */
  readonly isOwn: (session: ClientSession) => boolean;
  /** Something may be other than before. Called while the core is at work. */
  readonly onChange: () => void;
}

/** Beyond so many filters, all topics are wanted. */
export const filtersMax = 200;
/** Subscriptions that are looked at in one step. */
const looksPerStep = 200;

export class FilterDemand {
  readonly #options: FilterDemandOptions;
  readonly #watch: FilterWatch;
  readonly #unwatchPaths: () => void;
  #isClosed = false;

  constructor(options: FilterDemandOptions) {
    this.#options = options;
    const { context, filter, isOwn, onChange } = options;
    this.#watch = context.core.watchFilters({
      ...{ filter, most: filtersMax, onChange },
      counts: (session) => !isOwn(session),
      asksWho: () => context.subscriberPaths.areThere,
      onLookAgain: () => this.#look(),
    });
    this.#unwatchPaths = context.subscriberPaths.watch(onChange);
    this.#look();
  }

  #look(): void {
    const { scheduler } = this.#options.context;
    scheduler.jobs.queueBackground(() => !this.#isClosed && this.#watch.step(looksPerStep));
  }

  /** Whether all subscriptions that were there at the beginning have been looked at. */
  get isKnown(): boolean {
    return this.#watch.isKnown;
  }

  /**
   * Filters and their paths, for the other broker. Null: they are too many, so all topics are wanted. `other`: its id;
   * null: it has none.
   */
  wanted(other: string | null): ReadonlyMap<string, readonly Path[]> | null {
    const { found } = this.#watch;
    if (found === null) return null;
    const wanted = new Map<string, readonly Path[]>();
    for (const filter of found) {
      const paths = this.#pathsOf(filter, other);
      if (paths !== null) wanted.set(filter, paths);
    }
    return wanted;
  }

  #pathsOf(filter: string, other: string | null): readonly Path[] | null {
    const { context, brokerId } = this.#options;
    const paths: Path[] = [];
    for (const each of this.#watch.subscribersOf(filter)) {
      const known = 'session' in each ? context.subscriberPaths.of(each.session, each.topicFilter) : null;
      if (known === null) return [brokerId];
      paths.push(...known);
    }
    return SubscriberPaths.toward(paths, brokerId, other);
  }

  close(): void {
    this.#isClosed = true;
    this.#unwatchPaths();
    this.#options.context.core.unwatchFilters(this.#watch);
  }
}
