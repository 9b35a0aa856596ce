/**
 * Requests take turns: in each round of the event loop one of them is worked on, so that any number of them, however
 * they come, takes a bounded part of a round from the clients of MQTT. What is long waits for a turn more than once.
 */
export class Turns {
  /** In order. There are no more than connections may have requests under way. */
  readonly #waiting: (() => void)[] = [];
  #isTaken = false;

  /** Resolves when it is the caller's turn: at once, if nobody has had one in this round. */
  next(): Promise<void> {
    if (this.#isTaken) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#isTaken = true;
    setImmediate(this.#advance);
    return Promise.resolve();
  }

  readonly #advance = (): void => {
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.#isTaken = false;
      return;
    }
    setImmediate(this.#advance);
    next();
  };
}
