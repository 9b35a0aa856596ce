/** Listeners on Unix-domain sockets: who may connect, and what they find where they are to listen. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { checkAddresses } from '../../../src/net/listen.ts';
import { Peer } from './peer.ts';
import { listenerTests } from './setup.ts';

const parent = mkdtempSync(join(tmpdir(), 'sluice-unix-'));
afterAll(() => rmSync(parent, { recursive: true }));
const { listening, sockets } = listenerTests();

let socket: string;
beforeEach(() => {
  socket = join(mkdtempSync(join(parent, 'test-')), 'mqtt.sock');
});

const open = (mode = '660') => listening.open({ kind: 'unix', socket, mode });

/** As a process leaves it that is killed while it listens. */
async function leaveStaleSocket(): Promise<void> {
  const code = `require('net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await once(spawn(process.execPath, ['-e', code]), 'exit');
  expect(lstatSync(socket).isSocket()).toBe(true);
}

test.each(['660', '0600', '666'])('has the permissions %s', async (mode) => {
  await open(mode);
  expect(lstatSync(socket).mode & 0o777).toBe(Number.parseInt(mode, 8));
});

test('a socket that a killed process left is replaced', async () => {
  await leaveStaleSocket();
  const listener = await open();
  const peer = await Peer.open(listener);
  sockets.push(peer.raw);
  expect(listening.accepted).toHaveLength(1);
});

test('a check of the addresses replaces nothing, and leaves nothing', async () => {
  await checkAddresses([{ kind: 'unix', socket }]);
  expect(existsSync(socket)).toBe(false);
  await leaveStaleSocket();
  await checkAddresses([{ kind: 'unix', socket }]);
  expect(existsSync(socket)).toBe(true);
});

test('a socket that somebody listens on stays theirs', async () => {
  const first = await open();
  const what = `Cannot listen on ${socket}: another process listens there; give the unix listener another "socket", or stop that process`;
  await expect(open()).rejects.toThrow(what);
  await expect(checkAddresses([{ kind: 'unix', socket }])).rejects.toThrow(what);
  const peer = await Peer.open(first);
  sockets.push(peer.raw);
});

test('a file of another kind stays as it is', async () => {
  writeFileSync(socket, 'notes');
  await expect(open()).rejects.toThrow(
    `Cannot listen on ${socket}: a file is there that is no socket; remove it, or give the unix listener another "socket"`,
  );
  expect(readFileSync(socket, 'utf8')).toBe('notes');
});

test('a directory that is not there is said', async () => {
  socket = join(parent, 'nowhere', 'mqtt.sock');
  await expect(open()).rejects.toThrow(
    `Cannot listen on ${socket}: ${join(parent, 'nowhere')}: there is no such directory; make one that Sluice may write to, or choose another "socket"`,
  );
});

test('a path that is too long is said, and not cut short', async () => {
  socket = `/tmp/${'x'.repeat(120)}`;
  await expect(open()).rejects.toThrow("its path has 125 bytes, and a socket's has 103 at most; shorten it");
});

test('is gone when the listener closes, so that the next one may have it', async () => {
  const listener = await open();
  await listener.close();
  expect(existsSync(socket)).toBe(false);
  await open();
});
