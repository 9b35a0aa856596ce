/** One chunk of a `mosquitto.db`, read field by field; nothing is read beyond its end. */
import type { QoS } from '../../protocol/packets.ts';
import { ImportError } from '../error.ts';

const headBytes = 8;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class ChunkReader {
  readonly kind: number;
  /** Where the next one begins. */
  readonly end: number;
  readonly #file: string;
  readonly #bytes: Buffer;
  #at: number;

  /** Throws an ImportError if the file ends within it. */
  constructor(file: string, bytes: Buffer, at: number) {
    this.#file = file;
    this.#bytes = bytes;
    this.#at = at;
    if (bytes.length - at < headBytes) throw this.wrong('the end of the file within the head of a chunk');
    this.kind = bytes.readUInt32BE(at);
    const length = bytes.readUInt32BE(at + 4);
    this.end = at + headBytes + length;
    if (this.end > bytes.length) {
      throw this.wrong(`a chunk of ${length} bytes, of which the file has ${bytes.length - at - headBytes}`);
    }
    this.#at += headBytes;
  }

  /** `what`: what was found. */
  wrong(what: string, cause?: unknown): ImportError {
    const how = 'stop Mosquitto cleanly and take its file anew, or a backup of it; nothing was written';
    return new ImportError(`${this.#file}, byte ${this.#at}: ${what}, so the file is damaged; ${how}`, { cause });
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#take(2));
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  /** In the order of the machine, which is that of all that Mosquitto's packages are made for. */
  id(): bigint {
    return this.#bytes.readBigUInt64LE(this.#take(8));
  }

  /** Since the epoch. */
  seconds(): number {
    const at = this.#take(8);
    const value = Number(this.#bytes.readBigInt64LE(at));
    if (Number.isSafeInteger(value) && value >= 0) return value;
    this.#at = at;
    throw this.wrong('a time that is none');
  }

  qos(): QoS {
    const value = this.u8();
    if (value > 2) throw this.wrong(`the QoS ${value}`);
    return value as QoS;
  }

  text(length: number): string {
    return this.check(() => utf8.decode(this.bytes(length)));
  }

  bytes(length: number): Buffer {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  skip(length: number): void {
    this.#take(length);
  }

  /** To the end of the chunk: a list with its length before it, or nothing. */
  properties(): Buffer {
    if (this.#at === this.end) return Buffer.alloc(0);
    const length = this.#varint();
    const list = this.bytes(length);
    if (this.#at !== this.end) throw this.wrong('bytes behind the properties');
    return list;
  }

  /** Those among the properties of a delivery, which has no others. */
  subscriptionIds(): number[] {
    const found: number[] = [];
    if (this.#at === this.end) return found;
    const end = this.#varint() + this.#at;
    while (this.#at < end) {
      if (this.u8() !== 0x0b) throw this.wrong('a property of a delivery that is no subscription identifier');
      found.push(this.#varint());
    }
    return found;
  }

  /** What `run` throws is said to be wrong here. */
  check<Result>(run: () => Result): Result {
    const at = this.#at;
    try {
      return run();
    } catch (cause) {
      if (cause instanceof ImportError) throw cause;
      this.#at = at;
      throw this.wrong(cause instanceof TypeError ? 'text that is not UTF-8' : (cause as Error).message, cause);
    }
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.u8();
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw this.wrong('a length of more than four bytes');
  }

  /** Where the field begins. */
  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.end) throw this.wrong(`a field of ${length} bytes beyond the end of its chunk`);
    this.#at += length;
    return at;
  }
}
