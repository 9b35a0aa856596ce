/**
 * Tells that a file has changed, once it is at rest again.
 *
 * Its state is asked for again and again: that notices a file that was renamed into its place or stands behind symbolic
 * links, works on every file system, and costs a system call. A change counts when two looks in a row see the same, so
 * that a file is not read while it is being written.
 */
import { type Stats, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';

export class FileWatch {
  readonly #file: string;
  readonly #onChange: () => void;
  readonly #timer: NodeJS.Timeout;
  /** The state that is known, and the one seen last. */
  #told: string;
  #seen: string;
  #isLooking = false;
  #isClosed = false;

  /** `known`: the state of the file before it was read (`fileState`), so that no change is missed. */
  constructor(file: string, known: string, pollMs: number, onChange: () => void) {
    this.#file = file;
    this.#told = this.#seen = known;
    this.#onChange = onChange;
    this.#timer = setInterval(() => void this.#look(), pollMs);
    this.#timer.unref();
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const state = await stat(this.#file).then(textOf, reasonOf);
    this.#isLooking = false;
    if (this.#isClosed) return;
    const isAtRest = state === this.#seen;
    this.#seen = state;
    if (!isAtRest || state === this.#told) return;
    this.#told = state;
    this.#onChange();
  }
}

/** What can be told of a file without reading it. */
export function fileState(file: string): string {
  try {
    return textOf(statSync(file));
  } catch (error) {
    return reasonOf(error);
  }
}

const textOf = ({ ino, dev, size, mtimeMs, ctimeMs }: Stats) => [ino, dev, size, mtimeMs, ctimeMs].join();
const reasonOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? 'unknown';
