/** The socket on which a running broker takes commands. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Commands, serveControl } from '../../../src/admin/control.ts';

test('one that asks and is gone before its answer harms nobody', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-control-'));
  const path = join(directory, 'control.sock');
  let asked = () => {};
  const isAsked = new Promise<void>((resolve) => (asked = resolve));
  let answer = (_text: string) => {};
  const commands = new Commands(
    {
      slow: () => {
        asked();
        return new Promise<string>((resolve) => (answer = resolve));
      },
      quick: async () => 'done',
    },
    null,
  );
  const close = await serveControl(path, commands);
  const ask = async (command: string): Promise<Socket> => {
    const socket = connect(path);
    await once(socket, 'connect');
    socket.write(`${JSON.stringify({ command, argument: '' })}\n`);
    return socket;
  };

  const gone = await ask('slow');
  await isAsked;
  gone.destroy();
  await once(gone, 'close');
  answer('x'.repeat(1_000_000));

  // An error that nobody takes would have ended this process.
  const [line] = (await once(await ask('quick'), 'data')) as [Buffer];
  expect(JSON.parse(line.toString())).toEqual({ text: 'done' });
  close();
  rmSync(directory, { recursive: true });
});
