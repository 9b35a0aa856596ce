/**
 * `sluice start` in a process that has V8's options for a broker, whoever starts it.
 *
 * V8 reads the size of its young space when it starts, so a running program cannot set it: the process replaces itself
 * (`execve`), which takes 40 ms and keeps its identifier, files and signals. Node 20 cannot do that. There the broker
 * runs in a child, which gets the signals of this process and ends when it ends.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { missingEngineOptions } from '../base/engine.ts';

const args = process.argv.slice(2);
const missing = missingEngineOptions();
const options = [...missing, ...process.execArgv];
/** Since Node 22.15, and not on Windows. */
const { execve } = process as { execve?: (file: string, argv: readonly string[], env: NodeJS.ProcessEnv) => never };

if (missing.length === 0) {
  await import('./main.ts');
} else if (execve !== undefined && process.platform !== 'win32') {
  execve(process.execPath, [process.execPath, ...options, process.argv[1]!, ...args], process.env);
} else {
  startChild();
}

function startChild(): void {
  const file = join(import.meta.dirname, 'start-child.js');
  const child = spawn(process.execPath, [...options, file, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    // Else Ctrl-C in a terminal reaches both, and a broker that gets two signals ends at once.
    detached: true,
    windowsHide: true,
  });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`Node could not be started for the broker: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    for (const each of signals) process.removeAllListeners(each);
    if (signal !== null) process.kill(process.pid, signal);
    else process.exitCode = code ?? 1;
  });
}
