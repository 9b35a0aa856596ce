/** What a command has to do with the process around it; tests give it another one. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { tuneEngine } from '../base/engine.ts';
import { type Member, memberOf } from './member.ts';

export interface Io {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /**
   * Calls back for each SIGINT and SIGTERM, which then do not end the process, until the returned function is called.
   */
  onSignal(listener: () => void): () => void;
  /** Calls back for each SIGHUP, until the returned function is called. */
  onReload(listener: () => void): () => void;
  /**
   * Calls back for each error that nobody took, which then does not end the process, until the returned function is
   * called.
   */
  onUncaught(listener: (error: Error) => void): () => void;
  /** Sets V8 up for a broker: see `base/engine.ts`. */
  tuneEngine(): void;
  /** Files that are made from now on are readable by their owner only. */
  keepFilesPrivate(): void;
  /** Ends the process at once. */
  exit(code: number): void;
  /** Which of several nodes this process is that one command has started; null: it runs on its own. */
  readonly member: Member | null;
}

/** Waits for the reader, so that output of any size takes no memory. */
export async function writeLine(line: string, stdout: Writable): Promise<void> {
  if (!stdout.write(`${line}\n`)) await once(stdout, 'drain');
}

/** Whether bytes are a text that a terminal can show as it is. */
export function isPrintable(bytes: Buffer): boolean {
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) && !/[^\x20-\x7e\s\u00a0-\uffff]/.test(text);
}

export type Command = (argv: readonly string[], io: Io) => Promise<void>;

/**
 * At its end Node waits for its threads, and one that is in a system call on a disk that hangs never comes back. So
 * another process ends this one if it is still there after a second; it knows by its standard input, which closes with
 * this process.
 */
function endAnyway(): void {
  if (process.platform === 'win32') return;
  const script = `(sleep 1; kill -9 ${process.pid}) & sleeper=$!; cat >/dev/null; kill $sleeper`;
  try {
    spawn('sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true }).on('error', () => {});
  } catch {
    // No process can be made: it ends as it can.
  }
}

const member = memberOf(process.env);

export const processIo: Io = {
  member,
  environment: process.env,
  // Opened when asked for: an open standard input would keep the process alive.
  get stdin() {
    return process.stdin;
  },
  stdout: process.stdout,
  stderr: process.stderr,
  onSignal(listener) {
    if (member !== null) return member.onStop(listener);
    const signals = ['SIGINT', 'SIGTERM'] as const;
    for (const signal of signals) process.on(signal, listener);
    return () => {
      for (const signal of signals) process.off(signal, listener);
    };
  },
  onReload(listener) {
    if (member !== null) return member.onReload(listener);
    process.on('SIGHUP', listener);
    return () => process.off('SIGHUP', listener);
  },
  onUncaught(listener) {
    process.on('uncaughtException', listener);
    return () => process.off('uncaughtException', listener);
  },
  tuneEngine,
  keepFilesPrivate: () => void process.umask(0o077),
  exit(code) {
    endAnyway();
    process.exit(code);
  },
};
