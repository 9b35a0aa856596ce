/**
 * Values as bytes, each behind a CRC of its own: LevelDB hands out a flipped bit without a word.
 */
import { crc32 } from 'node:zlib';

const crcBytes = 4;
/** Short runs are copied in a loop: a native call costs more than the bytes. */
const loopBytesMax = 96;

/** One scratch buffer, filled anew for each value: what `finish` returns is valid until the next `begin`. */
export class ByteWriter {
  #bytes = Buffer.allocUnsafeSlow(65_536);
  #at = crcBytes;

  begin(): this {
    this.#at = crcBytes;
    return this;
  }

  u8(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#at++] = value;
    return this;
  }

  f64(value: number): this {
    this.#reserve(8);
    this.#at = this.#bytes.writeDoubleBE(value, this.#at);
    return this;
  }

  /** Whole numbers from 0 to 2^53. */
  varint(value: number): this {
    this.#reserve(8);
    while (value >= 128) {
      this.#bytes[this.#at++] = (value % 128) + 128;
      value = Math.floor(value / 128);
    }
    this.#bytes[this.#at++] = value;
    return this;
  }

  binary(value: Uint8Array): this {
    this.varint(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  /** `from[start, end)`, without a view of it. */
  binaryPart(from: Buffer, start: number, end: number): this {
    const length = end - start;
    this.varint(length);
    this.#reserve(length);
    if (length > loopBytesMax) from.copy(this.#bytes, this.#at, start, end);
    else for (let i = 0; i < length; i++) this.#bytes[this.#at + i] = from[start + i]!;
    this.#at += length;
    return this;
  }

  text(value: string): this {
    return this.binary(Buffer.from(value));
  }

  finish(): Buffer {
    const body = this.#bytes.subarray(crcBytes, this.#at);
    this.#bytes.writeUInt32BE(crc32(body), 0);
    return this.#bytes.subarray(0, this.#at);
  }

  #reserve(length: number): void {
    if (this.#at + length <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#at + length));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }
}

/** The value is not what was written. */
export class CorruptValue extends Error {
  override readonly name = 'CorruptValue';
}

export class ByteReader {
  readonly #bytes: Buffer;
  #at = crcBytes;

  /** Throws CorruptValue if the CRC does not fit. */
  constructor(value: Buffer) {
    if (value.length < crcBytes || crc32(value.subarray(crcBytes)) !== value.readUInt32BE(0)) {
      throw new CorruptValue(`a value of ${value.length} bytes does not fit its checksum`);
    }
    this.#bytes = value;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  /** The next byte, which stays the next one. */
  peek(): number {
    return this.#bytes[this.#at]!;
  }

  f64(): number {
    return this.#bytes.readDoubleBE(this.#take(8));
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if (value > Number.MAX_SAFE_INTEGER || scale > 2 ** 49) {
        throw new CorruptValue('a number is larger than any that is written');
      }
      if (byte < 128) return value;
    }
  }

  /** A view: valid as long as the value is. */
  binary(): Buffer {
    const length = this.varint();
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  text(): string {
    return this.binary().toString();
  }

  /** An object, as JSON. */
  json(): object {
    const text = this.text();
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new CorruptValue('what should be JSON is none', { cause });
    }
    if (typeof value !== 'object' || value === null) throw new CorruptValue('what should be an object is none');
    return value;
  }

  /** So many values as a number says that stands before them. */
  list<T>(read: () => T): T[] {
    const count = this.varint();
    // Each takes a byte at least.
    if (count > this.remaining) throw new CorruptValue('a value ends too early');
    return Array.from({ length: count }, read);
  }

  #take(length: number): number {
    const start = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) throw new CorruptValue('a value ends too early');
    return start;
  }
}
