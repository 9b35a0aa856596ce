/**
 * `throttle`, `deadband`, `on-change`, `dedupe`, `aggregate`, `batch`: less of it, at the edge.
 *
 * Each remembers something per topic, and on the way to subscribers per class of them, of at most
 * `pipelineLimits.topicStates` topics: the one that was heard of least recently is forgotten for a new one. All of it
 * is in memory: after a restart the first message of a topic passes, and what a window had gathered is lost, unless the
 * broker was stopped in order; the publishers were answered when their messages went in.
 */
import { hash } from 'node:crypto';
import type { Aggregation, PipelineLimits, StageSettings } from '../../contracts/pipeline-settings.ts';
import { StageFailure } from '../errors.ts';
import { TooLarge, weigh } from '../formats/format.ts';
import type { Item } from '../item.ts';
import { loopValueBytes } from '../loop-limits.ts';
import { type PackedValue, pack, packedBytes } from '../packed.ts';
import { getAt } from '../paths.ts';
import { Publishers, publisherIn } from '../publishers.ts';
import type { Stage, StageContext } from './stage.ts';
import type { StageTools } from './stage-tools.ts';

/** One topic in the order in which they were set. */
interface Entry<T> {
  readonly topic: string;
  state: T;
  /** Set before it, and after it. */
  older: Entry<T> | null;
  newer: Entry<T> | null;
}

/**
 * Something per topic, bounded. A `Map` alone knows an order as well, but finds its first entry by passing over all
 * that were deleted before it.
 */
class TopicStates<T> {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #max: number;
  #oldest: Entry<T> | null = null;
  #newest: Entry<T> | null = null;

  constructor({ topicStates }: PipelineLimits) {
    this.#max = topicStates;
  }

  get(topic: string): T | undefined {
    return this.#entries.get(topic)?.state;
  }

  /** The topic counts as heard of last. Returns what had to make room. */
  set(topic: string, state: T): T | undefined {
    const known = this.#entries.get(topic);
    const entry: Entry<T> = known ?? { topic, state, older: null, newer: null };
    if (known === undefined) this.#entries.set(topic, entry);
    else this.#unlink(known);
    entry.state = state;
    this.#append(entry);
    if (this.#entries.size <= this.#max) return undefined;
    const displaced = this.#oldest!;
    this.#remove(displaced);
    return displaced.state;
  }

  delete(topic: string): void {
    const entry = this.#entries.get(topic);
    if (entry !== undefined) this.#remove(entry);
  }

  /** The one that was set first. */
  get oldest(): T | undefined {
    return this.#oldest?.state;
  }

  takeAll(): T[] {
    const all: T[] = [];
    for (let entry = this.#oldest; entry !== null; entry = entry.newer) all.push(entry.state);
    this.#entries.clear();
    this.#oldest = this.#newest = null;
    return all;
  }

  #remove(entry: Entry<T>): void {
    this.#entries.delete(entry.topic);
    this.#unlink(entry);
  }

  #append(entry: Entry<T>): void {
    entry.older = this.#newest;
    if (this.#newest === null) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
  }

  #unlink(entry: Entry<T>): void {
    const { older, newer } = entry;
    if (older === null) this.#oldest = newer;
    else older.newer = newer;
    if (newer === null) this.#newest = older;
    else newer.older = older;
    entry.older = entry.newer = null;
  }
}

/** Whether less time has passed. A clock that was set back must neither silence a topic nor hold a window open. */
function isWithin(seconds: number, since: number, now: number): boolean {
  return now >= since && now - since < seconds * 1000;
}

/**
 * A subscriber that has just come gets the retained message, whatever others of its class were sent before. `look`
 * tells of the item what `run` decides by.
 */
function unlessRetained<T>(look: (item: Item) => T, run: (looked: T, key: string, now: number) => boolean): Stage {
  return {
    look: (item, { isRetained }) => (isRetained ? null : look(item)),
    run(item, { now, subscriberClass, isRetained }, looked) {
      if (isRetained) return true;
      return run(looked as T, subscriberClass === null ? item.topic : `${subscriberClass} ${item.topic}`, now);
    },
  };
}

export function throttleStage({ seconds }: { readonly seconds: number }, { limits }: StageTools): Stage {
  const passedAt = new TopicStates<number>(limits);
  const passes = (_: null, key: string, now: number) => {
    const last = passedAt.get(key);
    if (last !== undefined && isWithin(seconds, last, now)) return false;
    passedAt.set(key, now);
    return true;
  };
  return { ...unlessRetained(() => null, passes), isShort: () => true };
}

