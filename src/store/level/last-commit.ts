/**
 * Which commit was the last one to be synced, in a small file beside the database. LevelDB does not notice that the end
 * of its log is gone; this file tells.
 *
 * It has two slots, written in turn, each with a checksum: a write that is cut off leaves the other one. It is written
 * within 20 ms of a commit without a sync, so it survives a killed broker, and synced every second, so that a power cut
 * sets it back by little. It never says more than the database has: it lags behind, if anything.
 */
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

export const lastCommitName = 'last-commit';

/** The identity of the database, in hex, and the number of a commit. */
export interface LastCommit {
  readonly identity: string;
  readonly number: number;
}

/** The file while a broker has it open. */
export interface LastCommitFile {
  /** This commit is synced. Never waits and never throws. */
  note(number: number): void;
  /** Writes what was noted, and leaves the file alone from then on; with a number, writes that as well, synced. */
  close(number?: number | undefined): Promise<void>;
}

/** Where such files are: the file system, or the simulation's memory. */
export interface LastCommits {
  read(directory: string): Promise<LastCommit | 'missing' | 'damaged'>;
  /**
   * Writes it, synced. `onGone` is called when it is no longer in its directory: that was moved, unmounted or deleted.
   */
  write(directory: string, last: LastCommit, onGone: () => void): Promise<LastCommitFile>;
}

/** Each slot is alone in its sector, the unit that a disk writes whole. */
const slotBytes = 512;
const magic = Buffer.from('sluice 1');
const identityBytes = 16;
const textBytes = magic.length + identityBytes + 8;
const syncMs = 1_000;
/** A write of its own for each commit would make one that is alone cost half as much again. */
const writeMs = 20;

function slotOf({ identity, number }: LastCommit): Buffer {
  const slot = Buffer.alloc(slotBytes);
  magic.copy(slot);
  slot.write(identity, magic.length, 'hex');
  writeNumber(slot, number);
  return slot;
}

function writeNumber(slot: Buffer, number: number): void {
  slot.writeDoubleBE(number, textBytes - 8);
  slot.writeUInt32BE(crc32(slot.subarray(0, textBytes)), textBytes);
}

function readSlot(bytes: Buffer): LastCommit | null {
  if (bytes.length < textBytes + 4 || crc32(bytes.subarray(0, textBytes)) !== bytes.readUInt32BE(textBytes))
    return null;
  const identity = bytes.toString('hex', magic.length, magic.length + identityBytes);
  return { identity, number: bytes.readDoubleBE(textBytes - 8) };
}

async function read(directory: string): Promise<LastCommit | 'missing' | 'damaged'> {
  let bytes: Buffer;
  try {
    bytes = await readFile(join(directory, lastCommitName));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : 'damaged';
  }
  const slots = [readSlot(bytes), readSlot(bytes.subarray(slotBytes))].filter((slot) => slot !== null);
  const [first, second] = slots;
  if (first === undefined) return 'damaged';
  return second !== undefined && second.number > first.number ? second : first;
}

class OpenFile implements LastCommitFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #onGone: () => void;
  readonly #slot: Buffer;
  #slotIndex = 0;
  #noted = 0;
  #written = 0;
  #syncedAt = performance.now();
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, handle: FileHandle, last: LastCommit, onGone: () => void) {
    this.#path = path;
    this.#handle = handle;
    this.#onGone = onGone;
    this.#slot = slotOf(last);
    this.#noted = this.#written = last.number;
  }

  note(number: number): void {
    this.#noted = number;
    this.#timer ??= setTimeout(() => {
      // One write at a time: on a disk that hangs, it is the only thing that waits.
      this.#writing = this.#write().finally(() => {
        this.#timer = null;
        if (this.#noted !== this.#written) this.note(this.#noted);
      });
    }, writeMs);
  }

  async #write(): Promise<void> {
    const number = this.#noted;
    try {
      await this.#writeSlot(number);
      if (performance.now() - this.#syncedAt < syncMs) return;
      await this.#handle.datasync();
      this.#syncedAt = performance.now();
      if (!(await this.#isInPlace())) this.#onGone();
    } catch {
      // What could not be written makes the file lag, which does no harm; the database tells if the disk refuses.
      this.#written = number;
    }
  }

  async #writeSlot(number: number): Promise<void> {
    writeNumber(this.#slot, number);
    this.#slotIndex = 1 - this.#slotIndex;
    await this.#handle.write(this.#slot, 0, slotBytes, this.#slotIndex * slotBytes);
    this.#written = number;
  }

  async #isInPlace(): Promise<boolean> {
    const own = await this.#handle.stat();
    return stat(this.#path).then(
      (there) => there.ino === own.ino && there.dev === own.dev,
      (error) => error.code !== 'ENOENT',
    );
  }

  async close(number?: number | undefined): Promise<void> {
    await this.#writing;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const last = number ?? this.#noted;
    try {
      if (last === this.#written && number === undefined) return;
      // Into both slots, so that later damage to one of them is made up for.
      await this.#writeSlot(last);
      await this.#writeSlot(last);
      await this.#handle.datasync();
    } finally {
      await this.#handle.close();
    }
  }
}

async function write(directory: string, last: LastCommit, onGone: () => void): Promise<LastCommitFile> {
  const path = join(directory, lastCommitName);
  // Not truncated: what stands there is worth more than nothing until the new slots are written.
  const handle = await open(path, 'r+').catch(() => open(path, 'w+', 0o600));
  try {
    const slot = slotOf(last);
    await handle.write(Buffer.concat([slot, slot]), 0, 2 * slotBytes, 0);
    await handle.sync();
    return new OpenFile(path, handle, last, onGone);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

export const lastCommitFiles: LastCommits = { read, write };
