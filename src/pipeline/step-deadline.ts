/** How long a step, or a hook, that answers later may take: one that hangs must keep nothing else waiting for ever. */
import type { Timers } from '../base/clock.ts';
import { Deadline } from '../base/deadline.ts';
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
    return answer instanceof Promise ? this.#inTime(answer) : answer;
  }

  async #inTime<T>(answer: Promise<T>): Promise<T> {
    const deadline = new Deadline(this.#seconds * 1_000, (ms, run) => this.#timers.every(ms, run));
    try {
      if (await deadline.allows(answer)) return await answer;
    } finally {
      deadline.cancel();
    }
    throw new StageFailure(`no answer within ${this.#seconds} s (pipelineLimits.stepSeconds)`);
  }
}
