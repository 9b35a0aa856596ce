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
import type { Audit } from '../contracts/audit.ts';

export type Handlers = Readonly<Record<string, (argument: string) => Promise<string>>>;

/**
 * All commands of a running broker. However one comes in, it runs here, so that each is in the audit log with what
 * became of it.
 */
export class Commands {
  readonly #handlers: Handlers;
  readonly #audit: Audit | null;

  constructor(handlers: Handlers, audit: Audit | null) {
    this.#handlers = handlers;
    this.#audit = audit;
  }

  /** Rejects with what to tell the operator. */
  async run(command: string, argument: string): Promise<string> {
    try {
      const answer = await this.#handler(command)(argument);
      this.#audit?.record({ event: 'command', command, argument, outcome: 'done' });
      return answer;
    } catch (error) {
      const reason = (error as Error).message;
      this.#audit?.record({ event: 'command', command, argument, outcome: 'failed', reason });
      throw error;
    }
  }

  #handler(command: string): Handlers[string] {
    const handler = Object.hasOwn(this.#handlers, command) ? this.#handlers[command] : undefined;
    if (handler === undefined) throw new Error(`The broker knows no command "${command}"`);
    return handler;
  }
}

interface Request {
  readonly command: string;
  readonly argument: string;
}

interface Answer {
  readonly text?: string;
  readonly error?: string;
}

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
    lines.once('line', async (line) => {
      socket.end(`${JSON.stringify(await answer(line, commands))}\n`);
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

async function answer(line: string, commands: Commands): Promise<Answer> {
  try {
    const { command, argument } = JSON.parse(line) as Request;
    return { text: await commands.run(command, argument) };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

/** Rejects with the broker's own message if it refuses, and with ENOENT or ECONNREFUSED if none is running. */
export async function callControl(directory: string, command: string, argument: string): Promise<string> {
  const socket = await reach(directory);
  try {
    socket.write(`${JSON.stringify({ command, argument } satisfies Request)}\n`);
    const { text, error } = JSON.parse(await readLine(socket)) as Answer;
    if (error !== undefined) throw new Error(error);
    return text ?? '';
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