export function deadbandStage(settings: NonNullable<StageSettings['deadband']>, { limits }: StageTools): Stage {
  const { field, absolute = 0, percent = 0, maxSeconds = Number.POSITIVE_INFINITY } = settings;
  const passed = new TopicStates<{ readonly number: number; readonly at: number }>(limits);
  const look = (item: Item) => numberAt(item, field);
  return unlessRetained(look, (number, key, now) => {
    const last = passed.get(key);
    const band = Math.max(absolute, (Math.abs(last?.number ?? 0) * percent) / 100);
    const isNews = last === undefined || !isWithin(maxSeconds, last.at, now) || Math.abs(number - last.number) >= band;
    passed.set(key, isNews ? { number, at: now } : last);
    return isNews;
  });
}

function numberAt(item: Item, field: string): number {
  const number = getAt(item.value, field);
  if (typeof number !== 'number' && typeof number !== 'bigint') throw new StageFailure(`${field} is not a number`);
  return Number(number);
}

/** Of a payload or some fields: enough to tell whether they are the same. */
function fingerprint(item: Item, fields: readonly string[] | undefined): string {
  if (fields === undefined) return hash('sha256', item.bytes, 'base64');
  const readable = (_: string, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value);
  const values = fields.map((field) => getAt(item.value, field) ?? null);
  return hash('sha256', JSON.stringify(values, readable), 'base64');
}

export function onChangeStage({ fields }: NonNullable<StageSettings['on-change']>, { limits }: StageTools): Stage {
  const lastSent = new TopicStates<string>(limits);
  const look = (item: Item) => fingerprint(item, fields);
  return unlessRetained(look, (print, key) => {
    const isNews = lastSent.get(key) !== print;
    lastSent.set(key, print);
    return isNews;
  });
}

export function dedupeStage({ seconds, field }: NonNullable<StageSettings['dedupe']>, { limits }: StageTools): Stage {
  const seenAt = new TopicStates<number>(limits);
  const look = (item: Item) => fingerprint(item, field === undefined ? undefined : [field]);
  return unlessRetained(look, (print, topicKey, now) => {
    const key = `${topicKey} ${print}`;
    const last = seenAt.get(key);
    if (last !== undefined && isWithin(seconds, last, now)) return false;
    seenAt.set(key, now);
    return true;
  });
}

/** `item` becomes a part of `whole`, which goes on in the names of all who published its parts. */
function gather(whole: Item, item: Item, context: StageContext): void {
  whole.publishers ??= new Publishers();
  whole.publishers.add(item.publishers ?? publisherIn(context));
}

/** Numbers of one field that a window keeps for percentiles. Beyond, every second one, then every fourth, and so on. */
const samplesMax = 4_096;

interface Window {
  readonly item: Item;
  readonly startedAt: number;
  count: number;
  readonly fields: Map<string, Series>;
}

class Series {
  count = 0;
  sum = 0;
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  first = Number.NaN;
  last = Number.NaN;
  #samples: number[] = [];
  #stride = 1;

