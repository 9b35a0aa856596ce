/** Messages that something slow is being done with, so that nothing is closed under them. */
export class UnderWay {
  #count = 0;
  #whenIdle: (() => void)[] = [];

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
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#whenIdle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
