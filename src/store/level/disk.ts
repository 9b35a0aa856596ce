/**
 * The key-value database under the store: what of it is used, and how LevelDB is opened as one.
 */
import { existsSync, statSync } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Level } from 'level';
import type { Log } from '../../contracts/log.ts';
import { StoreError } from '../../contracts/session-store.ts';
import { prepareDirectory } from './directory.ts';
import { checkFiles, damageText, type Files, levelFiles, logsOf, tablesOf } from './files/check.ts';
import { finishSalvage, isHalfSalvaged, newestRecords, salvage, salvageLockName, setAside } from './files/salvage.ts';
import { type LastCommits, lastCommitFiles, lastCommitName } from './last-commit.ts';

/** Changes that are written together or not at all. Keys and values are copied when they are given. */
export interface Batch {
  put(key: Buffer, value: Buffer): unknown;
  del(key: Buffer): unknown;
  /** With `sync`, resolves once the disk has it, and everything written before it. */
  write(options: { readonly sync: boolean }): Promise<void>;
}

export interface Range {
  readonly gte?: Buffer;
  readonly lt?: Buffer;
  readonly limit?: number;
  readonly highWaterMarkBytes?: number;
}

/** Records in the order of their keys. After a write that failed it takes nothing more until it is opened anew. */
export interface KeyValues {
  get(key: Buffer): Promise<Buffer | undefined>;
  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]>;
  put(key: Buffer, value: Buffer, options: { readonly sync: boolean }): Promise<void>;
  del(key: Buffer, options: { readonly sync: boolean }): Promise<void>;
  batch(): Batch;
  iterator(range: Range): AsyncIterable<[Buffer, Buffer]> & { all(): Promise<[Buffer, Buffer][]> };
  /** What records with keys from `start` to `end` take on disk, about, without what was written lately. */
  approximateSize?(start: Buffer, end: Buffer): Promise<number>;
  close(): Promise<void>;
}

export interface OpenOptions {
  readonly directory: string;
  /** Go on although a part of what was acknowledged is lost. */
  readonly acceptLoss: boolean;
  readonly log: Log;
  /** Refuse to make a database where there is none. */
  readonly mustExist?: boolean;
  /** It was open a moment ago, in this process: make nothing anew, mend nothing, and be quick. */
  readonly isReopening?: boolean;
}

/** What databases are on: the file system, or the simulation's memory. */
export interface Disk {
  /** Rejects with a StoreError. */
  open(options: OpenOptions): Promise<KeyValues>;
  /** Without it, nobody notices that the end of a database is missing. */
  readonly lastCommits?: LastCommits;
}

/** A larger write buffer than LevelDB's 4 MiB means fewer and cheaper compactions: 8.2 -> 7.6 µs a message. */
const levelOptions = { keyEncoding: 'buffer', valueEncoding: 'buffer', writeBufferSize: 16_777_216 } as const;

export const levelDisk: Disk = {
  lastCommits: lastCommitFiles,

  async open(options) {
    try {
      return await openChecked(options);
    } catch (error) {
      throw asStoreError(error as Error, options.directory);
    }
  },
};

async function openChecked(options: OpenOptions): Promise<KeyValues> {
  const { directory, isReopening } = options;
  if (!isReopening) await prepareDirectory(options);
  const db = await openUnlessBroken(options, false);
  // What was found a moment ago may be what another process that mends it had done so far: it is looked at anew.
  return db ?? whileMending(directory, async () => (await openUnlessBroken(options, true))!);
}

