/** `sluice import mosquitto --data`: a data directory out of a `mosquitto.db`, all of it or nothing. */
import { statSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { plural } from '../base/plural.ts';
import { silentLog } from '../contracts/log.ts';
import { type MosquittoData, readDatabase } from '../import/mosquitto/database.ts';
import { type Moved, moveData } from '../import/move-data.ts';
import { assertEmpty } from '../store/level/copy.ts';
import { LevelStore } from '../store/level/level-store.ts';
import { CommandError } from './usage.ts';

/** Returns what to tell. Rejects if the file cannot be used, or the directory is not empty; then nothing is there. */
export async function importData(file: string, directory: string): Promise<string> {
  const data = readDatabase(file);
  const leftAt = statSync(file).mtimeMs;
  await assertEmpty(directory);
  const target = resolve(directory);
  // Beside it, so that it can take its place at once.
  const draft = await mkdtemp(join(dirname(target), '.importing-'));
  try {
    const moved = await fill(draft, data, leftAt);
    await rename(draft, target).catch((cause: Error) => {
      const what = `Cannot put the data at ${directory}: ${cause.message}`;
      throw new CommandError(`${what}; name a directory of a file system that is not mounted there itself with --to`);
    });
    return report(file, directory, data, moved);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

async function fill(directory: string, data: MosquittoData, leftAt: number): Promise<Moved> {
  const options = { durability: 'sync', topics: [], maxCommitDelayMs: 0, cacheBytes: 0, acceptLoss: false } as const;
  const store = new LevelStore({ directory, ...options, log: silentLog });
  await store.load();
  try {
    return await moveData(data, store, { now: Date.now(), leftAt });
  } finally {
    await store.close();
  }
}

function report(file: string, directory: string, { isFinal }: MosquittoData, moved: Moved): string {
  const { sessions, subscriptions, queued, inFlight, retained, endedSessions, leftBehind, expired } = moved;
  const lines = [
    `${file}: moved to ${directory}`,
    `  ${plural(sessions, 'session')} with ${plural(subscriptions, 'subscription')}`,
    `  ${plural(queued, 'message')} that wait for their clients, ${inFlight} of them sent and not acknowledged`,
    `  ${plural(retained, 'retained message')}`,
  ];
  if (expired > 0) lines.push(`  left out, since their time is over: ${plural(expired, 'message')}`);
  if (endedSessions > 0) {
    const what = plural(endedSessions, 'session');
    lines.push(`  left out, of bridges or over: ${what} with ${plural(leftBehind, 'message')}`);
  }
  if (!isFinal) {
    lines.push(
      `  Mosquitto has not written ${file} when it stopped, but before: if it still runs, stop it and do this again`,
    );
  }
  return `${lines.join('\n')}\n`;
}
