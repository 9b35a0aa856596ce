/** What systemd hears of a broker, by the real `systemd-notify`; Python listens, since Node has no such sockets. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, expect, test } from 'vitest';
import { serviceManager } from '../../../src/cli/service-manager.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-notify-'));
afterAll(() => rmSync(directory, { recursive: true }));

const hasBoth = ['systemd-notify', 'python3'].every((each) => spawnSync(each, ['--version']).status === 0);

/** Prints each message; what is sent with file descriptors is the barrier of systemd-notify, which waits for it. */
const listener = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listening', flush=True)
while True:
    text, files, _, _ = socket.recv_fds(s, 4096, 4)
    for each in files: os.close(each)
    if not files: print(text.decode().replace('\\n', ' '), flush=True)
`;

let python: ChildProcess | undefined;
afterEach(() => void python?.kill());

async function listen(path: string): Promise<string[]> {
  python = spawn('python3', ['-c', listener, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const heard: string[] = [];
  const lines = createInterface({ input: python.stdout! });
  await once(lines, 'line');
  lines.on('line', (line) => heard.push(line));
  return heard;
}

const withinMs = { timeout: 60_000 };

test.runIf(hasBoth)(
  'systemd hears that the broker takes clients, is alive, and stops',
  { timeout: 120_000 },
  async () => {
    const NOTIFY_SOCKET = join(directory, 'socket');
    const heard = await listen(NOTIFY_SOCKET);
    const manager = serviceManager({ NOTIFY_SOCKET, WATCHDOG_USEC: '300000', PATH: process.env.PATH });

    manager.ready('listening on mqtt://127.0.0.1:1883');
    await expect.poll(() => heard.filter((line) => line === 'WATCHDOG=1').length, withinMs).toBeGreaterThan(1);
    manager.stopping();
    await expect.poll(() => heard.at(-1), withinMs).toBe('STOPPING=1');

    expect(heard.slice(0, 2)).toEqual(['READY=1', 'STATUS=listening on mqtt://127.0.0.1:1883']);
  },
);

test('without systemd nothing is started', () => {
  const manager = serviceManager({ PATH: '/nowhere' });

  manager.ready('here');
  manager.stopping();
});
