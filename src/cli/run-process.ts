/** A command as a process: its output, and its exit code. */

import { exitCodeOf } from './exit-code.ts';
import { type Command, processIo } from './io.ts';

export function runProcess(command: Command, argv: readonly string[]): void {
  // A reader that leaves (`sluice sub … | head`) is no error; the command that writes finds out by itself.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });

  // Until the command says otherwise: one whose answer never comes, with nothing left to wait for, has not worked.
  process.exitCode = 1;
  let hasEnded = false;
  process.once('beforeExit', () => {
    if (!hasEnded) process.stderr.write('Ended without an answer: what the command waited for is gone\n');
  });

  // No process.exit: what was written may still be on its way.
  void exitCodeOf(command, argv, processIo).then((code) => {
    hasEnded = true;
    process.exitCode = code;
  });
}
