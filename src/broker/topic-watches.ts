/**
 * Who looks at topics, and what of each message they see. While nobody looks, the core asks nobody, and a message costs
 * nothing more.
 */
import { Latest } from '../base/latest.ts';
import type { Walk } from '../base/pages.ts';
import { CommandFailure } from '../contracts/failures.ts';
import type { RetainedView } from '../contracts/views.ts';
import type { Message } from '../protocol/message.ts';
import type { Topic } from '../protocol/topic.ts';
import { type CountRoom, LastMessage, type Place, TopicWatch } from './topic-watch.ts';

/** At one time. Each tells 200 topics apart. */
const watchesMax = 32;
/** Topics below others that are told apart, to say how many they are. */
const countedMax = 100_000;
/** Rates are made anew this often. */
const tickEveryMs = 2_000;
/** Of the tree of retained messages, for the topics that are there when a watch begins. */
const [looksPerStep, looksMax] = [100, 20_000];
/** The same for whoever searches: what they search for may be anywhere. */
const searchLooksMax = 1_000_000;

/** What a topic remembers: where messages to it count, while the same watches go on. */
interface Places {
  readonly generation: number;
  readonly all: readonly Place[];
}

interface OpenWatch {
  readonly watch: TopicWatch;
  readonly ticks: Latest<TopicWatch>;
}

export interface FollowedWatch {
  readonly watch: TopicWatch;
  readonly ticks: AsyncIterable<TopicWatch>;
}

export interface TopicWatchesOptions {
  /** Called with whom to tell of each message from now on; null: nobody. */
  readonly observe: (observer: ((message: Message) => void) | null) => void;
  readonly now: () => number;
  /** Retained messages that a filter matches. */
  readonly retained: (topicFilter: string) => Walk<RetainedView>;
  /** Repeats the step until it says that there is no more to do, with others served in between. */
  readonly work: (step: () => boolean) => void;
}

export class TopicWatches {
  readonly #options: TopicWatchesOptions;
  readonly #open = new Set<OpenWatch>();
  readonly #room: CountRoom = { left: countedMax };
  /** Rises when a watch begins or ends. */
  #generation = 0;
  /** By what they consist of: nearly all topics have theirs in common with others. */
  readonly #places = new Map<string, Places>();
  #lastTick = 0;

  constructor(options: TopicWatchesOptions) {
    this.#options = options;
  }

  /** Those that go on. */
  get count(): number {
    return this.#open.size;
  }

  /**
   * Watches what is published directly below `prefix` from now on, until `signal` is aborted. `ticks` has the watch at
   * once, and again each time that its rates were made anew. Throws a CommandFailure if there are too many.
   */
  follow(prefix: string | null, contains: string, signal: AbortSignal): FollowedWatch {
    if (this.#open.size >= watchesMax) {
      throw new CommandFailure('too-many-requests', `${watchesMax} parts of the topic tree are watched already`);
    }
    const { now } = this.#options;
    const watch = new TopicWatch({ prefix, contains, room: this.#room, since: now() });
    const open = { watch, ticks: new Latest<TopicWatch>() };
    if (this.#open.size === 0) this.#lastTick = now();
    this.#open.add(open);
    this.#changed();
    signal.addEventListener('abort', () => this.#leave(open), { once: true });
    this.#addRetained(open);
    return { watch, ticks: open.ticks.values(signal) };
  }

  #leave(open: OpenWatch): void {
    this.#open.delete(open);
    open.watch.end();
    this.#changed();
  }

  #changed(): void {
    this.#generation++;
    this.#places.clear();
    this.#options.observe(this.#open.size === 0 ? null : this.#published);
  }

  /** Topics to which nothing is published at present are there if they have a retained message. */
  #addRetained(open: OpenWatch): void {
    const { prefix, isSearch } = open.watch;
    const most = isSearch ? searchLooksMax : looksMax;
    const below = prefix === null ? '' : `${prefix}/`;
    const walks = ['+', '#'].map((wildcard) => this.#options.retained(below + wildcard));
    let looksLeft = most;
    this.#options.work(() => {
      for (let looks = looksPerStep; looks > 0; looks--) {
        const next = walks[0]!.next();
        if (next.done === true || --looksLeft === 0) {
          walks.shift();
          looksLeft = most;
          if (walks.length > 0) continue;
          open.ticks.set(open.watch);
          return false;
        }
        if (next.value !== null) open.watch.addRetained(next.value.topic);
      }
      return this.#open.has(open);
    });
  }

  readonly #published = (message: Message): void => {
    const { topic } = message;
    let places = topic.watched as Places | null;
    if (places?.generation !== this.#generation) topic.watched = places = this.#placesOf(topic);
    const now = this.#options.now();
    for (const { traffic, topic: watched } of places.all) {
      traffic.add(message.payloadBytes, now);
      if (watched !== null) (watched.last ??= new LastMessage(topic)).set(message);
    }
  };

  #placesOf({ name }: Topic): Places {
    const all: Place[] = [];
    for (const { watch } of this.#open) {
      const place = watch.placeOf(name);
      if (place !== null) all.push(place);
    }
    const key = all.map(({ traffic }) => traffic.number).join();
    let places = this.#places.get(key);
    if (places === undefined) this.#places.set(key, (places = { generation: this.#generation, all }));
    return places;
  }

  /** About ten times a second. */
  tick(now: number): void {
    if (this.#open.size === 0 || now - this.#lastTick < tickEveryMs) return;
    this.#lastTick = now;
    for (const { watch, ticks } of this.#open) {
      watch.tick(now);
      ticks.set(watch);
    }
  }

  /** The broker has ended: readers end as well. */
  close(): void {
    for (const { ticks } of this.#open) ticks.close();
  }
}
