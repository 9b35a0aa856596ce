/**
 * LevelDB's tables: blocks of sorted entries, an index that says where they are, and a footer that says where the index
 * is. Every block has a checksum, which LevelDB itself does not look at.
 */
import type { FileHandle } from 'node:fs/promises';
import { crc32c, masked } from './crc32c.ts';
import type { Change } from './log.ts';
import { uncompressed, varint } from './snappy.ts';

const footerBytes = 48;
const magic = Buffer.from('57fb808b247547db', 'hex');
/** Behind each block: how it is compressed, and the checksum of both. */
const trailerBytes = 5;
/** Behind each key: the number of the change, and whether it puts or deletes. */
const keyTrailerBytes = 8;
/** Read in one go; a block may be larger. */
const windowBytes = 1_048_576;

interface Handle {
  readonly offset: number;
  readonly bytes: number;
}

/** Damage within a table. */
export interface DamagedPiece {
  readonly offset: number;
  readonly bytes: number;
}

/** A table, or what is left of one. */
export class TableReader {
  readonly #file: FileHandle;
  readonly #fileBytes: number;
  #window = Buffer.alloc(0);
  #windowAt = 0;

  constructor(file: FileHandle, fileBytes: number) {
    this.#file = file;
    this.#fileBytes = fileBytes;
  }

