/**
 * A disk in memory, and what befalls disks: writes that are late, hang, fail, fail although they arrived, find no room,
 * or are lost in a power cut because they were not synced. A batch is there whole or not at all, and never without
 * those before it.
 */

import type { Random } from '../../scripts/crash/random.ts';
import { StoreError } from '../../src/contracts/session-store.ts';
import type { Batch, Disk, KeyValues, OpenOptions, Range } from '../../src/store/level/disk.ts';
import type { LastCommit, LastCommits } from '../../src/store/level/last-commit.ts';
import { idListKey, key, numberOf, Prefix, readMessage } from '../../src/store/level/records.ts';
import { type Life, Violation, type World } from './world.ts';

type Change = readonly [key: string, value: Buffer | null];

/** How much of the story, which is what the broker has decided, a batch has. */
export interface Mark {
  /** So many entries of it. */
  readonly entries: number;
  /**
   * But not what subscribers get of these messages, by their numbers: not all of them have got it yet, and a later
   * batch has it.
   */
  readonly without: ReadonlySet<number>;
}

const nothing: Mark = { entries: 0, without: new Set() };

interface Written {
  readonly changes: readonly Change[];
  /** Null for what is no commit. */
  readonly mark: Mark | null;
}

/** Keys as text whose order is the order of the bytes. */
const text = (key: Buffer) => key.toString('latin1');

export interface DiskHabits {
  /** A batch takes up to this long. */
  readonly writeMs: number;
  readonly readMs: number;
  /** How likely a batch takes ten times as long. */
  readonly slowWrites: number;
}

/** `hangs`: neither reads nor writes come to an end. */
export type DiskState = 'takes' | 'refuses' | 'hangs';

export class SimulatedDisk implements Disk {
  #state: DiskState = 'takes';
  /** When it last refused or hung. */
  inTroubleUntil = Number.NEGATIVE_INFINITY;
  hasBeenInTrouble = false;
  /** What goes on once the disk does. */
  #hanging: (() => void)[] = [];
  /** While a broker starts, nothing takes time. */
  isInstant = false;
  readonly #world: World;
  readonly #random: Random;
  readonly #habits: DiskHabits;
  readonly markNow: () => Mark;
  #synced = new Map<string, Buffer>();
  #unsynced: Written[] = [];
  #current = new Map<string, Buffer>();
  #writing: Written | null = null;
  /** Null: nothing is being written. */
  writingSince: number | null = null;
  /**
   * Survives everything at once, so that a start after a power cut would refuse if it ever said more than the database
   * has.
   */
  #lastCommit: LastCommit | null = null;
  readonly lastCommits: LastCommits = {
    read: async () => this.#lastCommit ?? 'missing',
    write: async (_, last) => {
      this.#lastCommit = last;
      const note = (number: number) => {
        this.#lastCommit = { ...last, number };
      };
      return { note, close: async (number) => (number === undefined ? undefined : note(number)) };
    },
  };
  #life: Life = { isOver: false };
  #handle: SimulatedLevel | null = null;
  /** By the number of the commit: a batch that is tried again is still what it was. */
  readonly #marks = new Map<number, Mark>();
  #writtenMark = nothing;
  #syncedMark = nothing;

  /** `markNow`: how much the broker has decided so far. */
  constructor(world: World, random: Random, habits: DiskHabits, markNow: () => Mark) {
    this.#world = world;
    this.#random = random;
    this.#habits = habits;
    this.markNow = markNow;
  }

  /** What was decided up to here is with the operating system. */
  get writtenMark(): number {
    return this.#writtenMark.entries;
  }

  get syncedMark(): number {
    return this.#syncedMark.entries;
  }

  get isWriting(): boolean {
    return this.#writing !== null;
  }

  get state(): DiskState {
    return this.#state;
  }

