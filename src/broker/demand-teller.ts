/**
 * Tells a bridge of another Sluice what is subscribed to here, so that it sends only that (`forward: subscribed`). The
 * bridge asks by a SUBSCRIBE to `$SYS/broker/demand/` and the filter that it would send, which rules and hooks decide
 * about; nothing of it is kept with the session. It is told on its own connection, in a message that no session has:
 * all that is wanted once that is known, and again whenever something else is.
 */
import type { Scheduler } from '../base/scheduler.ts';
import { Timer, type TimerWheel } from '../base/timer-wheel.ts';
import { encodeNotice } from '../codec/encode-client.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { Core } from '../core/core.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { parseFilter } from '../protocol/topic.ts';
import { FilterDemand } from './filter-demand.ts';
import type { Path, SubscriberPaths } from './subscriber-paths.ts';

/** In CONNACK: this broker can be asked. */
export const demandProperty = 'sluice-demand';
/** Of the messages; nobody but the broker publishes there. */
export const demandTopic = '$SYS/broker/demand';
export const demandPrefix = `${demandTopic}/`;

/** Filters that one bridge may ask for, and all bridges. */
export const asksMax = 32;
const asksOfAllMax = 1_024;
/** A message that would be larger says that all is wanted. */
const messageBytesMax = 16_384;
/** Between two messages about one filter. */
const pauseMs = 100;

/** The connection of the bridge. */
interface Listening {
  readonly session: ClientSession | null;
  readonly packetBytesMax: number;
  readonly context: {
    readonly core: Core;
    readonly scheduler: Scheduler;
    readonly timers: TimerWheel;
    readonly subscriberPaths: SubscriberPaths;
    readonly boundary: { readonly isBroken: boolean };
  };
  sendBytes(bytes: Buffer): void;
  guard(run: () => void): void;
}

/** What a message says of the filter that was asked for; `wanted`: null is all of it. */
export interface Announcement {
  readonly filter: string;
  /** Each a filter and its paths. */
  readonly wanted: readonly (readonly [filter: string, ...paths: readonly Path[]])[] | null;
}

export class DemandTeller {
  readonly #connection: Listening;
  readonly #brokerId: string;
  /** Of the bridge's broker. */
  readonly #peerId: string;
  readonly #asked = new Map<string, Ask>();

  constructor(connection: Listening, brokerId: string, peerId: string) {
    this.#connection = connection;
    this.#brokerId = brokerId;
    this.#peerId = peerId;
  }

  /** Of `$SYS/broker/demand/…`. Returns what SUBACK says. */
  ask(topicFilter: string): number {
    const filter = topicFilter.slice(demandPrefix.length);
    const parsed = parseFilter(filter);
    if (parsed === null || parsed.shareName !== null) return ReasonCode.TopicFilterInvalid;
    if (this.#asked.has(filter)) return 0;
    const { subscriberPaths } = this.#connection.context;
    if (this.#asked.size >= asksMax || subscriberPaths.asks >= asksOfAllMax) return ReasonCode.QuotaExceeded;
    subscriberPaths.asks++;
    const { session } = this.#connection;
    const demand = new FilterDemand({
      ...{ context: this.#connection.context, brokerId: this.#brokerId, filter },
      isOwn: (other) => other === session,
      onChange: () => ask.changed(),
    });
    const ask: Ask = new Ask(this.#connection, filter, demand, this.#peerId);
    this.#asked.set(filter, ask);
    ask.changed();
    return 0;
  }

  /** The connection is gone. */
  close(): void {
    this.#connection.context.subscriberPaths.asks -= this.#asked.size;
    for (const ask of this.#asked.values()) ask.close();
    this.#asked.clear();
  }
}

class Ask {
  readonly #connection: Listening;
  readonly #filter: string;
  readonly #demand: FilterDemand;
  readonly #peerId: string;
  readonly #timer: Timer;
  #told = '';
  #toldAt = Number.NEGATIVE_INFINITY;
  #isDue = false;
  #isClosed = false;

  constructor(connection: Listening, filter: string, demand: FilterDemand, peerId: string) {
    this.#connection = connection;
    this.#filter = filter;
    this.#demand = demand;
    this.#peerId = peerId;
    this.#timer = new Timer(() => connection.guard(() => this.#tell()));
  }

  /** What follows is done once the core is at rest. */
  changed(): void {
    if (this.#isDue || this.#isClosed) return;
    this.#isDue = true;
    queueMicrotask(() => {
      if (this.#isClosed || this.#connection.context.boundary.isBroken) return;
      this.#connection.guard(() => this.#tell());
    });
  }

  #tell(): void {
    const { core, timers } = this.#connection.context;
    this.#isDue = false;
    if (this.#isClosed || !this.#demand.isKnown) return;
    const earliest = this.#toldAt + pauseMs;
    const { session } = this.#connection;
    if (core.now < earliest || session?.isCongested === true) {
      this.#isDue = true;
      timers.set(this.#timer, Math.max(earliest, core.now + pauseMs));
      return;
    }
    const text = this.#text(this.#demand.wanted(this.#peerId));
    if (text === this.#told) return;
    this.#told = text;
    this.#toldAt = core.now;
    const message = { topic: demandTopic, payload: Buffer.from(text), retain: false };
    this.#connection.sendBytes(encodeNotice(message, 5));
  }

  #text(wanted: ReadonlyMap<string, readonly Path[]> | null): string {
    const all: Announcement = { filter: this.#filter, wanted: null };
    if (wanted === null) return JSON.stringify(all);
    const filters = [...wanted].map(([filter, paths]) => [filter, ...paths] as const);
    filters.sort(([one], [other]) => (one < other ? -1 : 1));
    const text = JSON.stringify({ filter: this.#filter, wanted: filters } satisfies Announcement);
    const bytes = Buffer.byteLength(text);
    return bytes > messageBytesMax || bytes + 100 > this.#connection.packetBytesMax ? JSON.stringify(all) : text;
  }

  close(): void {
    this.#isClosed = true;
    this.#connection.context.timers.cancel(this.#timer);
    this.#demand.close();
  }
}
