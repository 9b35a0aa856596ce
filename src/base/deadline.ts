/**
 * One limit of time for several things that are done one after the other: what the first takes, the last does not have.
 */
export type After = (ms: number, run: () => void) => () => void;

/** It keeps the process alive: what is waited for may not. */
const systemAfter: After = (ms, run) => {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
};

export class Deadline {
  readonly limitMs: number;
  readonly #passed: Promise<boolean>;
  #isPassed = false;
  #cancel: () => void = () => {};

  /** Infinity: none. `after` calls back once or more often, until the function that it returns is called. */
  constructor(ms: number, after: After = systemAfter) {
    this.limitMs = ms;
    this.#passed = new Promise((resolve) => {
      if (ms === Number.POSITIVE_INFINITY) return;
      this.#cancel = after(ms, () => {
        this.#cancel();
        this.#isPassed = true;
        resolve(false);
      });
    });
  }

  get isPassed(): boolean {
    return this.#isPassed;
  }

  /** True once the promise resolves, false if time is up before. Rejects as the promise does. */
  allows(promise: Promise<unknown>): Promise<boolean> {
    return Promise.race([promise.then(() => true), this.#passed]);
  }

  /** What it was for is done. */
  cancel(): void {
    this.#cancel();
  }
}
