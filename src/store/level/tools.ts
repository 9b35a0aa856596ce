/** What the command line does with the database of a stopped broker. */
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Log } from '../../contracts/log.ts';
import { silentLog } from '../../contracts/log.ts';
import { StoreError } from '../../contracts/session-store.ts';
import { assertEmpty, exportLines, importLines } from './copy.ts';
import { Database } from './database.ts';
import { checkFiles, levelFiles } from './files/check.ts';
import { newestRecords } from './files/salvage.ts';
import { type CheckResult, checkDatabase, type Records, type Statistics, statisticsOf } from './inspect.ts';
import { format } from './records.ts';

export type { CheckResult, QueueStatistics, Statistics } from './inspect.ts';

async function withDatabase<T>(
  directory: string,
  use: (database: Database) => Promise<T>,
  log: Log = silentLog,
): Promise<T> {
  const database = await Database.open({ directory, acceptLoss: false, mustExist: true, log });
  try {
    return await use(database);
  } finally {
    await database.close();
  }
}

/** `problem`: what is wrong with the database as a whole, where something is; then it is what can be read of it. */
export type OfWhatIsThere<T> = T & { readonly problem: string | null };

async function withWhatIsThere<T>(directory: string, use: (records: Records) => Promise<T>): Promise<OfWhatIsThere<T>> {
  try {
    return { ...(await withDatabase(directory, use)), problem: null };
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'damaged') throw error;
    return { ...(await use(await readableRecords(directory))), problem: error.message };
  }
}

async function readableRecords(directory: string): Promise<Records> {
  const files = await checkFiles(directory, await levelFiles(directory));
  const scanAll = () => newestRecords(directory, files);
  async function* scan(prefix: number): AsyncGenerator<[Buffer, Buffer]> {
    for await (const record of scanAll()) if (record[0][0] === prefix) yield record;
  }
  return { scan, scanAll };
}

export const check = (directory: string): Promise<OfWhatIsThere<CheckResult>> =>
  withWhatIsThere(directory, checkDatabase);

export const statistics = (directory: string): Promise<OfWhatIsThere<Statistics>> =>
  withWhatIsThere(directory, statisticsOf);

/** Calls `write` for each line. */
export function exportTo(directory: string, write: (line: string) => Promise<void>): Promise<void> {
  return withDatabase(directory, async (database) => {
    for await (const line of exportLines(database, format)) await write(line);
  });
}

/** Into a directory that is empty or does not exist. Returns how many records there were. */
export async function importFrom(directory: string, input: Readable): Promise<number> {
  await assertEmpty(directory);
  const database = await Database.open({ directory, acceptLoss: false, mustExist: false, log: silentLog });
  try {
    return await importLines(database, createInterface({ input }), format);
  } finally {
    await database.close();
  }
}
