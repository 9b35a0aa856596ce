/** The HTTP API of a broker that `startBroker` has started in `folder`. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { projectRoot } from './project-root.ts';

export const sluice = (...args: string[]): string =>
  execFileSync(process.execPath, [join(projectRoot(), 'dist/program/main.js'), ...args], { encoding: 'utf8' });

/** Where it listens, as the broker's log says. */
export async function apiAddress(folder: string): Promise<URL> {
  for (let i = 0; i < 50; i++) {
    const [, url] = /"url":"(http:[^"]+)"/.exec(readFileSync(join(folder, 'log'), 'utf8')) ?? [];
    if (url !== undefined) return new URL(url);
    await delay(100);
  }
  throw new Error('the HTTP API does not listen');
}

export const apiKey = (folder: string, role: string, name = role): string =>
  sluice('admin', 'key', 'create', name, '--role', role, '--data-dir', join(folder, 'data')).trim();
