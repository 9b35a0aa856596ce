/**
 * Which filters the peer knows of the bridge, over connections and restarts: what is not wanted any more is
 * unsubscribed, and before MQTT 5.0 what is there already is not subscribed again.
 */
import type { Notes } from '../broker/notes.ts';
import type { WantedEntry } from './demand.ts';

export interface PeerFiltersOptions {
  readonly notes: Notes;
  /** Of the bridge. */
  readonly name: string;
  /** The peer has the session of before. */
  readonly sessionPresent: boolean;
  /** To subscribe again brings nothing that is retained. */
  readonly knowsRetainHandling: boolean;
  /** It is to know for whom they are. */
  readonly hasPaths: boolean;
}

/** Filters that the peer has answered, and others that it may have: it was asked for them, or to forget them. */
const answeredNote = (bridge: string) => `bridge/in/filters/${bridge}`;
const askedNote = (bridge: string) => `bridge/in/asked/${bridge}`;

export class PeerFilters {
  readonly #options: PeerFiltersOptions;
  readonly #answered: ReadonlySet<string>;
  readonly #asked: Set<string>;
  /** On this connection; null: nothing yet. */
  #wanted: ReadonlyMap<string, WantedEntry> | null = null;

  constructor(options: PeerFiltersOptions) {
    this.#options = options;
    this.#answered = new Set(options.sessionPresent ? this.#read(answeredNote) : []);
    this.#asked = new Set(options.sessionPresent ? [...this.#answered, ...this.#read(askedNote)] : []);
  }

  #read(note: typeof answeredNote): string[] {
    const { notes, name } = this.#options;
    return JSON.parse(notes.get(note(name))?.toString() ?? '[]');
  }

  #write(note: typeof answeredNote, filters: Iterable<string>): void {
    const { notes, name } = this.#options;
    notes.put(note(name), Buffer.from(JSON.stringify([...filters])));
  }

  /**
   * What is wanted from now on. Returns what the peer is to be told. `isFixed`: it is the same with every connection.
   */
  want(
    entries: readonly WantedEntry[],
    isFixed: boolean,
  ): { readonly gone: readonly string[]; readonly missing: readonly WantedEntry[] } {
    const { knowsRetainHandling, hasPaths } = this.#options;
    const before = this.#wanted;
    const wanted = new Map<string, WantedEntry>();
    // Of several entries with one filter, the first has its topics.
    for (const each of entries) if (!wanted.has(each.filter)) wanted.set(each.filter, each);
    this.#wanted = wanted;
    const gone = [...(before?.keys() ?? this.#asked)].filter((filter) => !wanted.has(filter));
    const isMissing = (entry: WantedEntry) => {
      if (before === null) return knowsRetainHandling || !this.#answered.has(entry.filter);
      const known = before.get(entry.filter);
      return known === undefined || (hasPaths && pathsOf(known) !== pathsOf(entry));
    };
    for (const filter of wanted.keys()) this.#asked.add(filter);
    // They are asked for once this is stored.
    if (!isFixed) this.#write(askedNote, this.#asked);
    return { gone, missing: [...wanted.values()].filter(isMissing) };
  }

  /** All that was asked for is answered. */
  answered(): void {
    this.#write(answeredNote, this.#wanted?.keys() ?? []);
  }

  /** The peer has forgotten these. */
  gone(filters: readonly string[]): void {
    for (const filter of filters) if (this.#wanted?.has(filter) !== true) this.#asked.delete(filter);
    this.#write(
      answeredNote,
      [...this.#read(answeredNote)].filter((filter) => !filters.includes(filter)),
    );
    this.#write(askedNote, this.#asked);
  }
}

const pathsOf = ({ paths }: WantedEntry) => paths?.join(' ');

/** The bridge is gone. */
export function forgetPeerFilters(notes: Notes, bridge: string): void {
  for (const note of [answeredNote, askedNote]) notes.delete(note(bridge));
}
