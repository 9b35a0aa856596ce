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
import type { Link } from './link.ts';

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
  #now: Link[] = [];
  readonly #bulk = new Deque<Link>();
  /** Of what is sent from now on. */
  urgency: Urgency = urgency.now;

  /** The last time that it did, while somebody's work went on; microseconds of the scheduler's clock. */
  #writtenAt = Number.NEGATIVE_INFINITY;

  constructor(scheduler: Scheduler, boundary: Boundary) {
    this.#scheduler = scheduler;
    this.#boundary = boundary;
  }

  /** The link will be flushed. It says so once for each urgency; flushing it a second time does nothing. */
  touch(link: Link): void {
    if (this.urgency === urgency.now) this.#now.push(link);
    else this.#bulk.push(link);
    this.#scheduler.wake();
  }

  flush(): void {
    if (this.#boundary.isBroken || this.#gathers()) return;
    if (this.#now.length > 0) {
      const links = this.#now;
      this.#now = [];
      for (let i = 0; i < links.length; i++) this.#flush(links[i]!);
    }
    if (this.#bulk.length > 0) this.#flushBulk();
  }

  #gathers(): boolean {
    if (this.#scheduler.waiting === 0) return false;
    const now = this.#scheduler.clock();
    const links = this.#now.length + this.#bulk.length;
    if (now - this.#writtenAt < Math.min(gatherMicrosecondsMax, links * gatherMicroseconds)) return true;
    this.#writtenAt = now;
    return false;
  }

  #flushBulk(): void {
    const until = this.#scheduler.clock() + bulkBudget;
    do {
      for (let left = perCheck; left > 0; left--) {
        const link = this.#bulk.shift();
        if (link === undefined) return;
        this.#flush(link);
      }
    } while (this.#scheduler.clock() < until);
    this.#scheduler.wake();
  }

  #flush(link: Link): void {
    try {
      link.flush();
    } catch (error) {
      this.#boundary.blame(link, error);
    }
  }
}
