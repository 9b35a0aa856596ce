/**
 * The LevelDB under the store: opening it and refusing what cannot be trusted, and batches that go on after a disk that
 * refused.
 */
import { systemTimers, type Timers } from '../../base/clock.ts';
import type { Log } from '../../contracts/log.ts';
import { StoreError } from '../../contracts/session-store.ts';
import { ByteWriter } from './bytes.ts';
import { type Batch, type Disk, type KeyValues, levelDisk, type OpenOptions } from './disk.ts';
import { format, key, numberOf, Prefix, readCommit, readFormat, writeFormat } from './records.ts';

export interface DatabaseOptions extends OpenOptions {
  readonly log: Log;
  readonly timers?: Timers;
  readonly disk?: Disk;
}

const retryMs = 1_000;

export class Database {
  readonly #options: DatabaseOptions;
  #db: KeyValues;
  /** The number of the last batch that is known to be in the database. */
  commitNumber = 0;
  lastMessageId = 0;
  lastSessionId = 0;
  /** What the closing record of the last run says; null if it has none. */
  maybeSentUpTo: number | null = null;
  isFailing = false;
  #isClosing = false;

  private constructor(options: DatabaseOptions, db: KeyValues) {
    this.#options = options;
    this.#db = db;
  }

  static async open(options: DatabaseOptions): Promise<Database> {
    const database = new Database(options, await (options.disk ?? levelDisk).open(options));
    try {
      await database.#checkFormat();
      await database.#checkCommits();
    } catch (error) {
      await database.#db.close();
      throw error;
    }
    return database;
  }

  async #checkFormat(): Promise<void> {
    const { directory } = this.#options;
    const formatKey = Buffer.of(Prefix.format);
    const value = await this.#db.get(formatKey);
    if (value === undefined) {
      const [any] = await this.#db.iterator({ limit: 1 }).all();
      if (any !== undefined && !this.#options.acceptLoss) {
        const what = `${directory} holds a database that is not Sluice's, or one whose first record is lost`;
        throw new StoreError('damaged', `${what}. Choose another directory, or go on regardless with --accept-loss`);
      }
      return this.#writeFormat();
    }
    const found = readFormat(value);
    if (found > format) {
      const what = `${directory} has format ${found}, and this version of Sluice knows formats up to ${format}`;
      throw new StoreError('newer_format', `${what}. Start the newer version that wrote it`);
    }
    // Records of older formats stay as they are until they are written again; what is written from now on is of this one.
    if (found < format) await this.#writeFormat();
  }

  #writeFormat(): Promise<void> {
    return this.#db.put(Buffer.of(Prefix.format), writeFormat(new ByteWriter()), { sync: true });
  }

  /**
   * Each commit replaces the one before it: two of them mean that what removed the first is lost. Where there is none, nothing
   * was written but the format, or a copy was not finished.
   */
  async #checkCommits(): Promise<void> {
    const { directory, acceptLoss, log } = this.#options;
    const range = { gte: Buffer.of(Prefix.commit), lt: Buffer.of(Prefix.commit + 1) };
    const commits = await this.#db.iterator(range).all();
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
      const { lastMessageId, lastSessionId, maybeSentUpTo } = readCommit(value);
      this.maybeSentUpTo = maybeSentUpTo;
      this.commitNumber = Math.max(this.commitNumber, numberOf(each));
      this.lastMessageId = Math.max(this.lastMessageId, lastMessageId);
      this.lastSessionId = Math.max(this.lastSessionId, lastSessionId);
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
  }

  /** Rejects while the database is closed by a failure. */
  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#db.getMany(keys);
  }

  /**
   * Writes a batch as the next commit, and does not give up: if the disk refuses, the database is opened anew every second
   * (LevelDB takes nothing more after an error) until it takes the batch. `fill` is called for each attempt, and goes on in the
   * next round of the event loop where it yields.
   */
  async commit(fill: (batch: Batch) => Iterable<void>, value: () => Buffer, sync: boolean): Promise<void> {
    const { timers = systemTimers } = this.#options;
    const number = this.commitNumber + 1;
    for (;;) {
      try {
        const batch = this.#db.batch();
        for (const _ of fill(batch)) await new Promise<void>((resolve) => timers.after(0, resolve));
        batch.del(key(Prefix.commit, number - 1));
        batch.put(key(Prefix.commit, number), value());
        await batch.write({ sync });
        break;
      } catch (error) {
        if (this.#isClosing) throw error;
        this.#tellFailure(error as Error);
        await this.#reopen();
        // The refused batch may be in the log all the same.
        if (this.commitNumber === number) break;
      }
    }
    this.commitNumber = number;
    if (this.isFailing) this.#options.log.warn({}, 'the data directory takes writes again: acknowledging goes on');
    this.isFailing = false;
  }

  #tellFailure(error: Error): void {
    if (this.isFailing) return;
    this.isFailing = true;
    const { directory, log } = this.#options;
    const cause = (error.cause as Error | undefined)?.message ?? error.message;
    log.error({ directory, cause }, 'cannot write to the data directory: nothing more is acknowledged until it can');
  }

  async #reopen(): Promise<void> {
    const { timers = systemTimers, disk = levelDisk } = this.#options;
    while (!this.#isClosing) {
      await new Promise<void>((resolve) => timers.after(retryMs, resolve));
      try {
        await this.#db.close();
        this.#db = await disk.open({ ...this.#options, acceptLoss: false });
        await this.#checkCommits();
        return;
      } catch {
        // Still refused; told already.
      }
    }
  }

  /**
   * Ends the run; `closingRecord`, in the place of the last commit's own, says that it ended in good order. If the disk refuses,
   * the next start takes it for a crash, which does no harm.
   */
  async close(closingRecord?: Buffer): Promise<void> {
    this.#isClosing = true;
    if (closingRecord !== undefined) {
      await this.#db.put(key(Prefix.commit, this.commitNumber), closingRecord, { sync: true }).catch(() => {});
    }
    await this.#db.close();
  }
}
