/** How long a step that answers later may take: one that hangs must keep nothing else waiting for ever. */
import type { Timers } from '../base/clock.ts';
import type { Awaitable } from '../contracts/hooks.ts';
import { StageFailure } from './errors.ts';

export class StepDeadline {
  readonly #timers: Timers;
  readonly #seconds: number;

  constructor(timers: Timers, seconds: number) {
    this.#timers = timers;
    this.#seconds = seconds;
  }

  /** The answer; in the place of one that does not come in time, a StageFailure. One that is there costs no timer. */
  within<T>(answer: Awaitable<T>): Awaitable<T> {
    if (!(answer instanceof Promise)) return answer;
    return new Promise((resolve, reject) => {
      let isOver = false;
      const stop = this.#timers.every(this.#seconds * 1_000, () => {
        settle();
        reject(new StageFailure(`no answer within ${this.#seconds} s (pipelineLimits.stepSeconds)`));
      });
      const settle = () => {
        if (!isOver) stop();
        isOver = true;
      };
      answer.then(
        (settled) => {
          settle();
          resolve(settled);
        },
        (error: unknown) => {
          settle();
          reject(error);
        },
      );
    });
  }
}
