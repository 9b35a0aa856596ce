/**
 * LevelDB's log format, which its MANIFEST has as well: blocks of 32 KiB with pieces of records, each with a checksum,
 * a length and a type.
 */
import { crc32c, masked } from './crc32c.ts';
import { varint } from './snappy.ts';

const blockBytes = 32_768;
const headerBytes = 7;
const [full, first, middle, last] = [1, 2, 3, 4] as const;

export interface LogContent {
  readonly records: readonly Buffer[];
  /** Where the first bad piece is that good ones follow; null if there is none. */
  readonly damagedAt: number | null;
  /** Bytes behind the last good piece: a write that was cut off, or damage to the end, which cannot be told apart. */
  readonly unreadableEnd: number;
}

export function readLog(bytes: Buffer): LogContent {
  const records: Buffer[] = [];
  let parts: Buffer[] | null = null;
  let badAt: number | null = null;
  let damagedAt: number | null = null;
  let goodEnd = 0;
  const bad = (at: number) => {
    badAt ??= at;
    parts = null;
  };
  for (let at = 0; at < bytes.length; ) {
    const left = Math.min(blockBytes - (at % blockBytes), bytes.length - at);
    const nextBlock = at + blockBytes - (at % blockBytes);
    if (left < headerBytes) {
      // The last bytes of a block are zeros if no header fits.
      if (bytes.subarray(at, at + left).some((byte) => byte !== 0)) bad(at);
      at = nextBlock;
      continue;
    }
    const length = bytes.readUInt16LE(at + 4);
    const type = bytes[at + 6]!;
    const end = at + headerBytes + length;
    if (headerBytes + length > left || type < full || type > last) {
      bad(at);
      at = nextBlock;
      continue;
    }
    if (masked(crc32c(bytes, at + 6, end)) !== bytes.readUInt32LE(at)) {
      bad(at);
      // The length may be right all the same: what follows has a checksum of its own.
      at = end;
      continue;
    }
    const piece = bytes.subarray(at + headerBytes, end);
    if (badAt !== null) damagedAt ??= badAt;
    if (type === full || type === first) {
      if (parts !== null && parts.length > 0) damagedAt ??= at;
      parts = type === first ? [piece] : null;
      if (type === full) records.push(piece);
    } else if (parts === null) {
      // The beginning of its record is missing.
      damagedAt ??= badAt ?? at;
    } else {
      parts.push(piece);
      if (type === last) {
        records.push(Buffer.concat(parts));
        parts = null;
      }
    }
    if (type !== middle || parts !== null) goodEnd = end;
    at = end;
  }
  return { records, damagedAt, unreadableEnd: bytes.length - goodEnd };
}

/** One change of the database: its key, its number among all changes, and its value, or null if the key is deleted. */
export interface Change {
  readonly key: Buffer;
  readonly sequence: number;
  readonly value: Buffer | null;
}

/** What a record of a log changes; stops where it makes no sense. */
export function* changesOf(record: Buffer): Generator<Change> {
  if (record.length < 12) return;
  let sequence = Number(record.readBigUInt64LE(0));
  let at = 12;
  const slice = (): Buffer | null => {
    const length = varint(record, at);
    if (length === null || length.end + length.value > record.length) return null;
    at = length.end + length.value;
    return record.subarray(length.end, at);
  };
  while (at < record.length) {
    const isPut = record[at++] === 1;
    const key = slice();
    const value = isPut ? slice() : null;
    if (key === null || (isPut && value === null)) return;
    yield { key, sequence: sequence++, value };
  }
}
