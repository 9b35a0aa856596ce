/**
 * Reads a packet's fields one after the other, strictly: what runs past the end, is not UTF-8 or not in its shortest
 * form is a malformed packet. [MQTT5 1.5] Everything it returns is a copy, because the bytes underneath are used again.
 */
import { ProtocolError } from '../protocol/errors.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { faultOfText } from './text.ts';

export const malformed = (what: string) => new ProtocolError(ReasonCode.MalformedPacket, what);
export const violation = (what: string) => new ProtocolError(ReasonCode.ProtocolError, what);

export class Reader {
  readonly bytes: Buffer;
  readonly #end: number;
  /** For errors: the packet's name. */
  readonly #packet: string;
  #at: number;

  constructor(packet: string, bytes: Buffer, start: number, end: number) {
    this.#packet = packet;
    this.bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Where the next field begins in `bytes`. */
  get at(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  u8(field: string): number {
    const at = this.#at;
    if (at >= this.#end) this.#take(1, field);
    this.#at = at + 1;
    return this.bytes[at]!;
  }

  u16(field: string): number {
    const at = this.#take(2, field);
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  u32(field: string): number {
    return this.bytes.readUInt32BE(this.#take(4, field));
  }

  /** A variable byte integer. [MQTT5 1.5.5] */
  varint(field: string): number {
    let value = this.u8(field);
    if (value < 128) return value;
    value &= 127;
    for (let i = 1; i < 4; i++) {
      const byte = this.u8(field);
      value += (byte & 127) * 128 ** i;
      if (byte >= 128) continue;
      if (byte === 0) throw malformed(`${this.#packet}: the ${field} is not in its shortest form`);
      return value;
    }
    throw malformed(`${this.#packet}: the ${field} has more than four bytes`);
  }

  binary(field: string): Buffer {
    const length = this.u16(field);
    const start = this.#take(length, field);
    return Buffer.from(this.bytes.subarray(start, start + length));
  }

  /** [MQTT5 1.5.4] */
  text(field: string): string {
    const length = this.skipText(field);
    return this.bytes.toString('utf8', this.#at - length, this.#at);
  }

  /** Checks a text without making a string of it, and returns its length: it ends at `at`. */
  skipText(field: string): number {
    const { bytes } = this;
    const start = this.#at + 2;
    const length = start <= this.#end ? (bytes[start - 2]! << 8) | bytes[start - 1]! : 0;
    this.#take(2 + length, field);
    const fault = faultOfText(bytes, start, start + length);
    if (fault !== null) throw malformed(`${this.#packet}: the ${field} ${fault}`);
    return length;
  }

  /** A reader over the next `length` bytes, which this one skips. */
  part(length: number, field: string): Reader {
    const start = this.#take(length, field);
    return new Reader(this.#packet, this.bytes, start, start + length);
  }

  /** A copy of what is left, which lasts. */
  copyRest(): Buffer {
    return Buffer.from(this.bytes.subarray(this.#at, this.#end));
  }

  assertEnd(): void {
    if (this.remaining > 0) throw malformed(`${this.#packet}: ${this.remaining} bytes too many at its end`);
  }

  #take(length: number, field: string): number {
    const start = this.#at;
    if (start + length > this.#end) throw malformed(`${this.#packet} ends within its ${field}`);
    this.#at = start + length;
    return start;
  }
}