  /** Reads everything and compares all checksums. */
  async check(): Promise<DamagedPiece[]> {
    const places = await this.#places();
    if (places === null) return [{ offset: 0, bytes: this.#fileBytes }];
    const damaged: DamagedPiece[] = [];
    for (const place of places) if (!(await this.#isWhole(place))) damaged.push(place);
    return damaged;
  }

  /** Everything that can be read, and no more than was written. */
  async *changes(): AsyncGenerator<Change> {
    const blocks = await this.#dataBlocks();
    if (blocks === null) yield* this.#changesWithoutIndex();
    else {
      for (const block of blocks) {
        const content = await this.#contentOf(block);
        if (content !== null) yield* changesIn(content);
      }
    }
  }

  /** Where all blocks are, in their order; null if that cannot be told. */
  async #places(): Promise<Handle[] | null> {
    const handles = await this.#footer();
    const data = await this.#dataBlocks();
    if (handles === null || data === null) return null;
    const meta = await this.#contentOf(handles.metaindex);
    if (meta === null) return null;
    const filters = handlesIn(meta);
    return filters === null ? null : [...data, ...filters];
  }

  async #dataBlocks(): Promise<Handle[] | null> {
    const handles = await this.#footer();
    const index = handles === null ? null : await this.#contentOf(handles.index);
    return index === null ? null : handlesIn(index);
  }

  async #footer(): Promise<{ readonly metaindex: Handle; readonly index: Handle } | null> {
    if (this.#fileBytes < footerBytes) return null;
    const footer = await this.#read(this.#fileBytes - footerBytes, footerBytes);
    if (footer === null || !footer.subarray(footerBytes - magic.length).equals(magic)) return null;
    const metaindex = handleAt(footer, 0);
    const index = metaindex === null ? null : handleAt(footer, metaindex.end);
    return index === null ? null : { metaindex: metaindex!, index };
  }

  /** Null if the block does not fit its checksum. */
  async #contentOf({ offset, bytes }: Handle): Promise<Buffer | null> {
    const block = await this.#read(offset, bytes + trailerBytes);
    if (block === null || masked(crc32c(block, 0, bytes + 1)) !== block.readUInt32LE(bytes + 1)) return null;
    return contentOf(block, bytes);
  }

  async #isWhole({ offset, bytes }: Handle): Promise<boolean> {
    if (offset + bytes + trailerBytes > this.#fileBytes - footerBytes) return false;
    let crc = 0;
    for (let at = 0; at < bytes + 1; at += windowBytes) {
      const part = await this.#read(offset + at, Math.min(windowBytes, bytes + 1 - at));
      if (part === null) return false;
      crc = crc32c(part, 0, part.length, crc);
    }
    const stored = await this.#read(offset + bytes + 1, 4);
    return stored !== null && masked(crc) === stored.readUInt32LE(0);
  }

  /** Null beyond the end of the file, and where the disk cannot read it. Valid until the next call. */
  async #read(offset: number, bytes: number): Promise<Buffer | null> {
    if (offset < 0 || offset + bytes > this.#fileBytes) return null;
    const isThere = offset >= this.#windowAt && offset + bytes <= this.#windowAt + this.#window.length;
    if (!isThere) {
      const wanted = Math.min(Math.max(bytes, windowBytes), this.#fileBytes - offset);
      const buffer = Buffer.allocUnsafe(wanted);
      const bytesRead = await readFully(this.#file, buffer, offset);
      if (bytesRead < bytes) return null;
      this.#window = buffer.subarray(0, bytesRead);
      this.#windowAt = offset;
    }
    return this.#window.subarray(offset - this.#windowAt, offset - this.#windowAt + bytes);
  }

  /**
   * Blocks follow each other from the beginning of the file. One ends where what is behind it is the checksum of what
   * is before; after one that is damaged, no other is found.
   */
  async *#changesWithoutIndex(): AsyncGenerator<Change> {
    const file = await this.#read(0, this.#fileBytes);
    if (file === null) return;
    for (let start = 0, crc = 0, at = 0; at + 4 < file.length; at++) {
      crc = crc32c(file, at, at + 1, crc);
      if (file[at]! > 1 || masked(crc) !== file.readUInt32LE(at + 1)) continue;
      const content = contentOf(file.subarray(start), at - start);
      if (content !== null) yield* changesIn(content);
      start = at + trailerBytes;
      crc = 0;
      at += trailerBytes - 1;
    }
  }
}

async function readFully(file: FileHandle, into: Buffer, offset: number): Promise<number> {
  let done = 0;
  while (done < into.length) {
    try {
      const { bytesRead } = await file.read(into, done, into.length - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    } catch (error) {
      // A sector that cannot be read is damage as any other.
      if ((error as NodeJS.ErrnoException).code === 'EIO') break;
      throw error;
    }
  }
  return done;
}

function handleAt(bytes: Buffer, at: number): (Handle & { readonly end: number }) | null {
  const offset = varint(bytes, at);
  const size = offset === null ? null : varint(bytes, offset.end);
  return size === null ? null : { offset: offset!.value, bytes: size.value, end: size.end };
}

function contentOf(block: Buffer, bytes: number): Buffer | null {
  const content = block.subarray(0, bytes);
  if (block[bytes] === 0) return content;
  return block[bytes] === 1 ? uncompressed(content) : null;
}

function handlesIn(content: Buffer): Handle[] | null {
  const handles: Handle[] = [];
  for (const { value } of entriesIn(content)) {
    const handle = handleAt(value, 0);
    if (handle === null) return null;
    handles.push(handle);
  }
  return handles;
}

/**
 * Keys share their beginning with the one before; behind the entries is where some of them begin, which only a search
 * needs.
 */
function* entriesIn(content: Buffer): Generator<{ readonly key: Buffer; readonly value: Buffer }> {
  if (content.length < 4) return;
  const end = content.length - 4 * (content.readUInt32LE(content.length - 4) + 1);
  let key = Buffer.alloc(0);
  for (let at = 0; at < end; ) {
    const shared = varint(content, at);
    const own = shared === null ? null : varint(content, shared.end);
    const size = own === null ? null : varint(content, own.end);
    if (size === null || shared!.value > key.length || size.end + own!.value + size.value > end) return;
    const keyEnd = size.end + own!.value;
    key = Buffer.concat([key.subarray(0, shared!.value), content.subarray(size.end, keyEnd)]);
    at = keyEnd + size.value;
    yield { key, value: content.subarray(keyEnd, at) };
  }
}

function* changesIn(content: Buffer): Generator<Change> {
  for (const { key: internal, value } of entriesIn(content)) {
    if (internal.length < keyTrailerBytes) return;
    const trailer = internal.readBigUInt64LE(internal.length - keyTrailerBytes);
    const key = internal.subarray(0, internal.length - keyTrailerBytes);
    yield { key, sequence: Number(trailer >> 8n), value: (trailer & 255n) === 1n ? value : null };
  }
}
