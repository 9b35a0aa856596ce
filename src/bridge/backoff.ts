/**
 * How long to wait before the next attempt: decorrelated jitter, so that a fleet that has lost its peer at one moment
 * does not come back in one. Each wait is drawn between the least and three times the one before.
 */
export interface BackoffOptions {
  readonly minimumMs: number;
  readonly maximumMs: number;
  /** From 0 to 1, without 1. */
  readonly random: () => number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  #last: number;

  constructor(options: BackoffOptions) {
    this.#options = options;
    this.#last = options.minimumMs;
  }

  next(): number {
    const { minimumMs, maximumMs, random } = this.#options;
    this.#last = Math.min(maximumMs, minimumMs + random() * (3 * this.#last - minimumMs));
    return this.#last;
  }

  /** The peer was there for a while. */
  reset(): void {
    this.#last = this.#options.minimumMs;
  }
}
