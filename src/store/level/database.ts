/**
 * The LevelDB under the store: opening it and refusing what cannot be trusted, and batches that go on after a disk that
 * refused.
 */
import { randomBytes } from 'node:crypto';
import { systemTimers, type Timers } from '../../base/clock.ts';
import { StoreError } from '../../contracts/session-store.ts';
import { ByteWriter, CorruptValue } from './bytes.ts';
import { type Batch, type Disk, type KeyValues, levelDisk, type OpenOptions } from './disk.ts';
import type { LastCommit, LastCommitFile } from './last-commit.ts';
import {
  format,
  key,
  numberOf,
  oldestFormat,
  Prefix,
  readCommit,
  readFormat,
  readIdentityRecord,
  writeFormat,
  writeIdentityRecord,
} from './records.ts';

export interface DatabaseOptions extends OpenOptions {
  readonly timers?: Timers;
  readonly disk?: Disk;
}

const retryMs = 1_000;
/** While the database cannot be written, the log says so again after so many attempts: about once a minute. */
const attemptsPerReminder = 60;

/** The database was closed before the commit could be made: nothing is promised any more. */
export class DatabaseClosed extends Error {
  override readonly name = 'DatabaseClosed';
}

export class Database {
  readonly #options: DatabaseOptions;
  #db: KeyValues;
  /** Random, written once: whether what is opened anew is what was there before. */
  #identity = '';
  #lastCommit: LastCommitFile | null = null;
  /** Why nothing may be written before the database has been opened anew. */
  #gone: Error | null = null;
  /** The number of the last batch that is known to be in the database. */
  commitNumber = 0;
  lastMessageId = 0;
  lastSessionId = 0;
  /** Why nothing can be written at the moment, for people; null while all is well. */
  failure: string | null = null;
  /** An earlier version wrote it. */
  #isOlder = false;
  #isClosing = false;
  /** The last attempt to open the database anew. */
  #opening: Promise<void> = Promise.resolve();

  private constructor(options: DatabaseOptions, db: KeyValues) {
    this.#options = options;
    this.#db = db;
  }

  static async open(options: DatabaseOptions): Promise<Database> {
    const database = new Database(options, await (options.disk ?? levelDisk).open(options));
    try {
      await database.#checkFormat();
      await database.#checkCommits();
      await database.#checkEnd();
      // Last, and not for whoever only reads: until then the version that wrote it can go on with it.
      if (database.#isOlder && !options.mustExist) await database.#writeFormat();
    } catch (error) {
      await database.#closeLastCommit();
      await database.#db.close();
      throw error;
    }
    return database;
  }

  async #checkFormat(): Promise<void> {
    const { directory } = this.#options;
    const formatKey = Buffer.of(Prefix.format);
    const value = await this.#db.get(formatKey);
    const found = value === undefined ? null : readable(() => readFormat(value));
    if (found === null) {
      const [any] = await this.#db.iterator({ limit: 1 }).all();
      if (any !== undefined && !this.#options.acceptLoss) {
        const what = `${directory} holds a database that is not Sluice's, or one whose first record is lost`;
        throw new StoreError('damaged', `${what}. Choose another directory, or go on regardless with --accept-loss`);
      }
      return this.#writeFormat();
    }
    if (found > format) {
      const what = `${directory} has format ${found}, and this version of Sluice knows formats up to ${format}`;
      throw new StoreError('newer_format', `${what}. Start the newer version that wrote it`);
    }
    if (found < oldestFormat) {
      const what = `${directory} has format ${found}, and this version of Sluice reads none before ${oldestFormat}`;
      throw new StoreError('older_format', `${what}. Choose another directory, or start the version that wrote it`);
    }
    // Records of older formats stay as they are until they are written again; what is written from now on is of this
    // one.
    this.#isOlder = found < format;
  }

