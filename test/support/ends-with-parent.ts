/** Processes that must not outlive their test, though that is killed or hangs in a hook. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';

/**
 * The child is killed when this process ends in whatever way, also by SIGKILL: a shell beside it waits for the end of
 * `guard`, a pipe that only this process holds open.
 */
export function endsWithParent<T extends ChildProcess>(child: T): { readonly child: T; readonly guard: Writable } {
  const watcher = spawn('sh', ['-c', 'read -r _; kill -9 "$0"', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // Ctrl-C at a terminal goes to all processes of a group: this one is to see the end of the others.
    detached: true,
  });
  const guard = watcher.stdin;
  // Neither keeps this process from its end.
  watcher.unref();
  (guard as unknown as { unref(): void }).unref();
  child.once('exit', () => watcher.kill('SIGKILL'));
  return { child, guard };
}
