/**
 * Requests take turns: in each round of the event loop one of them is worked on, so that any number of them, however
 * they come, takes a bounded part of a round from the clients of MQTT. What is long waits for a turn more than once.
 */
const pauseTimes = 2;
const pauseMsMax = 10;

export class Turns {
  /** In order. There are no more than connections may have requests under way. */
  readonly #waiting: (() => void)[] = [];
  #isTaken = false;
  #begunAt = 0;

  /** Resolves when it is the caller's turn: at once, if nobody has had one in this round. */
  next(): Promise<void> {
    if (this.#isTaken) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#isTaken = true;
    this.#begin();
    return Promise.resolve();
  }

  #begin(): void {
    this.#begunAt = performance.now();
    setImmediate(this.#end);
  }

  /** What took long is followed by a pause, in which a message of MQTT gets through all its steps. */
  readonly #end = (): void => {
    const tookMs = performance.now() - this.#begunAt;
    if (tookMs < 1) this.#advance();
    else setTimeout(this.#advance, Math.min(tookMs * pauseTimes, pauseMsMax));
  };

  readonly #advance = (): void => {
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.#isTaken = false;
      return;
    }
    this.#begin();
    next();
  };
}
