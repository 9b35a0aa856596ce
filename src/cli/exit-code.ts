/** What becomes of the errors of a command: a text, and an exit code. */
import { AssertionError } from '../base/assert.ts';
import type { Command, Io } from './io.ts';
import { CommandError } from './usage.ts';

/** Resolves with the exit code: 0 done, 1 it did not work, 2 it was called wrongly. */
export async function exitCodeOf(command: Command, argv: readonly string[], io: Io): Promise<number> {
  try {
    await command(argv, io);
    return 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return 0;
    const text = errorText(error);
    // What is wrong was said on standard output.
    if (text !== '') io.stderr.write(`${text}\n`);
    return error instanceof CommandError ? error.exitCode : 1;
  }
}

/** What the world or the user did is told in its own words; a bug of ours with its stack. */
function errorText(error: unknown): string {
  const bugs = [TypeError, RangeError, ReferenceError, AssertionError];
  if (!(error instanceof Error)) return String(error);
  return (bugs.some((bug) => error instanceof bug) && error.stack) || error.message;
}
