/** What the command line does with the database of a stopped broker. */
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Log } from '../../contracts/log.ts';
import { silentLog } from '../../contracts/log.ts';
import { assertEmpty, exportLines, importLines } from './copy.ts';
import { Database } from './database.ts';
import { type CheckResult, checkDatabase, type Statistics, statisticsOf } from './inspect.ts';
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

export const check = (directory: string): Promise<CheckResult> => withDatabase(directory, checkDatabase);

export const statistics = (directory: string): Promise<Statistics> => withDatabase(directory, statisticsOf);

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