  add(number: number, keepsSamples: boolean): void {
    if (this.count++ === 0) this.first = number;
    this.last = number;
    this.sum += number;
    this.min = Math.min(this.min, number);
    this.max = Math.max(this.max, number);
    if (!keepsSamples || this.count % this.#stride !== 0) return;
    this.#samples.push(number);
    if (this.#samples.length < samplesMax) return;
    this.#samples = this.#samples.filter((_, index) => index % 2 === 1);
    this.#stride *= 2;
  }

  get(what: Aggregation): number {
    if (what === 'mean') return this.sum / this.count;
    if (!what.startsWith('p')) return this[what as 'count' | 'sum' | 'min' | 'max' | 'first' | 'last'];
    const sorted = this.#samples.toSorted((a, b) => a - b);
    return sorted[Math.max(0, Math.ceil((Number(what.slice(1)) / 100) * sorted.length) - 1)]!;
  }
}

export function aggregateStage(settings: NonNullable<StageSettings['aggregate']>, { limits }: StageTools): Stage {
  const { seconds, fields } = settings;
  const windows = new TopicStates<Window>(limits);
  const wanted = Object.entries(fields).map(([field, what]) => {
    return { field, what, keepsSamples: what.some((each) => /^p\d/.test(each)) };
  });
  const summary = ({ item, startedAt, count, fields: series }: Window, endedAt: number): Item => {
    const value: [string, unknown][] = [
      ['from', new Date(startedAt).toISOString()],
      ['to', new Date(endedAt).toISOString()],
      ['count', count],
    ];
    for (const { field, what } of wanted) {
      const found = series.get(field);
      if (found !== undefined) value.push([field, Object.fromEntries(what.map((each) => [each, found.get(each)]))]);
    }
    return item.with(Object.fromEntries(value));
  };
  let lastNow = 0;
  return {
    look: (item) => {
      return wanted.map(({ field }) => (getAt(item.value, field) === undefined ? null : numberAt(item, field)));
    },
    run(item, context, looked) {
      const { now } = context;
      lastNow = now;
      const numbers = looked as readonly (number | null)[];
      let window = windows.get(item.topic);
      let displaced: Window | undefined;
      if (window === undefined) {
        window = { item: item.withoutPayload(), startedAt: now, count: 0, fields: new Map() };
        displaced = windows.set(item.topic, window);
      }
      window.count++;
      gather(window.item, item, context);
      for (const [index, { field, keepsSamples }] of wanted.entries()) {
        const number = numbers[index];
        if (number === null || number === undefined) continue;
        let series = window.fields.get(field);
        if (series === undefined) window.fields.set(field, (series = new Series()));
        series.add(number, keepsSamples);
      }
      return displaced === undefined ? false : [summary(displaced, now)];
    },
    *due(now) {
      lastNow = now;
      for (let oldest = windows.oldest; oldest !== undefined; oldest = windows.oldest) {
        if (isWithin(seconds, oldest.startedAt, now)) return;
        windows.delete(oldest.item.topic);
        yield summary(oldest, oldest.startedAt + seconds * 1000);
      }
    },
    *drain() {
      for (const window of windows.takeAll()) yield summary(window, Math.max(lastNow, window.startedAt));
    },
  };
}

/** So many bytes of values are packed together. */
const packedAt = loopValueBytes / 2;

/** What is gathered beyond the first few values is packed, a few at a time. */
class Gathered {
  readonly item: Item;
  readonly startedAt: number;
  count = 0;
  bytes = 0;
  readonly #parts: Uint8Array[] = [];
  #last: unknown[] = [];
  #lastBytes = 0;

  constructor(item: Item, startedAt: number) {
    this.item = item.withoutPayload();
    this.startedAt = startedAt;
  }

  add({ value, packed, bytes }: Looked): void {
    this.count++;
    this.bytes += bytes;
    if (packed !== null) {
      this.#packLast();
      this.#parts.push(...packed.parts);
      return;
    }
    if (this.#lastBytes + bytes > packedAt) this.#packLast();
    this.#last.push(value);
    this.#lastBytes += bytes;
    if (bytes > packedAt) this.#packLast();
  }

  #packLast(): void {
    if (this.#last.length > 0) this.#parts.push(...pack(this.#last).parts);
    this.#last = [];
    this.#lastBytes = 0;
  }

  finish(): Item {
    if (this.#parts.length === 0) {
      try {
        return this.item.with(this.#last);
      } catch (error) {
        if (!(error instanceof TooLarge)) throw error;
      }
    }
    this.#packLast();
    const whole = this.item.copy();
    whole.packed = { parts: this.#parts, isList: true };
    return whole;
  }
}

/** A value by itself, or packed as a list of one. */
interface Looked {
  readonly value: unknown;
  readonly packed: PackedValue | null;
  readonly bytes: number;
}

/**
 * All batches of a stage together take `pipelineLimits.payloadBytes`, about; the oldest leaves early for a new message.
 */
export function batchStage(
  { messages, seconds }: NonNullable<StageSettings['batch']>,
  { limits, loop }: StageTools,
): Stage {
  const batches = new TopicStates<Gathered>(limits);
  const bytesMax = (loop?.limits ?? limits).payloadBytes;
  let bytes = 0;
  const finish = (batch: Gathered): Item => {
    batches.delete(batch.item.topic);
    bytes -= batch.bytes;
    return batch.finish();
  };
  return {
    look({ value }): Looked {
      const size = weigh(value, limits);
      if (loop !== null) return { value, packed: null, bytes: size };
      const packed = pack([value]);
      return { value: null, packed, bytes: Math.max(size, packedBytes(packed)) };
    },
    run(item, context, looked) {
      const { now } = context;
      const added = looked as Looked;
      const out: Item[] = [];
      while (bytes > 0 && bytes + added.bytes > bytesMax) out.push(finish(batches.oldest!));
      let batch = batches.get(item.topic);
      if (batch === undefined) {
        batch = new Gathered(item, now);
        const displaced = batches.set(item.topic, batch);
        if (displaced !== undefined) out.push(finish(displaced));
      }
      batch.add(added);
      gather(batch.item, item, context);
      bytes += added.bytes;
      if (batch.count >= messages) out.push(finish(batch));
      return out.length === 0 ? false : out;
    },
    *due(now) {
      for (let oldest = batches.oldest; oldest !== undefined; oldest = batches.oldest) {
        if (isWithin(seconds, oldest.startedAt, now)) return;
        yield finish(oldest);
      }
    },
    *drain() {
      bytes = 0;
      for (const batch of batches.takeAll()) yield batch.finish();
    },
  };
}
