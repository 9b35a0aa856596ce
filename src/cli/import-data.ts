/** `sluice import … --data`: a data directory out of what another broker has kept, all of it or nothing. */
import { statSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { plural } from '../base/plural.ts';
import { silentLog } from '../contracts/log.ts';
import { readAedes } from '../import/aedes/level.ts';
import { readDatabase } from '../import/mosquitto/database.ts';
import { type Moved, moveData } from '../import/move-data.ts';
import type { SavedData } from '../import/saved.ts';
import { assertEmpty } from '../store/level/copy.ts';
import { recordsOf } from '../store/level/disk.ts';
import { LevelStore } from '../store/level/level-store.ts';
import { CommandError } from './usage.ts';

/**
 * Out of a `mosquitto.db`. Returns what to tell. Rejects if the file cannot be used, or the directory is not empty;
 * then nothing is there.
 */
export async function importMosquittoData(file: string, directory: string): Promise<string> {
  const data = readDatabase(file);
  const remarks = data.isFinal
    ? []
    : [`Mosquitto has not written ${file} when it stopped, but before: if it still runs, stop it and do this again`];
  return importData({ from: file, data, leftAt: statSync(file).mtimeMs, remarks }, directory);
}

/** The same out of the directory of a LevelDB that aedes-persistence-level has filled. */
export async function importAedesData(from: string, directory: string): Promise<string> {
  const data = await readAedes(from, recordsOf(from));
  const lost = plural(data.wills, 'will');
  const remarks = data.wills === 0 ? [] : [`left out, since Aedes did not end in order: ${lost} of clients`];
  return importData({ from, data, leftAt: statSync(from).mtimeMs, remarks }, directory);
}

interface Source {
  /** Its file or directory. */
  readonly from: string;
  readonly data: SavedData;
  /** When its broker stopped, in milliseconds since the epoch. */
  readonly leftAt: number;
  /** What else to tell. */
  readonly remarks: readonly string[];
}

async function importData(source: Source, directory: string): Promise<string> {
  await assertEmpty(directory);
  const target = resolve(directory);
  // Beside it, so that it can take its place at once.
  const draft = await mkdtemp(join(dirname(target), '.importing-'));
  try {
    const moved = await fill(draft, source);
    await rename(draft, target).catch((cause: Error) => {
      const what = `Cannot put the data at ${directory}: ${cause.message}`;
      throw new CommandError(`${what}; name a directory of a file system that is not mounted there itself with --to`);
    });
    return report(source, directory, moved);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

async function fill(directory: string, { data, leftAt }: Source): Promise<Moved> {
  const options = { durability: 'sync', topics: [], maxCommitDelayMs: 0, cacheBytes: 0, acceptLoss: false } as const;
  const store = new LevelStore({ directory, ...options, log: silentLog });
  await store.load();
  try {
    return await moveData(data, store, { now: Date.now(), leftAt });
  } finally {
    await store.close();
  }
}

function report({ from, remarks }: Source, directory: string, moved: Moved): string {
  const { sessions, subscriptions, queued, inFlight, retained, endedSessions, leftBehind, expired } = moved;
  const lines = [
    `${from}: moved to ${directory}`,
    `  ${plural(sessions, 'session')} with ${plural(subscriptions, 'subscription')}`,
    `  ${plural(queued, 'message')} that wait for their clients, ${inFlight} of them sent and not acknowledged`,
    `  ${plural(retained, 'retained message')}`,
  ];
  if (expired > 0) lines.push(`  left out, since their time is over: ${plural(expired, 'message')}`);
  if (endedSessions > 0) {
    const what = plural(endedSessions, 'session');
    lines.push(`  left out, of bridges or over: ${what} with ${plural(leftBehind, 'message')}`);
  }
  lines.push(...remarks.map((remark) => `  ${remark}`));
  return `${lines.join('\n')}\n`;
}
