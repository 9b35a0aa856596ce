/**
 * Topics to which messages came and nobody had subscribed, in a table of fixed size: where it is full, a new one
 * displaces one that has not been published to for long.
 *
 * Each topic knows its entry, so one more message costs two looks and two writes.
 */
import { cutText } from '../base/cut-text.ts';
import type { Walk } from '../base/pages.ts';
import { TtlTable } from '../base/ttl-table.ts';
import type { Topic } from '../protocol/topic.ts';

const topicCharacters = 256;

export class UnmatchedTopic {
  readonly topic: string;
  /** Who published the first one: see `protocol/publisher.ts`. */
  readonly publisher: string | null;
  readonly time: number;
  count = 0;
  lastTime: number;
  /** Another topic has its place. */
  isDisplaced = false;

  constructor(topic: string, publisher: string | null, now: number) {
    this.topic = topic;
    this.publisher = publisher;
    this.time = this.lastTime = now;
  }

  /** For the table: those that were seen last stay. */
  get until(): number {
    return this.lastTime;
  }
}

export class UnmatchedTopics {
  readonly #table: TtlTable<UnmatchedTopic>;
  readonly #most: number;

  /** 0: nothing is counted. */
  constructor(most: number) {
    this.#most = most;
    this.#table = new TtlTable(most);
  }

  add(topic: Topic, publisher: string | null, now: number): void {
    let entry = topic.unmatched as UnmatchedTopic | null;
    if (entry === null || entry.isDisplaced) {
      if (this.#most === 0) return;
      entry = this.#entryFor(topic, publisher, now);
    }
    entry.count++;
    entry.lastTime = now;
  }

  #entryFor(topic: Topic, publisher: string | null, now: number): UnmatchedTopic {
    const name = cutText(topic.name, topicCharacters);
    let entry = this.#table.get(name, Number.NEGATIVE_INFINITY);
    if (entry === null) {
      entry = new UnmatchedTopic(name, publisher, now);
      const displaced = this.#table.set(name, entry);
      if (displaced !== null) displaced.isDisplaced = true;
    }
    topic.unmatched = entry;
    return entry;
  }

  /** Those with the most messages first. */
  *walk(): Walk<UnmatchedTopic> {
    const all = [...this.#table.entries(Number.NEGATIVE_INFINITY)].map(([, entry]) => entry);
    yield* all.sort((one, other) => other.count - one.count);
  }
}
