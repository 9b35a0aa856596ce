/** Connections of each listener. */

export interface ListenerCount {
  /** From accept to close. */
  readonly open: number;
  /** Since the start of the broker. */
  readonly accepted: number;
  /** Turned away as they came, for a limit, a ban or the end of the broker. */
  readonly refused: number;
}

const none: ListenerCount = { open: 0, accepted: 0, refused: 0 };

export class ListenerCounts {
  /** By URL: there are as many as the configuration has. */
  readonly #counts = new Map<string, { -readonly [Name in keyof ListenerCount]: number }>();

  of(listener: string): ListenerCount {
    return this.#counts.get(listener) ?? none;
  }

  accepted(listener: string): void {
    const count = this.#own(listener);
    count.accepted++;
    count.open++;
  }

  refused(listener: string): void {
    this.#own(listener).refused++;
  }

  closed(listener: string): void {
    this.#own(listener).open--;
  }

  #own(listener: string) {
    let count = this.#counts.get(listener);
    if (count === undefined) this.#counts.set(listener, (count = { ...none }));
    return count;
  }
}
