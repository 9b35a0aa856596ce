/**
 * `forward: subscribed` of what goes out: what is subscribed to at the peer, as that tells on each connection
 * (`broker/demand-teller.ts`). Until it has, and while there is no connection, everything is wanted: it waits, and what
 * turns out to be wanted by nobody is passed over. So nothing is lost for who subscribed there before.
 */
import type { Announcement } from '../broker/demand-teller.ts';
import { demandPrefix } from '../broker/demand-teller.ts';
import { filtersMax } from '../broker/filter-demand.ts';
import type { Notes } from '../broker/notes.ts';
import { arePaths, type Path } from '../broker/subscriber-paths.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { covers, matches, parseFilter, type Topic } from '../protocol/topic.ts';
import { coverOf, type WantedEntry } from './demand.ts';
import { type TopicEntry, type TopicMap, targetOf } from './topic-map.ts';

export interface PeerDemandOptions {
  readonly notes: Notes;
  /** Of the bridge. */
  readonly name: string;
  /** Of what goes out. */
  readonly topics: TopicMap;
}

/** What is to be subscribed to here. */
export interface OutEntry extends WantedEntry {
  /** Of the settings. */
  readonly entry: TopicEntry;
  /** What is retained is not for the peer: it has gone before, or nobody there wants it yet. */
  readonly isRetainedDone: boolean;
}

type Heard = ReadonlyMap<string, readonly Path[]>;

/** Filters whose retained messages have gone. */
const noteOf = (bridge: string) => `bridge/out/wanted/${bridge}`;

export class PeerDemand {
  readonly #options: PeerDemandOptions;
  readonly #entries: readonly TopicEntry[];
  /** By what is asked for. Null: all is wanted, by whomever. */
  #heard = new Map<string, Heard | null>();
  #isAsked = false;
  /** Whether topics at the peer are wanted, as far as that was looked for. */
  #known = new WeakMap<Topic, boolean>();

  constructor(options: PeerDemandOptions) {
    this.#options = options;
    this.#entries = options.topics.entries.filter(({ forward }) => forward === 'subscribed');
  }

  get isAsked(): boolean {
    return this.#isAsked;
  }

  /** What the peer is to be asked about. */
  get #targets(): string[] {
    return [...new Set(this.#entries.map(targetOf))];
  }

  /** What is to be subscribed to at the peer on a new connection, to be told. */
  ask(): TopicEntry[] {
    this.#isAsked = this.#entries.length > 0;
    return this.#targets.map((target) => {
      const filter = demandPrefix + target;
      return { ...this.#entries[0]!, filter, qos: 0, retain: 'as-published' };
    });
  }

  /** The peer cannot tell what is wanted: everything is. */
  takeAll(): void {
    this.#isAsked = this.#entries.length > 0;
    for (const each of this.#targets) this.#heard.set(each, null);
  }

  /** There is no connection any more. */
  forget(): void {
    this.#isAsked = false;
    this.#heard = new Map();
    this.#known = new WeakMap();
  }

  /** The peer does not say what is wanted of this. */
  refused(topicFilter: string): void {
    if (!topicFilter.startsWith(demandPrefix)) return;
    this.#heard.set(topicFilter.slice(demandPrefix.length), null);
    this.#known = new WeakMap();
  }

  /** What was asked is answered, or nothing was. */
  get isKnown(): boolean {
    return !this.#isAsked || this.#targets.every((each) => this.#heard.has(each));
  }

  hear(payload: Buffer): void {
    const said = read(payload);
    if (said === null || !this.#targets.includes(said.filter)) {
      throw new ProtocolError(ReasonCode.ProtocolError, `The peer says in no known form what is subscribed to`);
    }
    this.#heard.set(
      said.filter,
      said.wanted === null ? null : new Map(said.wanted.map(([each, ...paths]) => [each, paths])),
    );
    this.#known = new WeakMap();
  }

  /** What is to be subscribed to here. */
  wanted(): OutEntry[] {
    const done = this.#done;
    const isDone = (filter: string) => done.some((each) => covers(each, filter));
    const isAnswered = this.#isAsked && this.isKnown;
    const entries = this.#options.topics.entries.flatMap((entry): OutEntry[] => {
      if (entry.forward === 'all') return [{ ...entry, entry, paths: null, isRetainedDone: false }];
      const heard = isAnswered ? (this.#heard.get(targetOf(entry)) ?? null) : null;
      if (heard === null)
        return [{ ...entry, entry, paths: null, isRetainedDone: !isAnswered || isDone(entry.filter) }];
      return coverOf(heard, entry).map((each) => ({ ...each, entry, isRetainedDone: isDone(each.filter) }));
    });
    if (isAnswered) this.#done = entries.filter(({ forward }) => forward === 'subscribed').map(({ filter }) => filter);
    return entries;
  }

  get #done(): readonly string[] {
    return JSON.parse(this.#options.notes.get(noteOf(this.#options.name))?.toString() ?? '[]');
  }

  set #done(filters: readonly string[]) {
    const text = JSON.stringify(filters);
    if (text === JSON.stringify(this.#done)) return;
    this.#options.notes.put(noteOf(this.#options.name), Buffer.from(text));
  }

  /** Whether anybody at the peer wants what has this topic there. */
  isWanted(topic: Topic): boolean {
    if (!this.#isAsked) return true;
    let isWanted = this.#known.get(topic);
    if (isWanted === undefined) this.#known.set(topic, (isWanted = this.#mayBeWanted(topic.name)));
    return isWanted;
  }

  #mayBeWanted(name: string): boolean {
    const { entries } = this.#options.topics;
    const some = entries.filter((entry) => matches(targetOf(entry), name));
    return some.length === 0 || some.some((entry) => this.#hasSubscriber(entry, name));
  }

  #hasSubscriber(entry: TopicEntry, name: string): boolean {
    if (entry.forward === 'all') return true;
    const heard = this.#heard.get(targetOf(entry)) ?? null;
    return heard === null || [...heard.keys()].some((filter) => matches(filter, name));
  }
}

/** Null: it has no such form. */
function read(payload: Buffer): Announcement | null {
  let said: Partial<Announcement> | null;
  try {
    said = JSON.parse(payload.toString());
  } catch {
    return null;
  }
  if (typeof said?.filter !== 'string' || said.wanted === undefined) return null;
  if (said.wanted === null) return said as Announcement;
  if (!Array.isArray(said.wanted) || said.wanted.length > filtersMax) return null;
  return said.wanted.every(isWanted) ? (said as Announcement) : null;
}

function isWanted(item: unknown): boolean {
  if (!Array.isArray(item)) return false;
  const [filter, ...paths] = item;
  return typeof filter === 'string' && parseFilter(filter)?.shareName === null && arePaths(paths);
}

/** The bridge is gone. */
export function forgetPeerDemand(notes: Notes, bridge: string): void {
  notes.delete(noteOf(bridge));
}
