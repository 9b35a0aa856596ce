/**
 * Unix-domain sockets to listen on. A socket that a killed process has left behind is replaced; one that somebody
 * listens on, or a file of another kind, stays as it is.
 */
import { accessSync, chmodSync, constants, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileProblem } from '../base/file-problem.ts';
import { socketPathBytesMax, stateOfSocket } from '../base/socket-file.ts';
import type { UnixOptions } from './options.ts';

type Address = Pick<UnixOptions, 'socket'>;

/** Rejects with one line that says what to do if nobody could listen there. */
export async function checkSocket({ socket }: Address): Promise<'free' | 'stale'> {
  const bytes = Buffer.byteLength(socket);
  if (bytes > socketPathBytesMax) {
    throw cannot(socket, `its path has ${bytes} bytes, and a socket's has ${socketPathBytesMax} at most; shorten it`);
  }
  const folder = dirname(socket);
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    const what = isMissing ? 'there is no such directory' : fileProblem(cause as Error);
    throw cannot(socket, `${folder}: ${what}; make one that Sluice may write to, or choose another "socket"`, cause);
  }
  const state = await stateOfSocket(socket);
  if (state === 'served') {
    const how = 'give the unix listener another "socket", or stop that process';
    throw cannot(socket, `another process listens there; ${how}`, { code: 'EADDRINUSE' });
  }
  if (state === 'other') {
    throw cannot(socket, 'a file is there that is no socket; remove it, or give the unix listener another "socket"');
  }
  return state;
}

/** To be called just before and just after it listens. */
export async function makeWay(address: Address): Promise<void> {
  if ((await checkSocket(address)) === 'stale') rmSync(address.socket, { force: true });
}

/** Who may connect is who may write to it. */
export function setMode({ socket, mode }: UnixOptions): void {
  chmodSync(socket, Number.parseInt(mode, 8));
}

const cannot = (socket: string, why: string, cause?: unknown) =>
  new Error(`Cannot listen on ${socket}: ${why}`, { cause });

let connections = 0;

/** In place of an `address:port`: they have none, so a number tells them apart. */
export function nextPeerName(): string {
  connections = (connections + 1) % 1_000_000;
  return `unix:${connections}`;
}
