/**
 * A running broker takes commands on a socket in its data directory, readable by its owner only: one line of JSON each way.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { realpathSync, rmSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Audit } from '../contracts/audit.ts';

export type Handlers = Readonly<Record<string, (argument: string) => Promise<string>>>;

/** Every command is told to the audit log, with what became of it. */
export function audited(handlers: Handlers, audit: Audit | null): Handlers {
  if (audit === null) return handlers;
  const entries = Object.entries(handlers).map(([command, handler]) => {
    const run = async (argument: string) => {
      try {
        const answer = await handler(argument);
        audit.record({ event: 'command', command, argument, outcome: 'done' });
        return answer;
      } catch (error) {
        audit.record({ event: 'command', command, argument, outcome: 'failed', reason: (error as Error).message });
        throw error;
      }
    };
    return [command, run] as const;
  });
  return Object.fromEntries(entries);
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

/** Of a broker with this data directory, which must exist. */
function socketPath(directory: string): string {
  const real = realpathSync(directory);
  const inside = join(real, 'control.sock');
  if (Buffer.byteLength(inside) <= pathBytesMax) return inside;
  return join(tmpdir(), `sluice-${createHash('sha256').update(real).digest('hex').slice(0, 16)}.sock`);
}

/** Returns a function that closes it. Rejects if there can be no socket, for example on a file system that has none. */
export async function serveControl(directory: string, handlers: Handlers): Promise<() => void> {
  const path = socketPath(directory);
  rmSync(path, { force: true }); // of a process that was killed; the database lock says that no other one is alive
  const server = createServer((socket) => {
    socket.on('error', () => {});
    createInterface({ input: socket }).once('line', async (line) => {
      socket.end(`${JSON.stringify(await answer(line, handlers))}\n`);
    });
  });
  server.listen(path);
  await once(server, 'listening');
  await chmod(path, 0o600);
  return () => server.close();
}

async function answer(line: string, handlers: Handlers): Promise<Answer> {
  try {
    const { command, argument } = JSON.parse(line) as Request;
    const handler = Object.hasOwn(handlers, command) ? handlers[command] : undefined;
    if (handler === undefined) return { error: `The broker knows no command "${command}"` };
    return { text: await handler(argument) };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

/** Rejects with the broker's own message if it refuses, and with ENOENT or ECONNREFUSED if none is running. */
export async function callControl(directory: string, command: string, argument: string): Promise<string> {
  const socket = connect(socketPath(directory));
  await once(socket, 'connect');
  socket.write(`${JSON.stringify({ command, argument } satisfies Request)}\n`);
  const [line] = (await once(createInterface({ input: socket }), 'line')) as [string];
  const { text, error } = JSON.parse(line) as Answer;
  if (error !== undefined) throw new Error(error);
  return text ?? '';
}
