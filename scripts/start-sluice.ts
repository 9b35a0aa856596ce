import { type ChildProcess, spawn } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { endsWithUs } from './child-processes.ts';
import { untilOpen } from './ports.ts';
import { startCommand } from './start-command.ts';

/**
 * This checkout's broker, as `npm start` runs it, with a configuration that has it listen on `port`. What it says is
 * added to the file `log`. Resolves once it listens; rejects with what it said if it ends before.
 */
export async function startSluice(config: string, port: number, log: string): Promise<ChildProcess> {
  const stdio = ['ignore', 'ignore', openSync(log, 'a')] as const;
  const args = [...startCommand(), '--config', config];
  const child = endsWithUs(spawn(process.execPath, args, { stdio: [...stdio] }));
  const ended = new AbortController();
  child.once('exit', () => ended.abort());
  if (!(await untilOpen(port, ended.signal))) throw new Error(readFileSync(log, 'utf8'));
  return child;
}
