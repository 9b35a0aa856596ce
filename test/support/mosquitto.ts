/** Debian's Mosquitto beside the broker of a test, on a free port of this machine. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export const hasMosquitto = spawnSync('mosquitto', ['-h']).error === undefined;

export interface Mosquitto {
  readonly port: number;
  stop(): Promise<void>;
}

/** `settings`: lines of mosquitto.conf, which is written into `directory`. */
export async function startMosquitto(directory: string, settings: readonly string[]): Promise<Mosquitto> {
  const port = await freePort();
  // Started by root it would give up its rights, and then could not read the directory.
  const user = process.getuid?.() === 0 ? ['user root'] : [];
  const file = join(directory, 'mosquitto.conf');
  writeFileSync(file, `${[`listener ${port} 127.0.0.1`, ...settings, ...user].join('\n')}\n`);
  const child = spawn('mosquitto', ['-c', file], { stdio: 'ignore' });
  while (!(await isOpen(port))) {
    if (child.exitCode !== null) throw new Error('mosquitto did not start');
    await delay(20);
  }
  return {
    port,
    async stop() {
      if (child.exitCode !== null) return;
      child.kill();
      await once(child, 'exit');
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const opened = await Promise.race([
    once(socket, 'connect').then(() => true),
    once(socket, 'close').then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return opened;
}
