/**
 * Work for clients that nobody knows yet, so it is bounded: some jobs at once, some waiting, the rest is turned away.
 */
import { Deque } from '../../base/deque.ts';

/** There is too much to do already, or it would have come too late: the client may try again. */
export class BusyError extends Error {
  override readonly name = 'BusyError';
}

interface Waiting {
  readonly since: number;
  readonly start: (isLate: boolean) => void;
}

export interface WorkQueueOptions {
  readonly atOnce: number;
  readonly waitingMax: number;
  /** A job that waited longer is not begun: its client is gone by then. */
  readonly waitMsMax: number;
  readonly now: () => number;
}

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting = new Deque<Waiting>();
  #running = 0;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Rejects with a BusyError, or as the job does. */
  async run<T>(job: () => Promise<T>): Promise<T> {
    const { atOnce, waitingMax } = this.#options;
    if (this.#running < atOnce) this.#running++;
    else if (this.#waiting.length >= waitingMax) throw new BusyError(`${waitingMax} jobs wait already`);
    else await this.#place();
    try {
      return await job();
    } finally {
      // The place goes to the next one directly, so that nobody can come in between.
      if (!this.#startNext()) this.#running--;
    }
  }

  #place(): Promise<void> {
    return new Promise((resolve, reject) => {
      const start = (isLate: boolean) => (isLate ? reject(new BusyError('waited too long')) : resolve());
      this.#waiting.push({ since: this.#options.now(), start });
    });
  }

  #startNext(): boolean {
    const { now, waitMsMax } = this.#options;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const isLate = now() - next.since > waitMsMax;
      next.start(isLate);
      if (!isLate) return true;
    }
    return false;
  }
}