  #writeFormat(): Promise<void> {
    return this.#db.put(Buffer.of(Prefix.format), writeFormat(new ByteWriter()), { sync: true });
  }

  /**
   * Each commit replaces the one before it: two of them mean that what removed the first is lost. Where there is none,
   * nothing was written but the format, or a copy was not finished.
   */
  async #checkCommits(): Promise<void> {
    const { directory, acceptLoss, log } = this.#options;
    const commits = await commitsIn(this.#db);
    if (commits.length === 0 && !acceptLoss) {
      const [any] = await this.#db.iterator({ gte: Buffer.of(Prefix.commit), limit: 1 }).all();
      if (any !== undefined) {
        const what = `${directory} is not complete: a backup or an import into it did not come to its end`;
        throw new StoreError('damaged', `${what}. Make it anew, or go on with what is there with --accept-loss`);
      }
    }
    if (commits.length > 1) {
      const numbers = commits.map(([each]) => numberOf(each)).join(' and ');
      const what = `${directory} is damaged: commits between ${numbers} are missing, so acknowledged messages may be lost`;
      if (!acceptLoss)
        throw new StoreError('damaged', `${what}. Restore a backup, or go on regardless with --accept-loss`);
      log.warn({ directory }, `${what}; going on, as --accept-loss says`);
      for (const [each] of commits.slice(0, -1)) await this.#db.del(each, { sync: true });
    }
    for (const [each, value] of commits) {
      const commit = readable(() => readCommit(value));
      if (commit === null && !acceptLoss) {
        const what = `The record of the last commit in ${directory} is damaged`;
        throw new StoreError('damaged', `${what}. Restore a backup, or go on regardless with --accept-loss`);
      }
      const { lastMessageId, lastSessionId } = commit ?? unknownCommit;
      this.commitNumber = Math.max(this.commitNumber, numberOf(each));
      this.lastMessageId = Math.max(this.lastMessageId, lastMessageId);
      this.lastSessionId = Math.max(this.lastSessionId, lastSessionId);
    }
  }

  /**
   * The end of the database is whole if it has the commit that was last when it was written. A file that lags is no
   * mistake: it is not synced with each commit.
   */
  async #checkEnd(): Promise<void> {
    const { directory, acceptLoss, log, disk = levelDisk } = this.#options;
    const stored = await this.#db.get(Buffer.of(Prefix.identity));
    const own = stored === undefined ? null : readable(() => readIdentityRecord(stored));
    if (disk.lastCommits === undefined) {
      this.#identity = own ?? '';
      return;
    }
    const last = await disk.lastCommits.read(directory);
    const problem = this.#problemOfEnd(own, last);
    if (problem !== null && !acceptLoss) {
      const advice = 'Restore a backup, or go on with what is there with --accept-loss';
      throw new StoreError('damaged', `${problem}. ${advice}`);
    }
    if (problem !== null) log.warn({ directory }, `${problem}; going on, as --accept-loss says`);
    if (own !== null && typeof last === 'string') {
      const what = `the file last-commit in ${directory} is ${last}: whether the end of the data is there cannot be told`;
      log.warn({ directory }, `${what}; it is made anew`);
    }
    // The file first: a database without an identity takes over the file's, so a crash between the two does no harm.
    this.#identity =
      own ?? (typeof last === 'string' || problem !== null ? randomBytes(16).toString('hex') : last.identity);
    await this.#writeLastCommit();
    if (own !== null) return;
    const value = writeIdentityRecord(new ByteWriter(), this.#identity);
    await this.#db.put(Buffer.of(Prefix.identity), value, { sync: true });
  }

  /** Null if nothing is lost, as far as can be told. */
  #problemOfEnd(own: string | null, last: LastCommit | 'missing' | 'damaged'): string | null {
    if (typeof last === 'string') return null;
    const { directory } = this.#options;
    if (own !== null && own !== last.identity) {
      return `The file last-commit in ${directory} belongs to another database: files of two of them are mixed`;
    }
    if (last.number <= this.commitNumber) return null;
    const missing = `commit ${last.number} was the last one, and ${this.commitNumber} is the last one that is there`;
    return `The end of the database in ${directory} is missing, and acknowledged messages with it: ${missing}`;
  }

  async #writeLastCommit(): Promise<void> {
    const { directory, disk = levelDisk } = this.#options;
    const last = { identity: this.#identity, number: this.commitNumber };
    const onGone = () => {
      this.#gone = new Error(`the data directory ${directory} was moved, unmounted or deleted`);
    };
    try {
      this.#lastCommit = (await disk.lastCommits?.write(directory, last, onGone)) ?? null;
    } catch (cause) {
      const what = `Cannot write to the data directory ${directory}: ${(cause as Error).message}`;
      throw new StoreError('unusable', what, { cause });
    }
  }

  /** Everything under a prefix, in key order. */
  scan(prefix: number): AsyncIterable<[Buffer, Buffer]> {
    return this.#db.iterator({ gte: Buffer.of(prefix), lt: Buffer.of(prefix + 1), highWaterMarkBytes: 1_048_576 });
  }

  /** Every record, as it is at this moment: what is committed meanwhile does not appear. */
  scanAll(): AsyncIterable<[Buffer, Buffer]> {
    return this.#db.iterator({ highWaterMarkBytes: 1_048_576 });
  }

  /** Records as they are, checksums and commit number included, synced. For copies. */
  async putAll(records: readonly (readonly [Buffer, Buffer])[]): Promise<void> {
    const batch = this.#db.batch();
    for (const [key, value] of records) batch.put(key, value);
    await batch.write({ sync: true });
    for (const [key] of records) if (key[0] === Prefix.commit) this.#lastCommit?.note(numberOf(key));
  }

  /** Rejects while the database cannot be read. What stands in a damaged part of it counts as missing. */
  async getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    try {
      return await this.#db.getMany(keys);
    } catch (error) {
      if (!isCorruption(error as Error)) throw error;
      return Promise.all(keys.map((each) => this.#getUnlessDamaged(each)));
    }
  }

  async #getUnlessDamaged(at: Buffer): Promise<Buffer | undefined> {
    try {
      return await this.#db.get(at);
    } catch (error) {
      if (!isCorruption(error as Error)) throw error;
      const { directory, log } = this.#options;
      const what = 'a part of the database is damaged: restart the broker with --accept-loss, or restore a backup';
      log.error({ directory, record: at.toString('hex'), cause: rootMessage(error as Error) }, what);
      return undefined;
    }
  }

  /** What all records take on disk, about, without what was written lately; null where the disk does not tell. */
  async diskBytes(): Promise<number | null> {
    return (await this.#db.approximateSize?.(Buffer.of(0), Buffer.of(255))) ?? null;
  }

  /** Whether writing fails at the moment. */
  get isFailing(): boolean {
    return this.failure !== null;
  }

  /**
   * Writes a batch as the next commit, and does not give up: if the disk refuses, the database is opened anew every
   * second (LevelDB takes nothing more after an error) until it takes the batch. `fill` is called for each attempt, and
   * goes on in the next round of the event loop where it yields. Rejects if `fill` or `value` throws, which is a bug
   * and never the disk's fault; and with DatabaseClosed.
   */
  async commit(fill: (batch: Batch) => Iterable<void>, value: () => Buffer, sync: boolean): Promise<void> {
    const number = this.commitNumber + 1;
    for (;;) {
      const refusal = this.#gone ?? (await this.#tryCommit(number, fill, value, sync));
      if (refusal === null) break;
      if (this.#isClosing) throw new DatabaseClosed(rootMessage(refusal), { cause: refusal });
      this.#tellFailure(rootMessage(refusal));
      await this.#reopen();
      // The refused batch may be in the log all the same.
      if (this.commitNumber === number) break;
    }
    this.commitNumber = number;
    this.#options.log.debug({ number, isSynced: sync }, 'a commit is written');
    if (sync) this.#lastCommit?.note(number);
    if (this.isFailing) this.#options.log.warn({}, 'the data directory takes writes again: acknowledging goes on');
    this.failure = null;
  }

  /** Returns why the disk did not take it. */
  async #tryCommit(
    number: number,
    fill: (batch: Batch) => Iterable<void>,
    value: () => Buffer,
    sync: boolean,
  ): Promise<Error | null> {
    const { timers = systemTimers } = this.#options;
    if (this.#isClosing) return new Error('the database is closed');
    const batch = this.#db.batch();
    for (const _ of fill(batch)) {
      await new Promise<void>((resolve) => timers.after(0, resolve));
      // Closed meanwhile, the batch takes nothing more, which is not the fault of what fills it.
      if (this.#isClosing) return new Error('the database is closed');
    }
    batch.del(key(Prefix.commit, number - 1));
    batch.put(key(Prefix.commit, number), value());
    return batch.write({ sync }).then(
      () => null,
      (error: Error) => error,
    );
  }

  #tellFailure(cause: string): void {
    if (this.failure === cause) return;
    this.failure = cause;
    const { directory, log } = this.#options;
    log.error({ directory, cause }, 'cannot write to the data directory: nothing more is acknowledged until it can');
  }

  async #reopen(): Promise<void> {
    const { timers = systemTimers, log, directory } = this.#options;
    for (let attempt = 1; !this.#isClosing; attempt++) {
      await new Promise<void>((resolve) => timers.after(retryMs, resolve));
      if (this.#isClosing) return;
      try {
        this.#opening = this.#openAnew();
        return await this.#opening;
      } catch (error) {
        this.#tellFailure(rootMessage(error as Error));
        if (attempt % attemptsPerReminder !== 0) continue;
        const what = 'still cannot write to the data directory, and acknowledges nothing';
        log.error({ directory, cause: this.failure, seconds: (attempt * retryMs) / 1_000 }, what);
      }
    }
  }

  /** Takes the database only if it is the one that was there before, with everything that was acknowledged. */
  async #openAnew(): Promise<void> {
    const { disk = levelDisk, directory } = this.#options;
    await this.#db.close();
    await this.#closeLastCommit();
    const last = await disk.lastCommits?.read(directory);
    // Before anything is opened: LevelDB would begin to write into whatever is there now.
    if (last === 'missing') throw new Error(`the data directory ${directory} was moved, unmounted or deleted`);
    if (last !== undefined && last !== 'damaged' && last.identity !== this.#identity) throw this.#anotherDatabase();
    const db = await disk.open({ ...this.#options, acceptLoss: false, isReopening: true });
    try {
      const stored = await db.get(Buffer.of(Prefix.identity));
      if (stored !== undefined && readable(() => readIdentityRecord(stored)) !== this.#identity)
        throw this.#anotherDatabase();
      const numbers = (await commitsIn(db)).map(([each]) => numberOf(each));
      const newest = numbers.at(-1) ?? 0;
      if (numbers.length > 1 || newest < this.commitNumber) {
        const found = numbers.length > 0 ? numbers.join(' and ') : 'none';
        throw new Error(
          `commits up to ${this.commitNumber} were acknowledged, and the database in ${directory} has ${found}`,
        );
      }
      this.commitNumber = newest;
    } catch (error) {
      await db.close();
      throw error;
    }
    this.#db = db;
    await this.#writeLastCommit();
    this.#gone = null;
  }

  /** If it cannot be written, it lags, which does no harm. */
  async #closeLastCommit(number?: number): Promise<void> {
    const file = this.#lastCommit;
    this.#lastCommit = null;
    await file?.close(number).catch(() => {});
  }

  #anotherDatabase(): Error {
    return new Error(`the database in ${this.#options.directory} is not the one that was there before`);
  }

  /** A commit that the disk refuses is not tried again. */
  giveUp(): void {
    this.#isClosing = true;
  }

  /**
   * Ends the run; `closingRecord`, in the place of the last commit's own, syncs what was written before.
   */
  async close(closingRecord?: Buffer): Promise<void> {
    this.#isClosing = true;
    // Or it would open what is closed here.
    await this.#opening.catch(() => {});
    let synced: number | undefined;
    if (closingRecord !== undefined) {
      const closing = this.#db.put(key(Prefix.commit, this.commitNumber), closingRecord, { sync: true });
      synced = await closing.then(
        () => this.commitNumber,
        () => undefined,
      );
    }
    await this.#closeLastCommit(synced);
    await this.#db.close();
  }
}

const isCorruption = (error: Error): boolean => {
  return ((error.cause ?? error) as NodeJS.ErrnoException).code === 'LEVEL_CORRUPTION';
};

const commitKeyBytes = 9;
const unknownCommit = { lastMessageId: 0, lastSessionId: 0 };

/** Null if the value is damaged. */
function readable<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof CorruptValue) return null;
    throw error;
  }
}

async function commitsIn(db: KeyValues): Promise<[Buffer, Buffer][]> {
  const records = await db.iterator({ gte: Buffer.of(Prefix.commit), lt: Buffer.of(Prefix.commit + 1) }).all();
  return records.filter(([{ length }]) => length === commitKeyBytes);
}

/** What went wrong, in the words of whatever is at the bottom of it. */
function rootMessage(error: Error): string {
  return error instanceof StoreError ? error.message : ((error.cause as Error | undefined)?.message ?? error.message);
}
