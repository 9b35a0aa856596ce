/**
 * The key-value database under the store: what of it is used, and how LevelDB is opened as one.
 */
import { existsSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Level } from 'level';
import { StoreError } from '../../contracts/session-store.ts';
import { type LastCommits, lastCommitFiles } from './last-commit.ts';

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
  close(): Promise<void>;
}

export interface OpenOptions {
  readonly directory: string;
  /** Go on although a part of what was acknowledged is lost. */
  readonly acceptLoss: boolean;
  /** Refuse to make a database where there is none. */
  readonly mustExist?: boolean;
  /** It was open a moment ago, in this process: make nothing anew, and mend nothing. */
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
    const { directory } = options;
    if (options.mustExist && !existsSync(directory)) {
      throw new StoreError('unusable', `There is no data directory ${directory}; name it with --data-dir`);
    }
    try {
      await mkdir(directory, { recursive: true });
    } catch (cause) {
      const what = `Cannot make the data directory ${directory}: ${(cause as Error).message}`;
      throw new StoreError('unusable', what, { cause });
    }
    return openLevel(options);
  },
};

async function openLevel({ directory, acceptLoss }: OpenOptions): Promise<KeyValues> {
  const db = new Level<Buffer, Buffer>(directory, levelOptions);
  try {
    await db.open();
    await syncNames(directory);
    return db;
  } catch (error) {
    const cause = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
    if (cause.code === 'LEVEL_LOCKED') {
      const what = `The data directory ${directory} is in use by another process`;
      throw new StoreError('locked', `${what}; stop that one, or choose another directory with --data-dir`, { cause });
    }
    if (cause.code !== 'LEVEL_CORRUPTION') {
      throw new StoreError('unusable', `Cannot open the data directory ${directory}: ${cause.message}`, { cause });
    }
    const what = `The database in ${directory} is damaged: ${cause.message}`;
    if (!acceptLoss) {
      throw new StoreError('damaged', `${what}. Restore a backup, or save what is left with --accept-loss`, { cause });
    }
    // In Node, Level is ClassicLevel, whose types have it.
    await (Level as unknown as { repair(directory: string): Promise<void> }).repair(directory);
    return openLevel({ directory, acceptLoss: false });
  }
}

/** LevelDB syncs what it writes, but not that the file `CURRENT`, and the directory itself, have their names. */
async function syncNames(directory: string): Promise<void> {
  // Windows knows no such thing.
  if (process.platform === 'win32') return;
  for (const each of [directory, dirname(resolve(directory))]) {
    const handle = await open(each, 'r');
    await handle.sync().finally(() => handle.close());
  }
}
