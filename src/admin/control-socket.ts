/**
 * Where a running broker takes commands from whoever may use its files: a socket, readable by its owner only. It is in
 * the data directory; of a broker that keeps its data in memory, in a directory of the user's own for temporary files,
 * by the name of the data directory that it would have.
 */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { socketPathBytesMax } from '../base/socket-file.ts';

/** Of a broker whose data is in this directory, which must exist. */
export function socketIn(directory: string): string {
  const inside = join(realpathSync(directory), 'control.sock');
  return Buffer.byteLength(inside) <= socketPathBytesMax ? inside : socketBeside(directory);
}

/** Of a broker without a data directory; this is the one that it would have. */
export function socketBeside(directory: string): string {
  const real = existsSync(directory) ? realpathSync(directory) : resolve(directory);
  const name = createHash('sha256').update(real).digest('hex').slice(0, 16);
  const own = ownDirectory();
  if (existsSync(own)) assertOwn(own);
  return join(own, `${name}.sock`);
}

/**
 * Makes the directory of a socket beside the data, for a broker that is about to listen there. Commands only look: they
 * also run where nothing can be written.
 */
export function makeSocketDirectory(socket: string): void {
  const own = ownDirectory();
  if (dirname(socket) !== own) return;
  mkdirSync(own, { recursive: true, mode: 0o700 });
  assertOwn(own);
}

function ownDirectory(): string {
  // A container may run as a user that its /etc/passwd does not have: then `userInfo` throws. Windows has no numbers.
  return join(tmpdir(), `sluice-${process.getuid?.() ?? userInfo().username}`);
}

/** Others can write beside it, but must not be able to write into it. */
function assertOwn(own: string): void {
  const uid = process.getuid?.();
  const found = lstatSync(own);
  if (uid !== undefined && (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0)) {
    throw new Error(`${own} is not a directory that only you can use; remove it`);
  }
}
