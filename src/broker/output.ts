/**
 * What one connection is about to be sent, gathered so that it is written once per round of the event loop.
 *
 * Chunks come from a pool shared by all connections and go back as soon as the kernel has copied them, so an idle
 * connection holds none. While the kernel does not take more, everything waits here and not in the stream. Large
 * payloads wait where they lie, once for all connections.
 */
import { type ChunkPool, largeChunk, largestPooledChunk } from '../base/chunk-pool.ts';
import { Account, Category, unlimited } from '../base/ledger.ts';
import { copyBytes, type PublishHeader, varintSize, writePublish } from '../codec/publish.ts';
import { type Run, settleLater } from '../codec/runs.ts';
import type { ByteStream, Framing } from '../contracts/transport.ts';
import { hold, letGo, messageFootprint } from '../core/footprint.ts';
import type { DecodedPacket, Message } from '../protocol/message.ts';
import type { PacketId } from '../protocol/packets.ts';

/** The payload of a larger PUBLISH is not copied into a chunk: it goes out from where it lies. */
export const largePublish = largestPooledChunk;

export class Output implements Run {
  readonly #stream: ByteStream;
  readonly #pool: ChunkPool;
  readonly #framing: Framing | null;
  readonly #writeBytesMax: number;
  /** Where to write next: `chunk[length…]`, after `reserve`. */
  chunk: Buffer | null = null;
  length = 0;
  /** Chunks before `chunk` that are full, and the bytes used of each. */
  #full: Buffer[] = [];
  #fullLengths: number[] = [];
  #fullBytes = 0;
  /** Of the first of them, so much was written. */
  #firstWritten = 0;
  /** Those among all chunks that are payloads of messages. */
  #payloads: Map<Buffer, Message> | null = null;
  /** Chunks that were written, and that the stream has not all passed on. */
  #unsent: Buffer[] = [];
  /** Packets that are still to be copied behind all that: `#run[#runStart, #runEnd)`; see `passOn`. */
  #run: Buffer | null = null;
  #runStart = 0;
  #runEnd = 0;
  /** Where their packet identifiers stand in the run, and what they are to be, in turns. */
  readonly #runIds: number[] = [];
  /** Charged with all of these chunks. */
  #account: Account;
  #heldBytes = 0;

  constructor(stream: ByteStream, pool: ChunkPool, account = new Account(unlimited)) {
    this.#stream = stream;
    this.#pool = pool;
    this.#framing = stream.framing ?? null;
    this.#writeBytesMax = stream.writeBytesMax ?? Number.POSITIVE_INFINITY;
    this.#account = account;
  }

  /** In memory, with what of the chunks is not used. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  chargeTo(account: Account): void {
    this.#account.add(Category.output, -this.#heldBytes);
    this.#account = account;
    account.add(Category.output, this.#heldBytes);
  }

  #take(bytes: number): Buffer {
    const chunk = this.#pool.take(bytes);
    this.#heldBytes += chunk.length;
    this.#account.add(Category.output, chunk.length);
    return chunk;
  }

  #giveBack(chunk: Buffer): void {
    const message = this.#payloads?.get(chunk);
    if (message !== undefined) return this.#letGo(chunk, message);
    this.#heldBytes -= chunk.length;
    this.#account.add(Category.output, -chunk.length);
    this.#pool.giveBack(chunk);
  }

  #letGo(payload: Buffer, message: Message): void {
    this.#payloads!.delete(payload);
    if (this.#payloads!.size === 0) this.#payloads = null;
    this.#heldBytes -= messageFootprint(message);
    letGo(this.#account, Category.output, message, 0);
  }

  /** Whole chunks that wait because the kernel takes no more. */
  get fullBytes(): number {
    return this.#fullBytes;
  }

  /** Everything not yet taken by the kernel. */
  get waitingBytes(): number {
    const runBytes = this.#run === null ? 0 : this.#runEnd - this.#runStart;
    return this.#fullBytes + this.length + runBytes + this.#stream.pendingBytes;
  }

