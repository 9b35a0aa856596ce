/** Debian's Mosquitto beside the broker of a test, on a free port of this machine. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, untilOpen } from '../../scripts/ports.ts';

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
  const ended = new AbortController();
  child.once('exit', () => ended.abort()).once('error', () => ended.abort());
  if (!(await untilOpen(port, ended.signal))) throw new Error('mosquitto did not start');
  return {
    port,
    async stop() {
      if (child.exitCode !== null) return;
      child.kill();
      await once(child, 'exit');
    },
  };
}