  set state(state: DiskState) {
    if (this.#state !== 'takes') this.inTroubleUntil = this.#world.time;
    this.#state = state;
    this.hasBeenInTrouble ||= state !== 'takes';
    if (state === 'hangs') return;
    for (const goOn of this.#hanging.splice(0)) this.#later(0, goOn);
  }

  get keys(): string[] {
    return [...this.#current.keys()].sort();
  }

  /** The next broker is this one's life. */
  belongTo(life: Life): void {
    this.#life = life;
  }

  async open(_options: OpenOptions): Promise<KeyValues> {
    if (this.#state === 'refuses' && this.#random.isLucky(0.5)) {
      throw new StoreError('unusable', 'The simulated disk cannot be opened');
    }
    // LevelDB writes what is in its log into a table, and syncs that, before it serves anything.
    this.#synced = new Map(this.#current);
    this.#unsynced = [];
    this.#syncedMark = this.#writtenMark;
    this.#handle = new SimulatedLevel(this);
    return this.#handle;
  }

  /** The process is killed. Returns how much of what it had decided is there after the next start. */
  kill(): Mark {
    this.#settleWriting();
    this.#handle = null;
    return this.#writtenMark;
  }

  /** The power fails: of what was not synced, the first so many batches are there. */
  cutPower(): Mark {
    this.#settleWriting();
    const kept = this.#unsynced.slice(0, this.#random.between(0, this.#unsynced.length));
    this.#current = new Map(this.#synced);
    this.#writtenMark = this.#syncedMark;
    for (const each of kept) this.#apply(each);
    this.#unsynced = kept;
    this.#handle = null;
    return this.#writtenMark;
  }

  /** What was being written may be there or not. */
  #settleWriting(): void {
    const writing = this.#writing;
    this.#writing = this.writingSince = null;
    if (writing !== null && this.#random.isLucky(0.5)) this.#write(writing);
  }

  #write(written: Written): void {
    this.#unsynced.push(written);
    this.#apply(written);
  }

  #apply({ changes, mark }: Written): void {
    for (const [key, value] of changes) {
      if (value === null) this.#current.delete(key);
      else this.#current.set(key, value);
    }
    if (mark !== null) this.#writtenMark = mark;
    for (const [at, value] of changes) {
      if (value !== null && at.charCodeAt(0) === Prefix.message) this.#checkContent(Buffer.from(at, 'latin1'), value);
    }
  }

  /** Each batch may be the last one: what a message relies on must not come with a later one. */
  #checkContent(at: Buffer, value: Buffer): void {
    const id = numberOf(at);
    const { contentNumber, recipients } = readMessage(value, id);
    if (contentNumber !== null && !this.#current.has(text(key(Prefix.content, contentNumber)))) {
      throw new Violation('a message is on disk with its content', `${id} is there, and ${contentNumber} is not`);
    }
    for (const { sid, idList } of recipients) {
      if (idList === null || this.#current.has(text(idListKey(sid, idList.number)))) continue;
      const which = `${id} for session ${sid} is there, and list ${idList.number} is not`;
      throw new Violation('a message is on disk with its subscription identifiers', which);
    }
  }

  /** Whether these records outlive what the store's durability promises to outlive. */
  has(durability: 'sync' | 'os', ...keys: readonly Buffer[]): boolean {
    const records = durability === 'sync' ? this.#synced : this.#current;
    return keys.every((each) => records.has(text(each)));
  }

  #sync(): void {
    for (const { changes } of this.#unsynced) {
      for (const [key, value] of changes) {
        if (value === null) this.#synced.delete(key);
        else this.#synced.set(key, value);
      }
    }
    this.#unsynced = [];
    this.#syncedMark = this.#writtenMark;
  }

