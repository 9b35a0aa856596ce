/**
 * What is written at the end of a round: each connection once, with all that it was sent in the round.
 *
 * A message for very many must not make the others wait until all of these are written. Connections that only got such
 * messages are written after the others, as far as there is time, and the rest in the next rounds.
 *
 * A write costs more than what is in it, so while more is on its way, what is to be written gathers. For most that is
 * bounded by a short time. For very many it goes by how much has gathered, and not by the clock: on a busy machine the
 * clock runs while nothing is done.
 */
import { Deque } from '../base/deque.ts';
import type { Scheduler, Step } from '../base/scheduler.ts';
import type { Boundary } from './boundary.ts';
import type { ClientChannel } from './client-channel.ts';
import type { Counters } from './counters.ts';

/** When something is written: at the end of the round, or when there is time. */
export const urgency = { none: 0, bulk: 1, now: 2 } as const;
export type Urgency = (typeof urgency)[keyof typeof urgency];

/**
 * While somebody's work goes on in the next round: since the last time for about four times as long as the writes will
 * take, and no longer than this.
 */
const [gatherMicroseconds, gatherMicrosecondsMax] = [20, 2_000];
/** What is for very many is written once so much of it has gathered for each connection, or so long after the first. */
const [gatherMessages, gatherBytes] = [32, 16_384];
const gatherBulkMicrosecondsMax = 20_000;
/** Writes between two looks at the clock. */
const perCheck = 16;
/** Microseconds of a round. */
const bulkBudget = 1_500;

export interface OutgoingOptions {
  readonly scheduler: Scheduler;
  readonly boundary: Boundary;
  readonly counters: Pick<Counters, 'publishSent' | 'bytesSent'>;
}

export class Outgoing {
  readonly #counters: OutgoingOptions['counters'];
  readonly #boundary: Boundary;
  readonly #scheduler: Scheduler;
  #now: ClientChannel[] = [];
  readonly #bulk = new Deque<ClientChannel>();
  /** Of what is sent from now on. */
  urgency: Urgency = urgency.now;

  /** The last time that it did, while somebody's work went on; microseconds of the scheduler's clock. */
  #writtenAt = Number.NEGATIVE_INFINITY;
  /** What has gathered for very many, in all, and since when. */
  #bulkMessages = 0;
  #bulkBytes = 0;
  #bulkSince = 0;
  /** More of it is to come. */
  readonly #unfinished = new Set<Step>();
  /** Of what had gathered, so many connections are still to be written. */
  #bulkLeft = 0;

  constructor({ scheduler, boundary, counters }: OutgoingOptions) {
    this.#scheduler = scheduler;
    this.#boundary = boundary;
    this.#counters = counters;
  }

  /** The channel will be flushed. It says so once for each urgency; flushing it a second time does nothing. */
  touch(channel: ClientChannel, wanted = this.urgency): void {
    if (wanted === urgency.now) this.#now.push(channel);
    else this.#bulk.push(channel);
    this.#scheduler.wake();
  }

  /** A step of what is for very many: what it sends is written when there is time. Called again if there is more. */
  inBulk(step: Step): boolean {
    const counters = this.#counters;
    const { publishSent, bytesSent } = counters;
    let isLeft = false;
    try {
      isLeft = this.#within(urgency.bulk, step);
    } finally {
      this.#bulkMessages += counters.publishSent - publishSent;
      this.#bulkBytes += counters.bytesSent - bytesSent;
      if (isLeft) this.#unfinished.add(step);
      else this.#unfinished.delete(step);
    }
    return isLeft;
  }

  /** What `run` sends is not, though it may follow from something that is. */
  atOnce<T>(run: () => T): T {
    return this.#within(urgency.now, run);
  }

  #within<T>(wanted: Urgency, run: () => T): T {
    const before = this.urgency;
    this.urgency = wanted;
    try {
      return run();
    } finally {
      this.urgency = before;
    }
  }

  flush(): void {
    if (this.#boundary.isBroken) return;
    if (this.#now.length > 0 && !this.#gathers()) {
      const channels = this.#now;
      this.#now = [];
      for (let i = 0; i < channels.length; i++) this.#flush(channels[i]!);
    }
    if (this.#bulk.length > 0 && !this.#bulkGathers()) this.#flushBulk();
  }

  #gathers(): boolean {
    if (this.#scheduler.waiting === 0) return false;
    const now = this.#scheduler.clock();
    if (now - this.#writtenAt < Math.min(gatherMicrosecondsMax, this.#now.length * gatherMicroseconds)) return true;
    this.#writtenAt = now;
    return false;
  }

  #bulkGathers(): boolean {
    if (this.#bulkLeft > 0) return false;
    const channels = this.#bulk.length;
    const isEnough = this.#bulkMessages >= channels * gatherMessages || this.#bulkBytes >= channels * gatherBytes;
    if (!isEnough && this.#unfinished.size > 0) {
      const now = this.#scheduler.clock();
      if (this.#bulkSince === 0) this.#bulkSince = now;
      if (now - this.#bulkSince < gatherBulkMicrosecondsMax) return true;
    }
    this.#bulkLeft = channels;
    this.#bulkMessages = this.#bulkBytes = this.#bulkSince = 0;
    return false;
  }

  /** As far as there is time in this round: what has gathered does not wait anew. */
  #flushBulk(): void {
    const until = this.#scheduler.clock() + bulkBudget;
    do {
      for (let left = perCheck; left > 0 && this.#bulkLeft > 0; left--) {
        this.#bulkLeft--;
        this.#flush(this.#bulk.shift()!);
      }
    } while (this.#bulkLeft > 0 && this.#scheduler.clock() < until);
    if (this.#bulk.length > 0) this.#scheduler.wake();
  }

  #flush(channel: ClientChannel): void {
    try {
      channel.flush();
    } catch (error) {
      this.#boundary.blame(channel, error);
    }
  }
}