  /** Makes room at `chunk[length]` for a packet of exactly so many bytes; the caller writes it and moves `length`. */
  reserve(bytes: number): Buffer {
    if (this.#run !== null) this.settle();
    if (this.#framing !== null) return this.#reserveFramed(bytes, this.#framing);
    const { chunk } = this;
    if (chunk !== null && this.length + bytes <= chunk.length) return chunk;
    return this.#moreRoom(bytes);
  }

  #reserveFramed(bytes: number, framing: Framing): Buffer {
    const total = framing.headerBytes(bytes) + bytes;
    let { chunk } = this;
    if (chunk === null || this.length + total > chunk.length) chunk = this.#moreRoom(total);
    this.length = framing.writeHeader(chunk, this.length, bytes);
    return chunk;
  }

  /**
   * Sends on the packet that a borrowed message was decoded from, under this packet identifier; 0: it has none. It is
   * copied with those that follow it, before its bytes are written over: see `codec/runs.ts`.
   */
  passOn({ bytes, payloadEnd, topic }: Message, { start, bodyStart }: DecodedPacket, packetId: PacketId): void {
    if (this.#run !== bytes || this.#runEnd !== start) this.#beginRun(bytes, start);
    this.#runEnd = payloadEnd;
    if (packetId > 0) this.#runIds.push(bodyStart + topic.encodedBytes - this.#runStart, packetId);
    // What is full is to be seen while more of them come.
    if (payloadEnd - this.#runStart > largeChunk) this.settle();
  }

  #beginRun(bytes: Buffer, start: number): void {
    if (this.#run === null) settleLater(this);
    else this.#copyRun(this.#run);
    this.#run = bytes;
    this.#runStart = start;
  }

  settle(): void {
    if (this.#run !== null) this.#copyRun(this.#run);
  }

  #copyRun(run: Buffer): void {
    this.#run = null;
    const bytes = this.#runEnd - this.#runStart;
    const chunk = this.reserve(bytes);
    const start = this.length;
    this.length = copyBytes(run, this.#runStart, this.#runEnd, chunk, start);
    const ids = this.#runIds;
    for (let i = 0; i < ids.length; i += 2) {
      chunk[start + ids[i]!] = ids[i + 1]! >> 8;
      chunk[start + ids[i]! + 1] = ids[i + 1]! & 255;
    }
    ids.length = 0;
  }

  /** A PUBLISH above `largePublish`, with as many bytes after its fixed header. The message owns its bytes. */
  addLarge(message: Message, header: PublishHeader, remaining: number): void {
    this.settle();
    const packetBytes = 1 + varintSize(remaining) + remaining;
    const headBytes = (this.#framing?.headerBytes(packetBytes) ?? 0) + packetBytes - message.payloadBytes;
    let { chunk } = this;
    if (chunk === null || this.length + headBytes > chunk.length) chunk = this.#moreRoom(headBytes);
    if (this.#framing !== null) this.length = this.#framing.writeHeader(chunk, this.length, packetBytes);
    this.length = writePublish(chunk, this.length, message.withoutPayload(), header, remaining);
    this.#fill(chunk, this.length);
    this.chunk = null;
    this.length = 0;
    const { payload } = message;
    this.#payloads ??= new Map();
    this.#payloads.set(payload, message);
    this.#heldBytes += messageFootprint(message);
    hold(this.#account, Category.output, message, 0);
    this.#fill(payload, payload.length);
    this.flush();
  }

  #fill(chunk: Buffer, length: number): void {
    this.#full.push(chunk);
    this.#fullLengths.push(length);
    this.#fullBytes += length;
  }

  #moreRoom(bytes: number): Buffer {
    const { chunk } = this;
    if (chunk === null) return (this.chunk = this.#take(bytes));
    const wanted = this.length + bytes;
    if (wanted <= largeChunk) {
      const larger = this.#take(wanted);
      chunk.copy(larger, 0, 0, this.length);
      this.#giveBack(chunk);
      return (this.chunk = larger);
    }
    if (this.length > 0) {
      this.#fill(chunk, this.length);
      this.chunk = null;
      this.length = 0;
      // This much is worth a write of its own before the round ends.
      this.flush();
    } else this.#giveBack(chunk);
    return (this.chunk = this.#take(bytes));
  }

  /** Gives the kernel everything, unless it still has to take what it was given before. */
  flush(): void {
    if (this.#run !== null) this.settle();
    if (this.#stream.pendingBytes > 0) return;
    if (this.#unsent.length > 0) this.#reuseSent();
    while (this.#fullBytes > 0) if (!this.#writeFull() && this.#stream.pendingBytes > 0) return;
    if (this.chunk === null) return;
    const { chunk, length } = this;
    this.chunk = null;
    this.length = 0;
    this.#write(chunk, 0, length);
  }

  /** Returns whether all of it is written: else the stream has taken as much as it takes in one go. */
  #writeFull(): boolean {
    let left = this.#writeBytesMax;
    let written = 0;
    while (written < this.#full.length && left > 0) {
      const [start, length] = [this.#firstWritten, this.#fullLengths[written]!];
      const end = Math.min(length, start + left);
      left -= end - start;
      this.#fullBytes -= end - start;
      this.#firstWritten = end < length ? end : 0;
      if (end === length) this.#write(this.#full[written++]!, start, length);
      else this.#stream.write(this.#full[written]!.subarray(start, end));
    }
    this.#full.splice(0, written);
    this.#fullLengths.splice(0, written);
    return this.#full.length === 0;
  }

  #write(chunk: Buffer, start: number, length: number): void {
    this.#stream.write(chunk.subarray(start, length));
    if (this.#stream.pendingBytes === 0) this.#giveBack(chunk);
    else this.#unsent.push(chunk);
  }

  #reuseSent(): void {
    for (const chunk of this.#unsent) this.#giveBack(chunk);
    this.#unsent = [];
  }

  /** Forgets what was not sent: the connection is gone. */
  clear(): void {
    this.#run = null;
    this.#runIds.length = 0;
    if (this.chunk !== null) this.#giveBack(this.chunk);
    this.chunk = null;
    this.length = this.#fullBytes = 0;
    this.#full = [];
    this.#fullLengths = [];
    this.#firstWritten = 0;
    this.#unsent = [];
    for (const [payload, message] of this.#payloads ?? []) this.#letGo(payload, message);
    this.#account.add(Category.output, -this.#heldBytes);
    this.#heldBytes = 0;
  }
}
