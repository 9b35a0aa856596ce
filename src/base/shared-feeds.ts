/**
 * Feeds of values that several may read: each goes on once, from its first reader to its last, and costs the same
 * however many read it.
 */
import { Latest } from './latest.ts';

interface Feed<Value extends object> {
  readonly latest: Latest<Value>;
  readonly end: AbortController;
  readers: number;
}

export class SharedFeeds<Value extends object> {
  readonly #open = new Map<string, Feed<Value>>();

  /** Those that go on. */
  get count(): number {
    return this.#open.size;
  }

  /**
   * The newest value of the feed of this key, and each that follows, until `signal` is aborted. `begin` is called if
   * nobody reads that feed yet, with what is aborted when nobody does any more; what it throws is thrown here.
   */
  follow(key: string, begin: (signal: AbortSignal) => AsyncIterable<Value>, signal: AbortSignal): AsyncIterable<Value> {
    const feed = this.#open.get(key) ?? this.#begin(key, begin);
    feed.readers++;
    // A reader that is aborted before it reads anything leaves as well.
    let isReading = true;
    const leave = () => {
      if (!isReading) return;
      isReading = false;
      if (--feed.readers === 0) feed.end.abort();
      if (feed.readers === 0 && this.#open.get(key) === feed) this.#open.delete(key);
    };
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    return readUntil(feed.latest.values(signal), leave);
  }

  #begin(key: string, begin: (signal: AbortSignal) => AsyncIterable<Value>): Feed<Value> {
    const end = new AbortController();
    const values = begin(end.signal);
    const feed: Feed<Value> = { latest: new Latest(), end, readers: 0 };
    this.#open.set(key, feed);
    const ended = (problem: unknown = null) => {
      feed.latest.close(problem);
      if (this.#open.get(key) === feed) this.#open.delete(key);
    };
    pump(values, feed.latest).then(() => ended(), ended);
    return feed;
  }
}

async function pump<Value extends object>(values: AsyncIterable<Value>, into: Latest<Value>): Promise<void> {
  for await (const value of values) into.set(value);
}

async function* readUntil<Value>(values: AsyncIterable<Value>, end: () => void): AsyncGenerator<Value> {
  try {
    yield* values;
  } finally {
    end();
  }
}
