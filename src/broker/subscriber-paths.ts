/**
 * For whom bridges subscribe. A bridge with `forward: subscribed` has filters that clients of another broker have
 * subscribed to, or of one behind that. Of each filter it is known by which brokers that has come (its *paths*, from
 * the broker with the subscriber on), so that no broker is told what only it wants: else the bridges of a ring would
 * keep each other's subscriptions for ever.
 *
 * A subscription without paths is a client's own.
 */
import type { ClientSession } from '../core/client-session.ts';

/** Ids of brokers with commas between them; that of the subscriber first. */
export type Path = string;

/** In SUBSCRIBE: the paths of each of its filters, in their order. */
export const pathsProperty = 'sluice-subscribers';

/** A filter that has come through more brokers is told to none. */
const brokersMax = 32;
/** A filter that is wanted at more brokers is told as if this one's clients wanted it. */
export const originsMax = 8;
/** Of the paths of all filters. What is more counts as a client's own. */
export const pathBytesMax = 16_777_216;

const form = /^[\w-]{1,32}(,[\w-]{1,32}){0,31}$/;

/** `a,b c`, one such for each filter, with semicolons between these. */
export const pathsText = (paths: readonly (readonly Path[])[]) => paths.map((each) => each.join(' ')).join(';');

/** Of the filter at this place; null: it is a client's own. */
export function pathsAt(text: string | undefined, index: number): readonly Path[] | null {
  const paths = text?.split(';')[index]?.split(' ') ?? [];
  return arePaths(paths) ? paths : null;
}

export const arePaths = (paths: readonly unknown[]): paths is readonly Path[] =>
  paths.length > 0 && paths.length <= originsMax && paths.every((each) => typeof each === 'string' && form.test(each));

/** Of paths to the same broker one, the shortest. Null: these are too many. */
export function onePerOrigin(paths: Iterable<Path>): readonly Path[] | null {
  const found = new Map<string, Path>();
  for (const path of paths) {
    const origin = originOf(path);
    const known = found.get(origin);
    if (known === undefined || lengthOf(path) < lengthOf(known)) found.set(origin, path);
  }
  return found.size > originsMax ? null : [...found.values()].sort();
}

const originOf = (path: Path) => path.split(',', 1)[0]!;
const lengthOf = (path: Path) => path.split(',').length;

export class SubscriberPaths {
  /** By topic filter. */
  readonly #paths = new Map<ClientSession, Map<string, readonly Path[]>>();
  #bytes = 0;
  /** Filters that bridges of other brokers have asked about: see `DemandTeller`. */
  asks = 0;
  readonly #listeners = new Set<() => void>();

  /** Whether there are any, so that it matters who has subscribed to a filter. */
  get areThere(): boolean {
    return this.#paths.size > 0;
  }

  /** Null: a client of this broker wants it. */
  of(session: ClientSession, topicFilter: string): readonly Path[] | null {
    return this.#paths.get(session)?.get(topicFilter) ?? null;
  }

  /** `paths`: null takes them away. */
  set(session: ClientSession, topicFilter: string, paths: readonly Path[] | null): void {
    const known = this.of(session, topicFilter);
    if (known === paths || (known !== null && paths !== null && known.join(' ') === paths.join(' '))) return;
    const bytes = paths === null ? 0 : bytesOf(topicFilter, paths);
    if (this.#bytes + bytes > pathBytesMax) this.#forgetEnded();
    const filters = this.#paths.get(session) ?? new Map<string, readonly Path[]>();
    if (known !== null) this.#bytes -= bytesOf(topicFilter, known);
    filters.delete(topicFilter);
    if (paths !== null && this.#bytes + bytes <= pathBytesMax) {
      filters.set(topicFilter, paths);
      this.#bytes += bytes;
    }
    if (filters.size > 0) this.#paths.set(session, filters);
    else this.#paths.delete(session);
    this.#tell();
  }

  /** All of a session. */
  forget(session: ClientSession): void {
    if (this.#drop(session)) this.#tell();
  }

  #drop(session: ClientSession): boolean {
    for (const [topicFilter, paths] of this.#paths.get(session) ?? []) this.#bytes -= bytesOf(topicFilter, paths);
    return this.#paths.delete(session);
  }

  #forgetEnded(): void {
    for (const session of [...this.#paths.keys()]) if (session.isEnded) this.#drop(session);
  }

  /** Calls back with each change, until what it returns is called. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  /** A path that a filter of these subscribers has from this broker to another; null: none leads there. */
  static toward(paths: readonly Path[], own: string, other: string | null): readonly Path[] | null {
    const found = onePerOrigin(
      paths
        .filter((path) => !hasBeenAt(path, own) && !(other !== null && hasBeenAt(path, other)))
        .filter((path) => lengthOf(path) < brokersMax)
        .map((path) => `${path},${own}`),
    );
    return found === null ? [own] : found.length === 0 ? null : found;
  }
}

const hasBeenAt = (path: Path, broker: string) => path.split(',').includes(broker);
const bytesOf = (topicFilter: string, paths: readonly Path[]) =>
  200 + topicFilter.length + paths.reduce((sum, path) => sum + path.length + 50, 0);
