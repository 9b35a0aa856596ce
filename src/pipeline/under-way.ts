import { type After, Deadline } from '../base/deadline.ts';

/** Messages that something slow is being done with, so that nothing is closed under them. */
export class UnderWay {
  readonly #after: After | undefined;
  #count = 0;
  #whenIdle: (() => void)[] = [];

  /** Undefined: the system's timers. */
  constructor(after: After | undefined) {
    this.#after = after;
  }

  add<T>(promise: Promise<T>): Promise<T> {
    this.#count++;
    return promise.finally(() => {
      if (--this.#count > 0) return;
      for (const call of this.#whenIdle.splice(0)) call();
    });
  }

  /** Resolves once none is left, or after this time. */
  async idle(milliseconds: number): Promise<void> {
    if (this.#count === 0) return;
    const deadline = new Deadline(milliseconds, this.#after);
    await deadline.allows(new Promise<void>((resolve) => this.#whenIdle.push(resolve)));
    deadline.cancel();
  }
}
