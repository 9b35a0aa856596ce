/**
 * How many connections the system's limit of open files leaves room for. Beyond it not only connections fail: the
 * database cannot open its files, so one peer with many connections could stop everybody's messages. And that room
 * itself, made in time.
 */
import { closeSync, open as openFile, openSync, readFileSync } from 'node:fs';
import { devNull } from 'node:os';
import { promisify } from 'node:util';

const open = promisify(openFile);

/** For the database, handshakes under way, certificates and logs: a quarter, but not more, nor less, than these. */
const reserve = { least: 80, most: 900 };

/**
 * Beyond, the pauses that `makeRoomForFiles` avoids are rare: each comes once, with as many connections more as there
 * ever were.
 */
const preparedMax = 16_384;

/**
 * The limit of this process, which Node has raised as far as it may. Null where the system does not tell, or has none.
 */
export function openFilesMax(): number | null {
  try {
    const limit = Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
    return Number.isInteger(limit) ? limit : null;
  } catch {
    return null;
  }
}

/** At least one, so that somebody can look what is wrong. */
export function connectionsWithin(openFiles: number): number {
  const kept = Math.min(reserve.most, Math.max(reserve.least, Math.ceil(openFiles / 4)));
  return Math.max(1, openFiles - kept);
}

/**
 * Makes the system's table of this process's open files large enough for so many, 16,384 at most.
 *
 * Linux doubles it for the file that does not fit any more, and in a process with threads whoever opens that one waits
 * 10 to 20 ms (`expand_fdtable` in fs/file.c). While 10,000 clients connect, that would stop the event loop six times;
 * here a thread of the pool waits. The table stays as it is when the files are closed.
 */
export async function makeRoomForFiles(count: number): Promise<void> {
  const wanted = Math.min(count, preparedMax);
  const opened: number[] = [];
  try {
    for (let size = tableSize(); size < wanted; size = tableSize()) {
      // What still fits costs a microsecond.
      while ((opened.at(-1) ?? 0) < size - 1) opened.push(openSync(devNull, 'r'));
      opened.push(await open(devNull, 'r'));
    }
  } catch {
    // There is no /proc, or the limit is lower now. Who comes will have to wait, as without this.
  } finally {
    for (const file of opened) closeSync(file);
  }
}

const tableSize = (): number => Number(/^FDSize:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
