/**
 * Takes a client's WebSocket frames apart as they come, wherever they are cut. [RFC 6455 5.2]
 *
 * Nothing of a message is gathered: what is in it goes on at once, since MQTT has packets of its own. So a long frame
 * takes no memory and no long step, and thousands of tiny ones are handed over as one piece.
 */

const headerBytesMax = 14;
const controlBytesMax = 125;

const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
/** WebSocket close codes. [RFC 6455 7.4.1] */
const protocolError = 1002;
const unsupportedData = 1003;
const messageTooBig = 1009;
/** Lengths above are not exact as numbers of JavaScript. */
const highLengthMax = 0x1f_ffff;

/** Nothing that comes after it is looked at. */
export type EndOfFrames =
  /** A close frame, as it came. */
  { readonly closeFrame: Buffer } | { readonly closeCode: number; readonly reason: string };

export class WebSocketParser {
  /** Set once the last frame has come. */
  end: EndOfFrames | null = null;
  /** Of a header, or a whole frame that is none of data. */
  readonly #frame = Buffer.alloc(headerBytesMax + controlBytesMax);
  #frameBytes = 0;
  #headerBytes = 2;
  #opcode = 0;
  /** More frames of the same message are to follow. */
  #isInMessage = false;
  /** What of the payload is still to come. */
  #left = 0;
  /** Its next byte is masked with this one of the mask. */
  #maskAt = 0;
  /** The payload of the newest ping; made for the first one, as most clients never send any. */
  #ping: Buffer | null = null;
  /** How long it is; below 0: it was taken. */
  #pingBytes = -1;

  /**
   * What is MQTT's of `bytes[start, end)` lies in `bytes[start, n)` afterwards, where `n` is what this returns.
   */
  parse(bytes: Buffer, start: number, end: number): number {
    let at = start;
    let out = start;
    while (at < end && this.end === null) {
      if (this.#frameBytes < this.#headerBytes) {
        this.#frame[this.#frameBytes++] = bytes[at++]!;
        if (this.#frameBytes === this.#headerBytes) this.#headerGrown();
      } else if (this.#opcode < opcodes.close) {
        const count = Math.min(this.#left, end - at);
        this.#unmask(bytes, at, out, count);
        at += count;
        out += count;
        if ((this.#left -= count) === 0) this.#nextFrame();
      } else {
        this.#frame[this.#frameBytes++] = bytes[at++]!;
        if (--this.#left === 0) this.#controlFrame();
      }
    }
    return out;
  }

  takePing(): Buffer | null {
    if (this.#pingBytes < 0) return null;
    const ping = Buffer.from(this.#ping!.subarray(0, this.#pingBytes));
    this.#pingBytes = -1;
    return ping;
  }

  /** As much of the header is there as was known to belong to it. */
  #headerGrown(): void {
    const second = this.#frame[1]!;
    const length = second & 0x7f;
    if (this.#headerBytes === 2) {
      const wrong = this.#whatIsWrong(this.#frame[0]!, second);
      if (wrong !== null) return this.#fail(protocolError, wrong);
      if ((this.#frame[0]! & 0x0f) === opcodes.text) {
        return this.#fail(unsupportedData, 'the client sent a WebSocket text frame, MQTT needs binary ones');
      }
      this.#headerBytes = 6 + (length < 126 ? 0 : length === 126 ? 2 : 8);
      return;
    }
    this.#opcode = this.#frame[0]! & 0x0f;
    this.#left = length < 126 ? length : length === 126 ? this.#frame.readUInt16BE(2) : this.#longLength();
    this.#maskAt = 0;
    if (this.#opcode < opcodes.close) this.#isInMessage = this.#frame[0]! < 0x80;
    if (this.#left > 0) return;
    if (this.#opcode >= opcodes.close) this.#controlFrame();
    else this.#nextFrame();
  }

  #longLength(): number {
    const high = this.#frame.readUInt32BE(2);
    if (high > highLengthMax) this.#fail(messageTooBig, 'a WebSocket frame of more bytes than there can be');
    return high * 2 ** 32 + this.#frame.readUInt32BE(6);
  }

  #whatIsWrong(first: number, second: number): string | null {
    const opcode = first & 0x0f;
    if ((first & 0x70) !== 0) return 'a WebSocket frame with an extension that was not agreed on';
    if (second < 0x80) return 'a WebSocket frame that is not masked';
    if (opcode > opcodes.pong || (opcode > opcodes.binary && opcode < opcodes.close)) {
      return `a WebSocket frame of unknown kind ${opcode}`;
    }
    if (opcode >= opcodes.close) {
      const isWhole = first >= 0x80 && (second & 0x7f) <= controlBytesMax;
      return isWhole ? null : 'a WebSocket control frame that is too long or not whole';
    }
    const isFirst = opcode !== opcodes.continuation;
    return isFirst === this.#isInMessage ? 'a WebSocket frame that is not the next one of its message' : null;
  }

  #controlFrame(): void {
    if (this.#opcode === opcodes.close)
      this.end = { closeFrame: Buffer.from(this.#frame.subarray(0, this.#frameBytes)) };
    if (this.#opcode === opcodes.ping) this.#keepPing();
    this.#nextFrame();
  }

  #keepPing(): void {
    const ping = (this.#ping ??= Buffer.alloc(controlBytesMax));
    this.#pingBytes = this.#frameBytes - this.#headerBytes;
    if (this.#pingBytes === 0) return;
    this.#frame.copy(ping, 0, this.#headerBytes, this.#frameBytes);
    this.#unmask(ping, 0, 0, this.#pingBytes);
  }

  #nextFrame(): void {
    this.#frameBytes = 0;
    this.#headerBytes = 2;
  }

  #fail(closeCode: number, reason: string): void {
    this.end ??= { closeCode, reason };
  }

  /** `bytes[from, from + count)` go to `bytes[to…)`, which is not behind them. */
  #unmask(bytes: Buffer, from: number, to: number, count: number): void {
    const mask = this.#headerBytes - 4;
    const frame = this.#frame;
    const at = this.#maskAt;
    const [a, b] = [frame[mask + at]!, frame[mask + ((at + 1) & 3)]!];
    const [c, d] = [frame[mask + ((at + 2) & 3)]!, frame[mask + ((at + 3) & 3)]!];
    this.#maskAt = (at + count) & 3;
    const whole = count & ~3;
    let i = 0;
    for (; i < whole; i += 4) {
      bytes[to + i] = bytes[from + i]! ^ a;
      bytes[to + i + 1] = bytes[from + i + 1]! ^ b;
      bytes[to + i + 2] = bytes[from + i + 2]! ^ c;
      bytes[to + i + 3] = bytes[from + i + 3]! ^ d;
    }
    if (i < count) bytes[to + i] = bytes[from + i++]! ^ a;
    if (i < count) bytes[to + i] = bytes[from + i++]! ^ b;
    if (i < count) bytes[to + i] = bytes[from + i]! ^ c;
  }
}
