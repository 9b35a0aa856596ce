/**
 * Blocks of tables are compressed with Snappy. What comes in here fits its checksum, and is distrusted all the same.
 */

/** Null if it is not what Snappy writes. */
export function uncompressed(bytes: Buffer): Buffer | null {
  const header = varint(bytes, 0);
  // No byte of Snappy stands for more than 64 others.
  if (header === null || header.value > bytes.length * 64) return null;
  const out = Buffer.allocUnsafe(header.value);
  let written = 0;
  let at = header.end;
  while (at < bytes.length) {
    const tag = bytes[at++]!;
    if ((tag & 3) === 0) {
      let length = (tag >> 2) + 1;
      if (length > 60) {
        const extra = length - 60;
        if (at + extra > bytes.length) return null;
        length = bytes.readUIntLE(at, extra) + 1;
        at += extra;
      }
      if (at + length > bytes.length || written + length > out.length) return null;
      written += bytes.copy(out, written, at, at + length);
      at += length;
      continue;
    }
    const kind = tag & 3;
    const extra = kind === 3 ? 4 : kind;
    if (at + extra > bytes.length) return null;
    const length = kind === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
    const offset = kind === 1 ? ((tag >> 5) << 8) | bytes[at]! : bytes.readUIntLE(at, extra);
    at += extra;
    if (offset === 0 || offset > written || written + length > out.length) return null;
    // Byte by byte: the copy may overlap with itself.
    for (let i = 0; i < length; i++, written++) out[written] = out[written - offset]!;
  }
  return written === out.length ? out : null;
}

/** LevelDB's numbers, of up to 53 bits here; null if there is none, or a larger one. */
export function varint(bytes: Buffer, at: number): { readonly value: number; readonly end: number } | null {
  let value = 0;
  for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
    const byte = bytes[at++];
    if (byte === undefined) return null;
    value += (byte & 127) * scale;
    if (byte < 128) return value <= Number.MAX_SAFE_INTEGER ? { value, end: at } : null;
  }
  return null;
}