/** Null if something is to be mended, and this is not the time for it. */
async function openUnlessBroken(options: OpenOptions, mayMend: boolean): Promise<KeyValues | null> {
  const { directory, isReopening = false, acceptLoss } = options;
  if (mayMend) await finishSalvage(directory, new Date());
  const names = await levelFiles(directory);
  if (!mayMend && !isReopening && isHalfSalvaged(directory)) return null;
  let isNew = names.length === 0;
  if (isNew) {
    if (!mayMend && acceptLoss && existsSync(join(directory, lastCommitName))) return null;
    await assertMayBeNew(options);
  } else if (!isReopening) {
    await assertUnlocked(directory);
    if (await isStillborn(directory, names)) return openStillborn(directory, names);
  }
  if (!isNew) {
    const files = await checkFiles(directory, names, isReopening);
    if (files.damage.length > 0 && acceptLoss && !mayMend) return null;
    if (files.damage.length > 0) isNew = await mend(options, files);
  }
  const db = await openLevel(directory, isNew).catch(async (error: Error) => {
    // Checksums fit, and LevelDB is not content all the same.
    if (codeOf(error) !== 'LEVEL_CORRUPTION') throw error;
    if (acceptLoss && !mayMend) return null;
    const damage = { file: 'LevelDB', what: `says: ${causeOf(error).message}`, bytes: 0 };
    return openLevel(directory, await mend(options, { manifest: null, damage: [damage] }));
  });
  if (db !== null) await syncNames(directory);
  return db;
}

/**
 * What a start would say of the files in this directory before LevelDB is asked; null: nothing. It reads all of them,
 * as a start does, and changes none. Rejects with a StoreError if one cannot be read.
 */
export async function problemOfFiles(directory: string): Promise<string | null> {
  const names = await levelFiles(directory);
  if (names.length === 0) return existsSync(join(directory, lastCommitName)) ? databaseIsGone(directory) : null;
  if (isHalfSalvaged(directory) || (await isStillborn(directory, names))) return null;
  const { damage } = await checkFiles(directory, names);
  return damage.length === 0 ? null : databaseIsDamaged(directory, damage);
}

/**
 * Every record of a LevelDB database that no process has open, whoever has made it, in no order. Rejects with a
 * StoreError if it is open, damaged, or none.
 */
export async function* recordsOf(directory: string): AsyncGenerator<[key: Buffer, value: Buffer]> {
  const names = await levelFiles(directory).catch(() => []);
  if (names.length === 0) throw new StoreError('unusable', `There is no LevelDB database in ${directory}`);
  await assertUnlocked(directory).catch((error: Error) => {
    throw asStoreError(error, directory);
  });
  const files = await checkFiles(directory, names);
  if (files.damage.length > 0) throw new StoreError('damaged', databaseIsDamaged(directory, files.damage));
  yield* newestRecords(directory, files);
}

const databaseIsGone = (directory: string) =>
  `The database in ${directory} is gone: only the file ${lastCommitName} is left of it`;
const databaseIsDamaged = (directory: string, damage: Files['damage']) =>
  `The database in ${directory} is damaged: ${damageText(damage)}`;

/** Its making was cut short: it has never had a record, nor an open file for them. */
async function isStillborn(directory: string, names: readonly string[]): Promise<boolean> {
  if (existsSync(join(directory, lastCommitName)) || tablesOf(names).length > 0) return false;
  const sizes = await Promise.all(logsOf(names).map(async (name) => (await stat(join(directory, name))).size));
  return sizes.every((size) => size === 0);
}

/** LevelDB tries first, under its lock: another process may be making the database at this moment. */
async function openStillborn(directory: string, names: readonly string[]): Promise<KeyValues> {
  const db = await openLevel(directory, true).catch(async (error: Error) => {
    if (codeOf(error) === 'LEVEL_LOCKED') throw error;
    for (const name of names) await rm(join(directory, name), { force: true });
    return openLevel(directory, true);
  });
  await syncNames(directory);
  return db;
}

/**
 * One process at a time mends a data directory. LevelDB's own lock cannot be held meanwhile, so a database beside it,
 * which has nothing in it, lends its one.
 */
async function whileMending<T>(directory: string, work: () => Promise<T>): Promise<T> {
  const at = join(directory, salvageLockName);
  const lock = await openLevel(at, true).catch(async (error: Error) => {
    if (codeOf(error) === 'LEVEL_LOCKED') throw error;
    // It has nothing to lose.
    await rm(at, { recursive: true, force: true });
    return openLevel(at, true);
  });
  return work().finally(() => lock.close());
}

