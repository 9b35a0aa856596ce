/**
 * How many connections the system's limit of open files leaves room for. Beyond it not only connections fail: the database cannot
 * open its files, so one stranger with many connections could stop everybody's messages.
 */
import { readFileSync } from 'node:fs';

/** For the database, handshakes under way, certificates and logs: a quarter, but not more, nor less, than these. */
const reserve = { least: 80, most: 900 };

/** The limit of this process, which Node has raised as far as it may. Null where the system does not tell, or has none. */
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
