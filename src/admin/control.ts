/**
 * A running broker takes commands on a socket, readable by its owner only: one line of JSON each way. It is in the data
 * directory; of a broker that keeps its data in memory, in a directory of the user's own for temporary files, by the
 * name of the data directory that it would have.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, lstatSync, mkdirSync, realpathSync, rmSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type CommandAnswer, type CommandName, type CommandRequest, checkedAnswer } from '../contracts/commands.ts';
import type { Commands } from './commands.ts';

/** The socket takes no longer request. */
const requestBytesMax = 1_048_576;

type Reply = { readonly answer: object } | { readonly error: string };

/** The kernel takes no longer path for a socket: 108 bytes on Linux, 104 on macOS, with a zero at the end. */
const pathBytesMax = 103;

/** Of a broker whose data is in this directory, which must exist. */
export function socketIn(directory: string): string {
  const inside = join(realpathSync(directory), 'control.sock');
  return Buffer.byteLength(inside) <= pathBytesMax ? inside : socketBeside(directory);
}

/** Of a broker without a data directory; this is the one that it would have. */
export function socketBeside(directory: string): string {
  const real = existsSync(directory) ? realpathSync(directory) : resolve(directory);
  const name = createHash('sha256').update(real).digest('hex').slice(0, 16);
  return join(ownDirectory(), `${name}.sock`);
}

/** Others can write beside it, but not into it. */
function ownDirectory(): string {
  const { uid, username } = userInfo();
  const own = join(tmpdir(), `sluice-${uid < 0 ? username : uid}`);
  mkdirSync(own, { recursive: true, mode: 0o700 });
  const found = lstatSync(own);
  if (uid >= 0 && (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0)) {
    throw new Error(`${own} is not a directory that only you can use; remove it`);
  }
  return own;
}

/** Returns a function that closes it. Rejects if there can be no socket, for example on a file system that has none. */
export async function serveControl(path: string, commands: Commands): Promise<() => void> {
  if (await isServed(path)) throw new Error(`another broker takes the commands at ${path}`);
  rmSync(path, { force: true }); // of a process that was killed
  const server = createServer((socket) => {
    socket.on('error', () => {});
    const lines = createInterface({ input: socket });
    // It tells of the socket's errors once more: whoever asked is gone.
    lines.on('error', () => {});
    let isTaken = false;
    const take = (line: string | null) => {
      if (isTaken) return;
      isTaken = true;
      lines.close();
      // What comes behind it is not kept.
      socket.resume();
      void reply(line, commands).then((text) => socket.end(`${text}\n`));
    };
    lines.on('line', take);
    let bytes = 0;
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      if (bytes > requestBytesMax) take(null);
    });
  });
  server.listen(path);
  await once(server, 'listening');
  await chmod(path, 0o600);
  return () => server.close();
}

async function isServed(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** `line`: null if it is too long. */
async function reply(line: string | null, commands: Commands): Promise<string> {
  return JSON.stringify(
    await receive(line, commands).then(
      (answer): Reply => ({ answer }),
      ({ message }: Error): Reply => ({ error: message }),
    ),
  );
}

async function receive(line: string | null, commands: Commands): Promise<object> {
  if (line === null) return commands.refuse(`A request takes ${requestBytesMax} bytes at most`);
  let request: unknown;
  try {
    request = JSON.parse(line);
  } catch (error) {
    return commands.refuse(`A request is a line of JSON: ${(error as Error).message}`);
  }
  return commands.receive(request);
}

/** Rejects with the broker's own message if it refuses, and with ENOENT or ECONNREFUSED if none is running. */
export async function callControl<Name extends CommandName>(
  directory: string,
  command: Name,
  request: CommandRequest<Name>,
): Promise<CommandAnswer<Name>> {
  const socket = await reach(directory);
  try {
    socket.write(`${JSON.stringify({ command, request })}\n`);
    const reply = JSON.parse(await readLine(socket)) as Reply;
    if ('error' in reply) throw new Error(reply.error);
    return checkedAnswer(command, reply.answer);
  } finally {
    socket.destroy();
  }
}

async function reach(directory: string): Promise<Socket> {
  if (existsSync(directory)) {
    const inside = connect(socketIn(directory));
    const isThere = await once(inside, 'connect').then(
      () => true,
      () => false,
    );
    if (isThere) return inside;
  }
  const beside = connect(socketBeside(directory));
  await once(beside, 'connect');
  return beside;
}

/** Rejects if the broker ends before it has answered. */
function readLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: socket });
    lines.once('line', resolve);
    const ended = () =>
      reject(new Error('The broker ended before it answered; whether it did what it was told is not known'));
    socket.once('error', ended).once('close', ended);
  });
}