/** Where nothing is of a database, there was none, or it was lost. */
async function assertMayBeNew({ directory, acceptLoss, log, mustExist, isReopening }: OpenOptions): Promise<void> {
  if (mustExist || isReopening) {
    throw new StoreError('unusable', `There is no database in ${directory}; name its directory with --data-dir`);
  }
  const mark = join(directory, lastCommitName);
  if (!existsSync(mark)) return log.info({ directory }, 'a new database is made');
  const what = databaseIsGone(directory);
  if (!acceptLoss) {
    throw new StoreError('damaged', `${what}. Restore a backup, or start with an empty one with --accept-loss`);
  }
  log.warn({ directory }, `${what}; starting with an empty one, as --accept-loss says`);
  await rm(mark);
}

/** Returns whether a new database is to be made, because nothing could be saved. */
async function mend({ directory, acceptLoss, log, isReopening }: OpenOptions, files: Files): Promise<boolean> {
  const what = databaseIsDamaged(directory, files.damage);
  if (!acceptLoss || isReopening) {
    throw new StoreError('damaged', `${what}. Restore a backup, or save what is left with --accept-loss`);
  }
  log.warn({ directory }, `${what}; saving what can be read, as --accept-loss says`);
  try {
    const { records, folder } = await salvage(directory, files, new Date());
    log.warn({ directory, records, folder }, 'what could be read is in a new database; the damaged files were moved');
    return false;
  } catch (error) {
    if (error instanceof StoreError) throw error;
    const folder = await setAside(directory, new Date());
    log.error({ directory, folder, cause: (error as Error).message }, 'nothing could be saved; the files were moved');
    return true;
  }
}

async function openLevel(directory: string, createIfMissing: boolean): Promise<Level<Buffer, Buffer>> {
  const db = new Level<Buffer, Buffer>(directory, { ...levelOptions, createIfMissing });
  await db.open();
  return db;
}

/** Before anything is read: another broker may be changing the files. */
async function assertUnlocked(directory: string): Promise<void> {
  // This never opens, but takes the lock before it finds out.
  const probe = new Level(directory, { createIfMissing: false, errorIfExists: true });
  await probe.open().catch((error: Error) => {
    if (codeOf(error) === 'LEVEL_LOCKED') throw error;
  });
  await probe.close();
}

const causeOf = (error: Error): NodeJS.ErrnoException => (error.cause ?? error) as NodeJS.ErrnoException;
const codeOf = (error: Error): string | undefined => causeOf(error).code;

function asStoreError(error: Error, directory: string): StoreError {
  if (error instanceof StoreError) return error;
  const cause = causeOf(error);
  if (cause.code === 'LEVEL_LOCKED') {
    const what = `The data directory ${directory} is in use by another process`;
    return new StoreError('locked', `${what}; stop that one, or choose another directory with --data-dir`, { cause });
  }
  const another = 'choose another with --data-dir';
  const cannot = (why: string) =>
    new StoreError('unusable', `Cannot open the data directory ${directory}: ${why}`, { cause });
  if (/permission denied/i.test(cause.message)) return cannot(`${ownersOf(directory)}; ${another}`);
  if (/no such file or directory|read-only file system/i.test(cause.message)) {
    return cannot(`no file can be made there (${cause.message}); ${another}`);
  }
  if (/no space left/i.test(cause.message)) return cannot('the disk is full; make room on it');
  return cannot(cause.message);
}

/** Whose data it is, and who asks. */
function ownersOf(directory: string): string {
  const own = process.getuid?.();
  const { uid } = statSync(directory, { throwIfNoEntry: false }) ?? {};
  if (own === undefined || uid === undefined || uid === own) return 'its permissions do not allow it';
  return `it belongs to the user with the number ${uid}, and this process runs as ${own}; start it as that user`;
}

/** LevelDB syncs what it writes, but not that the file `CURRENT`, and the directory itself, have their names. */
async function syncNames(directory: string): Promise<void> {
  // Windows knows no such thing.
  if (process.platform === 'win32') return;
  for (const each of [directory, dirname(resolve(directory))]) {
    const handle = await open(each, 'r').catch((error: NodeJS.ErrnoException) => {
      // Who may not read the directory above has not made this one either.
      if (each !== directory && error.code === 'EACCES') return null;
      throw error;
    });
    await handle?.sync().finally(() => handle.close());
  }
}
