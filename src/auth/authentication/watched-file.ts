/**
 * A file that is read again when it changes, and what it says.
 *
 * While it cannot be read there is no content, so nobody gets in by it: what was taken away by deleting it must not
 * stay.
 */

import { readFile } from 'node:fs/promises';
import { fileProblem } from '../../base/file-problem.ts';
import { FileWatch, fileState } from '../../base/file-watch.ts';
import type { Log } from '../../contracts/log.ts';

const pollMs = 500;

export interface WatchedFileOptions<T> {
  readonly file: string;
  /** For messages: `password file`. */
  readonly what: string;
  /** Throws if the file is of no use as a whole. */
  readonly parse: (bytes: Buffer) => T;
  readonly log: Log;
}

export class WatchedFile<T> {
  /** Null while the file cannot be used. */
  content: T | null = null;
  /**
   * Rises with each reading, in the moment in which `content` changes: what the old one says is never taken for the new
   * one's.
   */
  generation = 0;
  readonly #options: WatchedFileOptions<T>;
  readonly #watch: FileWatch;

  private constructor(options: WatchedFileOptions<T>) {
    this.#options = options;
    const files = [options.file];
    this.#watch = new FileWatch(files, fileState(files), pollMs, () => this.#reload());
  }

  /** Rejects with one line if the file cannot be used now. */
  static async open<T>(options: WatchedFileOptions<T>): Promise<WatchedFile<T>> {
    const watched = new WatchedFile(options);
    try {
      await watched.#read();
    } catch (error) {
      watched.close();
      throw error;
    }
    return watched;
  }

  close(): void {
    this.#watch.close();
  }

  async #reload(): Promise<void> {
    const { file, what, log } = this.#options;
    try {
      await this.#read();
      log.info({ file }, `the ${what} has changed and was read again`);
    } catch (error) {
      log.error({ file, cause: (error as Error).message }, `the ${what} cannot be used: nobody gets in by it`);
    }
  }

  async #read(): Promise<void> {
    const { file, what, parse } = this.#options;
    try {
      this.content = parse(await readFile(file));
    } catch (cause) {
      this.content = null;
      throw new Error(`Cannot use the ${what} ${file}: ${fileProblem(cause as Error)}`, { cause });
    } finally {
      this.generation++;
    }
  }
}
