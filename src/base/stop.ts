import { Deadline } from './deadline.ts';

/** What ends the parts of something that was opened, last things first, within one limit of time. */
export class Stop {
  readonly #limitMs: number;
  readonly #closers: ((deadline: Deadline) => unknown)[] = [];
  #closed: Promise<void> | null = null;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  add(close: (deadline: Deadline) => unknown): void {
    this.#closers.push(close);
  }

  /** Closes everything, also behind something that fails; rejects with what failed first. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    const deadline = new Deadline(this.#limitMs);
    const errors: unknown[] = [];
    for (const close of this.#closers.reverse()) {
      try {
        await close(deadline);
      } catch (error) {
        errors.push(error);
      }
    }
    deadline.cancel();
    if (errors.length > 0) throw errors[0];
  }
}
