/**
 * A running broker takes commands on a socket in its data directory, readable by its owner only: one line of JSON each way.
 */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';

export type Handlers = Readonly<Record<string, (argument: string) => Promise<string>>>;

interface Request {
  readonly command: string;
  readonly argument: string;
}

interface Answer {
  readonly text?: string;
  readonly error?: string;
}

/** Returns a function that closes it. */
export async function serveControl(path: string, handlers: Handlers): Promise<() => void> {
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

/** Rejects with the broker's own message if it refuses. */
export async function callControl(path: string, command: string, argument: string): Promise<string> {
  const socket = connect(path);
  await once(socket, 'connect');
  socket.write(`${JSON.stringify({ command, argument } satisfies Request)}\n`);
  const [line] = (await once(createInterface({ input: socket }), 'line')) as [string];
  const { text, error } = JSON.parse(line) as Answer;
  if (error !== undefined) throw new Error(error);
  return text ?? '';
}
