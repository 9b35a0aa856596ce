/** Directories that are to be there. */
import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/**
 * Makes a directory and those above it that are missing. Rejects with an error of the file system.
 *
 * `mkdir` with `recursive` tries for ever where a directory is there and takes no others, as in /proc.
 */
export async function makeDirectory(directory: string, mode = 0o777): Promise<void> {
  const missing: string[] = [];
  for (let level = resolve(directory); !(await isThere(level)); level = dirname(level)) missing.push(level);
  for (const level of missing.reverse()) {
    await mkdir(level, mode).catch(async (cause) => {
      // Another process may have made it meanwhile.
      if (!(await isThere(level).catch(() => false))) throw cause;
    });
  }
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return false;
      throw cause;
    },
  );
