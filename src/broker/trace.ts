/**
 * One client trace: which clients or topics it is about, and its events, as lines within a bound in bytes. Where the
 * bound is reached, the oldest events go; where there are very many at one time, some are left out. Both are counted.
 */
import { AddressSet, addressOf } from '../base/addresses.ts';
import { Deque } from '../base/deque.ts';
import { jsonLine } from '../base/printable.ts';
import { Waiters } from '../base/waiters.ts';
import type { TraceEventName, TraceEventView, TraceView } from '../contracts/traces.ts';
import { clientPublisher } from '../protocol/publisher.ts';
import { matches, type Topic } from '../protocol/topic.ts';

/** What a trace looks at of whoever an event is about. */
export interface TracedClient {
  readonly clientId: string | null;
  readonly username: string | null;
  readonly address: string | null;
}

export interface TraceOptions {
  readonly id: string;
  readonly clientId: string | null;
  readonly username: string | null;
  readonly address: string | null;
  readonly topic: string | null;
  readonly payloads: boolean;
  readonly startedBy: string;
  readonly startedAt: number;
  readonly endsAt: number;
  readonly bytesMax: number;
}

interface Line {
  readonly number: number;
  readonly text: string;
}

/** Strings may take two bytes for each character, and something stands around each. */
const bytesOf = ({ text }: Line) => 2 * text.length + 100;
/** An event takes some microseconds: more of them in a tenth of a second are left out. */
const eventsPerTick = 1_000;
/** Addresses and ports of which it is remembered whether they are wanted. */
const knownAddressesMax = 1_024;

export class Trace {
  readonly options: TraceOptions;
  /** The client as its messages name it; null: it is not about one client. */
  readonly publisher: string | null;
  isActive = true;
  endsAt: number;
  readonly #addresses: AddressSet | null;
  readonly #knownAddresses = new Map<string, boolean>();
  readonly #lines = new Deque<Line>();
  #bytes = 0;
  /** Of the last event. */
  number = 0;
  #omitted = 0;
  #sinceTick = 0;
  #omittedSinceTick = 0;
  readonly #waiting = new Waiters();

  constructor(options: TraceOptions) {
    this.options = options;
    this.endsAt = options.endsAt;
    this.publisher = options.clientId === null ? null : clientPublisher(options.clientId);
    this.#addresses = options.address === null ? null : new AddressSet([options.address]);
  }

  concerns({ clientId, username, address }: TracedClient): boolean {
    const wanted = this.options;
    if (wanted.clientId !== null) return clientId === wanted.clientId;
    if (wanted.username !== null) return username === wanted.username;
    return this.#addresses !== null && address !== null && this.#isFrom(address, this.#addresses);
  }

  /** Asked for every packet: answers are remembered. */
  #isFrom(address: string, addresses: AddressSet): boolean {
    const known = this.#knownAddresses.get(address);
    if (known !== undefined) return known;
    const isFrom = addresses.has(addressOf(address));
    if (this.#knownAddresses.size >= knownAddressesMax) this.#knownAddresses.clear();
    this.#knownAddresses.set(address, isFrom);
    return isFrom;
  }

  concernsTopic({ name }: Topic): boolean {
    return this.options.topic !== null && matches(this.options.topic, name);
  }

  /** `details` is called only if the event is not left out: what it finds out may take longer than all the rest. */
  add(event: TraceEventName, client: TracedClient, details: (trace: Trace) => object, now: number): void {
    if (++this.#sinceTick > eventsPerTick) {
      this.#omittedSinceTick++;
      return;
    }
    this.#append(event, client, details(this), now);
  }

  #append(event: TraceEventName, { clientId, address }: TracedClient, details: object, now: number): void {
    const line = { number: ++this.number, text: jsonLine({ time: now, event, clientId, address, details }) };
    this.#lines.push(line);
    this.#bytes += bytesOf(line);
    while (this.#bytes > this.options.bytesMax && this.#lines.length > 1) {
      this.#bytes -= bytesOf(this.#lines.shift()!);
      this.#omitted++;
    }
    this.#waiting.wake();
  }

  /** About ten times a second. Ends it when its time is up. Returns whether it goes on. */
  tick(now: number): boolean {
    this.#sinceTick = 0;
    if (this.#omittedSinceTick > 0) {
      this.#omitted += this.#omittedSinceTick;
      this.#append('omitted', nobody, { count: this.#omittedSinceTick }, now);
      this.#omittedSinceTick = 0;
    }
    if (now >= this.endsAt) this.end(now, 'its time is up');
    return this.isActive;
  }

  end(now: number, why: string): void {
    if (!this.isActive) return;
    this.isActive = false;
    this.endsAt = now;
    this.#append('ended', nobody, { why }, now);
  }

  /** Events behind the one of this number, so many at most, and how many are not there any more. */
  read(after: number, limit: number): { events: TraceEventView[]; omitted: number } {
    const first = this.#lines.peek()?.number ?? this.number + 1;
    const omitted = Math.max(0, first - after - 1);
    const events: TraceEventView[] = [];
    let index = Math.max(0, after + 1 - first);
    for (; index < this.#lines.length && events.length < limit; index++) {
      const { number, text } = this.#lines.at(index)!;
      events.push({ number, ...(JSON.parse(text) as Omit<TraceEventView, 'number'>) });
    }
    return { events, omitted };
  }

  /** Resolves when there is another event, or `signal` is aborted. */
  more(signal: AbortSignal): Promise<void> {
    return this.#waiting.next(signal);
  }

  get view(): TraceView {
    const { id, clientId, username, address, topic, payloads, startedBy, startedAt } = this.options;
    const { endsAt, isActive, number: events } = this;
    const omitted = this.#omitted + this.#omittedSinceTick;
    const about = { id, clientId, username, address, topic, payloads, startedBy, startedAt };
    return { ...about, endsAt, isActive, events, omitted, bytes: this.#bytes };
  }
}

export const nobody: TracedClient = { clientId: null, username: null, address: null };
