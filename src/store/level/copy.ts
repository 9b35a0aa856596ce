/**
 * The database in other forms: lines of JSON and back, and a copy of it. One batch is in memory at a time.
 */
import { readdir } from 'node:fs/promises';
import { StoreError } from '../../contracts/session-store.ts';
import type { Database } from './database.ts';
import { makeDirectory } from './make-directory.ts';
import { oldestFormat, Prefix } from './records.ts';

/** Records per batch written. */
const batchRecords = 1_000;

/** One record as a line says it: key and value in base64, as they stand, checksum included. */
interface Line {
  readonly key: string;
  readonly value: string;
}

/** The header names the format, so that a version that does not know it can refuse. */
interface Header {
  readonly sluice: 'export';
  readonly format: number;
}

/** The last line: without it, the rest is missing. */
interface End {
  readonly sluice: 'end';
  readonly records: number;
}

export async function* exportLines(database: Database, format: number): AsyncGenerator<string> {
  yield JSON.stringify({ sluice: 'export', format } satisfies Header);
  let records = 0;
  for await (const [key, value] of database.scanAll()) {
    if (isIdentity(key)) continue;
    records++;
    yield JSON.stringify({ key: key.toString('base64'), value: value.toString('base64') } satisfies Line);
  }
  yield JSON.stringify({ sluice: 'end', records } satisfies End);
}

/** Into an empty database. Throws a StoreError at a line that is none of ours. Returns how many records there were. */
export async function importLines(database: Database, lines: AsyncIterable<string>, format: number): Promise<number> {
  let number = 0;
  let end: number | null = null;
  let records: [Buffer, Buffer][] = [];
  const commits: [Buffer, Buffer][] = [];
  for await (const text of lines) {
    number++;
    const line = parse(text, number);
    if (number === 1) assertHeader(line, format);
    else if (line.sluice === 'end') end = Number(line.records);
    else if (typeof line.key !== 'string' || typeof line.value !== 'string') {
      throw new StoreError('damaged', `Line ${number} is not a record of sluice db export`);
    } else {
      const record: [Buffer, Buffer] = [Buffer.from(line.key, 'base64'), Buffer.from(line.value, 'base64')];
      if (!isIdentity(record[0])) (isCommit(record[0]) ? commits : records).push(record);
    }
    if (records.length === batchRecords) {
      await database.putAll(records);
      records = [];
    }
  }
  if (number === 0) throw new StoreError('damaged', 'There is nothing to import');
  if (end !== number - 2) {
    throw new StoreError(
      'damaged',
      `The export was cut off after line ${number}; what was imported so far is not complete`,
    );
  }
  await database.putAll(records);
  await database.putAll(commits);
  return end;
}

/** A copy is another database, with an identity of its own. */
const isIdentity = (key: Buffer): boolean => key[0] === Prefix.identity;

/** Written last of all: a database without a commit is one that is not complete, and is refused. */
const isCommit = (key: Buffer): boolean => key[0] === Prefix.commit;

function parse(text: string, number: number): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw new StoreError('damaged', `Line ${number} is not JSON`, { cause });
  }
}

function assertHeader(line: Record<string, unknown>, format: number): void {
  if (line.sluice !== 'export') throw new StoreError('damaged', 'This is not what sluice db export writes');
  if (typeof line.format !== 'number' || line.format > format) {
    const what = `The export has format ${line.format}, and this version of Sluice knows formats up to ${format}`;
    throw new StoreError('newer_format', what);
  }
  if (line.format < oldestFormat) {
    const what = `The export has format ${line.format}, and this version of Sluice reads none before ${oldestFormat}`;
    throw new StoreError('older_format', what);
  }
}

/** Makes it if it is missing. Rejects with a StoreError if there is something in it, or it cannot be made or read. */
export async function assertEmpty(directory: string): Promise<void> {
  const names = await makeDirectory(directory)
    .then(() => readdir(directory))
    .catch((cause: Error) => {
      throw new StoreError('unusable', `Cannot use ${directory}: ${cause.message}; name another directory`, { cause });
    });
  if (names.length > 0) {
    throw new StoreError('unusable', `${directory} is not empty; name a directory that is, or does not exist yet`);
  }
}

/** Everything that is committed at this moment, into an empty database. */
export async function copyAll(from: Database, to: Database): Promise<number> {
  let count = 0;
  let records: [Buffer, Buffer][] = [];
  const commits: [Buffer, Buffer][] = [];
  for await (const record of from.scanAll()) {
    if (isIdentity(record[0])) continue;
    (isCommit(record[0]) ? commits : records).push(record);
    count++;
    if (records.length < batchRecords) continue;
    await to.putAll(records);
    records = [];
  }
  await to.putAll(records);
  await to.putAll(commits);
  return count;
}
