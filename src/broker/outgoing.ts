/**
 * What is written at the end of a round: each connection once, with all that it was sent in the round.
 *
 * A message for very many must not make the others wait until all of these are written. Connections that only got such
 * messages are written after the others, as far as there is time, and the rest in the next rounds. Meanwhile they
 * gather more.
 */
import { Deque } from '../base/deque.ts';
import type { Scheduler } from '../base/scheduler.ts';
import type { Boundary } from './boundary.ts';
import type { ClientChannel } from './client-channel.ts';

/** When something is written: at the end of the round, or when there is time. */
export const urgency = { none: 0, bulk: 1, now: 2 } as const;
export type Urgency = (typeof urgency)[keyof typeof urgency];

/**
 * While somebody's work goes on in the next round, what is to be written gathers, since a write costs more than what is
 * in it: since the last time for about four times as long as the writes will take, and no longer than this.
 */
const [gatherMicroseconds, gatherMicrosecondsMax] = [20, 2_000];
/** Writes between two looks at the clock. */
const perCheck = 16;
/** Microseconds of a round. */
const bulkBudget = 1_500;

export class Outgoing {
  readonly #boundary: Boundary;
  readonly #scheduler: Scheduler;
  #now: ClientChannel[] = [];
  readonly #bulk = new Deque<ClientChannel>();
  /** Of what is sent from now on. */
  urgency: Urgency = urgency.now;

  /** The last time that it did, while somebody's work went on; microseconds of the scheduler's clock. */
  #writtenAt = Number.NEGATIVE_INFINITY;

  constructor(scheduler: Scheduler, boundary: Boundary) {
    this.#scheduler = scheduler;
    this.#boundary = boundary;
  }

  /** The channel will be flushed. It says so once for each urgency; flushing it a second time does nothing. */
  touch(channel: ClientChannel, wanted = this.urgency): void {
    if (wanted === urgency.now) this.#now.push(channel);
    else this.#bulk.push(channel);
    this.#scheduler.wake();
  }

  /** What `run` sends is for very many: it is written when there is time. */
  inBulk<T>(run: () => T): T {
    return this.#within(urgency.bulk, run);
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
    if (this.#boundary.isBroken || this.#gathers()) return;
    if (this.#now.length > 0) {
      const channels = this.#now;
      this.#now = [];
      for (let i = 0; i < channels.length; i++) this.#flush(channels[i]!);
    }
    if (this.#bulk.length > 0) this.#flushBulk();
  }

  #gathers(): boolean {
    if (this.#scheduler.waiting === 0) return false;
    const now = this.#scheduler.clock();
    const channels = this.#now.length + this.#bulk.length;
    if (now - this.#writtenAt < Math.min(gatherMicrosecondsMax, channels * gatherMicroseconds)) return true;
    this.#writtenAt = now;
    return false;
  }

  #flushBulk(): void {
    const until = this.#scheduler.clock() + bulkBudget;
    do {
      for (let left = perCheck; left > 0; left--) {
        const channel = this.#bulk.shift();
        if (channel === undefined) return;
        this.#flush(channel);
      }
    } while (this.#scheduler.clock() < until);
    this.#scheduler.wake();
  }

  #flush(channel: ClientChannel): void {
    try {
      channel.flush();
    } catch (error) {
      this.#boundary.blame(channel, error);
    }
  }
}