  #markOf(changes: readonly Change[], begunAt: Mark): Mark | null {
    for (const [key, value] of changes) {
      if (key.charCodeAt(0) !== Prefix.commit || value === null) continue;
      const number = numberOf(Buffer.from(key, 'latin1'));
      const mark = this.#marks.get(number) ?? begunAt;
      this.#marks.set(number, mark);
      return mark;
    }
    return null;
  }

  /** A commit number of a life that is over says nothing of the next one's. */
  forgetMarks(): void {
    this.#marks.clear();
  }

  // What a handle asks for

  /**
   * `begunAt`: how much the broker had decided when it began to fill the batch. What it decides meanwhile is for the
   * next one.
   */
  writeBatch(handle: SimulatedLevel, changes: readonly Change[], sync: boolean, begunAt = this.markNow()) {
    const written = { changes, mark: this.#markOf(changes, begunAt) };
    return new Promise<void>((resolve, reject) => {
      if (handle !== this.#handle || handle.isBroken) return reject(new Error('Database is not open'));
      this.#writing = written;
      this.writingSince = this.#world.time;
      const finish = () => {
        if (this.#writing !== written) return;
        this.#writing = this.writingSince = null;
        if (this.#state === 'refuses') {
          handle.isBroken = true;
          // It may be in the log all the same.
          const isThere = this.#random.isLucky(0.3);
          if (isThere) this.#write(written);
          this.#world.tell(() => `disk: a batch is refused${isThere ? ', though it is there' : ''}`);
          return reject(new Error('IO error: No space left on device'));
        }
        this.#write(written);
        if (sync) this.#sync();
        resolve();
      };
      const { writeMs, slowWrites } = this.#habits;
      const factor = this.#random.isLucky(slowWrites) ? 10 : 1;
      this.#later(this.#random.between(0, writeMs * factor), finish);
    });
  }

  readMany(handle: SimulatedLevel, keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    const read = () => keys.map((key) => copy(this.#current.get(text(key))));
    if (handle !== this.#handle) return Promise.reject(new Error('Database is not open'));
    if (this.isInstant) return Promise.resolve(read());
    return new Promise((resolve, reject) => {
      this.#later(this.#random.between(0, this.#habits.readMs), () => {
        if (handle !== this.#handle) reject(new Error('Database is not open'));
        else resolve(read());
      });
    });
  }

  *scan({ gte, lt, limit }: Range): Generator<[Buffer, Buffer]> {
    let left = limit ?? Number.POSITIVE_INFINITY;
    for (const key of this.keys) {
      if ((gte !== undefined && key < text(gte)) || (lt !== undefined && key >= text(lt))) continue;
      if (left-- === 0) return;
      yield [Buffer.from(key, 'latin1'), copy(this.#current.get(key))!];
    }
  }

  closed(handle: SimulatedLevel): void {
    if (this.#handle === handle) this.#handle = null;
  }

  #later(ms: number, run: () => void): void {
    if (this.isInstant) return run();
    const unlessHanging = () => {
      if (this.#state === 'hangs') this.#hanging.push(unlessHanging);
      else run();
    };
    this.#world.after(ms, unlessHanging, this.#life);
  }
}

const copy = (value: Buffer | undefined) => (value === undefined ? undefined : Buffer.from(value));

/** The disk's files, open. */
class SimulatedLevel implements KeyValues {
  /** A write failed: it takes nothing more. */
  isBroken = false;
  readonly #disk: SimulatedDisk;

  constructor(disk: SimulatedDisk) {
    this.#disk = disk;
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    return (await this.#disk.readMany(this, [key]))[0];
  }

  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#disk.readMany(this, keys);
  }

  put(key: Buffer, value: Buffer, { sync }: { readonly sync: boolean }): Promise<void> {
    return this.#disk.writeBatch(this, [[text(key), Buffer.from(value)]], sync);
  }

  del(key: Buffer, { sync }: { readonly sync: boolean }): Promise<void> {
    return this.#disk.writeBatch(this, [[text(key), null]], sync);
  }

  batch(): Batch {
    const changes: Change[] = [];
    const begunAt = this.#disk.markNow();
    return {
      put: (key, value) => changes.push([text(key), Buffer.from(value)]),
      del: (key) => changes.push([text(key), null]),
      write: ({ sync }) => this.#disk.writeBatch(this, changes, sync, begunAt),
    };
  }

  iterator(range: Range) {
    const disk = this.#disk;
    return {
      async *[Symbol.asyncIterator]() {
        yield* disk.scan(range);
      },
      all: async () => [...disk.scan(range)],
    };
  }

  async close(): Promise<void> {
    this.#disk.closed(this);
  }
}
