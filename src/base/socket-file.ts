/** Unix-domain sockets as files: how long their paths may be, and what is there already. */
import { once } from 'node:events';
import { lstatSync } from 'node:fs';
import { connect } from 'node:net';

/** The kernel takes no longer path for a socket: 108 bytes on Linux, 104 on macOS, with a zero at the end. */
export const socketPathBytesMax = 103;

/** Whether a process listens on the socket, and lets this one connect. */
export const isServed = async (path: string): Promise<boolean> => (await connectError(path)) === null;

/** `stale`: a socket that a killed process has left behind. `other`: no socket. */
export async function stateOfSocket(path: string): Promise<'free' | 'stale' | 'served' | 'other'> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return 'free';
  if (!found.isSocket()) return 'other';
  // After any other error somebody may well listen there, and not let this user in.
  return (await connectError(path)) === 'ECONNREFUSED' ? 'stale' : 'served';
}

/** Its code; null: there is a connection, which is closed again. */
async function connectError(path: string): Promise<string | null> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? '';
  } finally {
    socket.destroy();
  }
}
