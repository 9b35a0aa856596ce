/**
 * What can be read of a damaged database becomes a new one; the files of the old one are kept in a folder beside it.
 *
 * A crash at any moment leaves what can be gone on with: the new database is made in `salvaging`, which becomes
 * `salvaged` when it is complete and `installing` when the old files are out of the way.
 */
import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { StoreError } from '../../../contracts/session-store.ts';
import { type Files, levelFiles, logsOf, numberOfFile, read, tablesOf } from './check.ts';
import { type Change, changesOf, readLog } from './log.ts';
import { TableReader } from './table.ts';

const stages = { making: 'salvaging', complete: 'salvaged', installing: 'installing' } as const;
/** Who mends the directory holds the lock of a database of this name. */
export const salvageLockName = 'salvage-lock';
const batchRecords = 1_000;

export interface Salvaged {
  readonly records: number;
  /** Where the damaged files are now. */
  readonly folder: string;
}

/** `now` names the folder. */
export async function salvage(directory: string, files: Files, now: Date): Promise<Salvaged> {
  const into = join(directory, stages.making);
  await rm(into, { recursive: true, force: true });
  const records = await copyAll(newestRecords(directory, files), into).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'LEVEL_IO_ERROR' && cause.code !== 'ENOSPC') throw cause;
    const what = `Cannot write what is left of the database into ${into}: ${cause.message}`;
    throw new StoreError('unusable', `${what}. It takes about as much room as the database has`, { cause });
  });
  await rename(into, join(directory, stages.complete));
  return { records, folder: await install(directory, now) };
}

/** Moves the files of the database, as they are, out of the way. Returns where they are. */
export async function setAside(directory: string, now: Date): Promise<string> {
  const folder = join(directory, `damaged-${now.toISOString().replaceAll(/[:.]/g, '-')}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of await levelFiles(directory)) await rename(join(directory, name), join(folder, name));
  return folder;
}

/** A crash cut it short, or another process is at it: what stands there as a database is none. */
export function isHalfSalvaged(directory: string): boolean {
  return [stages.complete, stages.installing].some((name) => existsSync(join(directory, name)));
}

/** Goes on where a crash cut it short. */
export async function finishSalvage(directory: string, now: Date): Promise<void> {
  if (isHalfSalvaged(directory)) await install(directory, now);
}

async function install(directory: string, now: Date): Promise<string> {
  const complete = join(directory, stages.complete);
  const installing = join(directory, stages.installing);
  let folder = directory;
  if (existsSync(complete)) {
    folder = await setAside(directory, now);
    await rename(complete, installing);
  }
  // CURRENT last: without it, nobody takes the rest for a database.
  const names = (await levelFiles(installing)).sort((a, b) => Number(a === 'CURRENT') - Number(b === 'CURRENT'));
  for (const name of names) await rename(join(installing, name), join(directory, name));
  await rm(installing, { recursive: true });
  return folder;
}

async function* allChanges(
  directory: string,
  tables: readonly string[],
  logs: readonly string[],
): AsyncGenerator<Change> {
  for (const name of tables) {
    const file = await open(join(directory, name), 'r');
    try {
      yield* new TableReader(file, (await file.stat()).size).changes();
    } finally {
      await file.close();
    }
  }
  for (const name of logs) {
    const bytes = await read(directory, name);
    if (bytes === null) continue;
    for (const record of readLog(bytes).records) yield* changesOf(record);
  }
}

/**
 * What was not deleted, as it was last, wherever that stands. Reads everything twice, so that only keys are in memory.
 */
export async function* newestRecords(directory: string, { manifest }: Files): AsyncGenerator<[Buffer, Buffer]> {
  const names = await levelFiles(directory);
  // Without a MANIFEST that can be trusted, everything that is there may belong to it.
  const tables = tablesOf(names).filter((name) => manifest === null || manifest.tables.has(numberOfFile(name)));
  const logs = logsOf(names).filter((name) => manifest === null || numberOfFile(name) >= manifest.logNumber);
  const newest = new Map<string, number>();
  for await (const { key, sequence } of allChanges(directory, tables, logs)) {
    const name = key.toString('latin1');
    if (sequence >= (newest.get(name) ?? -1)) newest.set(name, sequence);
  }
  for await (const { key, sequence, value } of allChanges(directory, tables, logs)) {
    const name = key.toString('latin1');
    if (newest.get(name) !== sequence) continue;
    // The same change may stand in a log and in the table that was made of it.
    newest.delete(name);
    if (value !== null) yield [key, value];
  }
}

async function copyAll(records: AsyncIterable<[Buffer, Buffer]>, into: string): Promise<number> {
  const db = new Level<Buffer, Buffer>(into, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await db.open();
  try {
    let count = 0;
    let batch: { type: 'put'; key: Buffer; value: Buffer }[] = [];
    for await (const [key, value] of records) {
      count++;
      batch.push({ type: 'put', key, value });
      if (batch.length < batchRecords) continue;
      await db.batch(batch);
      batch = [];
    }
    await db.batch(batch, { sync: true });
    return count;
  } finally {
    await db.close();
  }
}
