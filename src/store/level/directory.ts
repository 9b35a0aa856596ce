/** The data directory itself: there, and closed to everybody else on the machine. */

import { chmod, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileProblem } from '../../base/file-problem.ts';
import type { Log } from '../../contracts/log.ts';
import { StoreError } from '../../contracts/session-store.ts';
import { lastCommitName } from './last-commit.ts';
import { makeDirectory } from './make-directory.ts';

const ownNames =
  /^(CURRENT|MANIFEST-\d+|\d+\.(ldb|sst|log|dbtmp)|LOCK|LOG(\.old)?|control\.sock|lost|damaged-.*|salvag.*|installing)$/;
const isOwn = (name: string) => ownNames.test(name) || name === lastCommitName;
/** At the top of a volume of its own. */
const isOfVolume = (name: string) => name === 'lost+found';

const readableByOthers = 0o077;

interface DirectoryOptions {
  readonly directory: string;
  readonly mustExist?: boolean;
  readonly log: Log;
}

/** Messages are nobody else's business: the directory is its owner's, and what stands in it as well. */
export async function prepareDirectory({ directory, mustExist, log }: DirectoryOptions): Promise<void> {
  if (mustExist) {
    await stat(directory).catch(() => {
      throw new StoreError('unusable', `There is no data directory ${directory}; name it with --data-dir`);
    });
  }
  try {
    await makeDirectory(directory, 0o700);
  } catch (cause) {
    const what = `Cannot make the data directory ${directory}: ${fileProblem(cause as Error)}; choose another with --data-dir`;
    throw new StoreError('unusable', what, { cause });
  }
  // Windows has other means.
  if (process.platform !== 'win32') await tighten(directory, log);
}

async function tighten(directory: string, log: Log): Promise<void> {
  try {
    const names = await readdir(directory);
    for (const name of names.filter(isOwn)) await closeToOthers(join(directory, name));
    if (((await stat(directory)).mode & readableByOthers) === 0) return;
    // What else stands there may have to be read by others.
    if (names.some((name) => !isOwn(name) && !isOfVolume(name))) {
      const what =
        'others can read the data directory, which holds other files as well: give the data one of their own';
      return log.warn({ directory }, what);
    }
    await chmod(directory, 0o700);
    if (names.some(isOwn))
      log.warn({ directory }, 'others could read the data directory: from now on only its owner can');
  } catch (error) {
    const cause = (error as Error).message;
    log.warn(
      { directory, cause },
      'others may be able to read the data directory, and its permissions cannot be changed',
    );
  }
}

/** LevelDB makes its files readable by everybody who can reach them. */
async function closeToOthers(path: string): Promise<void> {
  const state = await stat(path);
  if (state.isFile() && (state.mode & readableByOthers) !== 0) await chmod(path, 0o600);
}
