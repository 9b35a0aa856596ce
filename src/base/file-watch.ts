/**
 * Tells that one of some files has changed, once all are at rest again.
 *
 * Their state is asked for again and again: that notices a file that was renamed into its place or stands behind
 * symbolic links (Kubernetes, certbot), works on every file system, and costs a system call. A change counts when two
 * looks in a row see the same, so that no file is read while it is being written.
 */
import { type Stats, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';

export class FileWatch {
  readonly #files: readonly string[];
  readonly #onChange: () => void | Promise<void>;
  readonly #timer: NodeJS.Timeout;
  /** The state that is known, and the one seen last. */
  #told: string | null;
  #seen: string | null;
  #isLooking = false;
  #isClosed = false;

  /**
   * `known`: the state of the files before they were read (`fileState`), so that no change is missed; null reports
   * them once in any case. What `onChange` returns is waited for before the files are looked at again.
   */
  constructor(files: readonly string[], known: string | null, pollMs: number, onChange: () => void | Promise<void>) {
    this.#files = files;
    this.#told = this.#seen = known;
    this.#onChange = onChange;
    this.#timer = setInterval(() => void this.#look(), pollMs);
    this.#timer.unref();
  }

  /** Reports the files once more, whether they change or not. */
  forget(): void {
    this.#told = null;
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const states = await Promise.all(this.#files.map((file) => stat(file).then(statText, errorCode)));
      if (this.#isClosed) return;
      const state = states.join('\n');
      const isAtRest = state === this.#seen;
      this.#seen = state;
      if (!isAtRest || state === this.#told) return;
      this.#told = state;
      await this.#onChange();
    } finally {
      this.#isLooking = false;
    }
  }
}

/** What can be told of files without reading them. */
export const fileState = (files: readonly string[]): string => files.map(stateOf).join('\n');

function stateOf(file: string): string {
  try {
    return statText(statSync(file));
  } catch (error) {
    return errorCode(error);
  }
}

const statText = ({ ino, dev, size, mtimeMs, ctimeMs }: Stats) => [ino, dev, size, mtimeMs, ctimeMs].join();
const errorCode = (error: unknown) => (error as NodeJS.ErrnoException).code ?? 'unknown';
