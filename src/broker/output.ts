/**
 * What one connection is about to be sent, gathered so that it is written once per round of the event loop.
 *
 * Chunks come from a pool shared by all connections and go back as soon as the kernel has copied them, so an idle
 * connection holds none. While the kernel does not take more, everything waits here and not in the stream.
 */
import { type ChunkPool, largeChunk } from '../base/chunk-pool.ts';
import { Account, Category, unlimited } from '../base/ledger.ts';
import type { ByteStream, Framing } from '../contracts/transport.ts';

export class Output {
  readonly #stream: ByteStream;
  readonly #pool: ChunkPool;
  readonly #framing: Framing | null;
  /** Where to write next: `chunk[length…]`, after `reserve`. */
  chunk: Buffer | null = null;
  length = 0;
  /** Chunks before `chunk` that are full, and the bytes used of each. */
  #full: Buffer[] = [];
  #fullLengths: number[] = [];
  #fullBytes = 0;
  /** Chunks that were written, and that the stream has not all passed on. */
  #unsent: Buffer[] = [];
  /** Charged with all of these chunks. */
  #account: Account;
  #heldBytes = 0;

  constructor(stream: ByteStream, pool: ChunkPool, account = new Account(unlimited)) {
    this.#stream = stream;
    this.#pool = pool;
    this.#framing = stream.framing ?? null;
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
    this.#heldBytes -= chunk.length;
    this.#account.add(Category.output, -chunk.length);
    this.#pool.giveBack(chunk);
  }

  /** Whole chunks that wait because the kernel takes no more. */
  get fullBytes(): number {
    return this.#fullBytes;
  }

  /** Everything not yet taken by the kernel. */
  get waitingBytes(): number {
    return this.#fullBytes + this.length + this.#stream.pendingBytes;
  }

  /** Makes room at `chunk[length]` for a packet of exactly so many bytes; the caller writes it and moves `length`. */
  reserve(bytes: number): Buffer {
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
      this.#full.push(chunk);
      this.#fullLengths.push(this.length);
      this.#fullBytes += this.length;
      this.chunk = null;
      this.length = 0;
      // This much is worth a write of its own before the round ends.
      this.flush();
    } else this.#giveBack(chunk);
    return (this.chunk = this.#take(bytes));
  }

  /** Gives the kernel everything, unless it still has to take what it was given before. */
  flush(): void {
    if (this.#stream.pendingBytes > 0) return;
    if (this.#unsent.length > 0) this.#reuseSent();
    if (this.#fullBytes > 0) {
      const [full, lengths] = [this.#full, this.#fullLengths];
      this.#full = [];
      this.#fullLengths = [];
      this.#fullBytes = 0;
      for (let i = 0; i < full.length; i++) this.#write(full[i]!, lengths[i]!);
    }
    if (this.chunk === null) return;
    const { chunk, length } = this;
    this.chunk = null;
    this.length = 0;
    this.#write(chunk, length);
  }

  #write(chunk: Buffer, length: number): void {
    this.#stream.write(chunk.subarray(0, length));
    if (this.#stream.pendingBytes === 0) this.#giveBack(chunk);
    else this.#unsent.push(chunk);
  }

  #reuseSent(): void {
    for (const chunk of this.#unsent) this.#giveBack(chunk);
    this.#unsent = [];
  }

  /** Forgets what was not sent: the connection is gone. */
  clear(): void {
    if (this.chunk !== null) this.#giveBack(this.chunk);
    this.chunk = null;
    this.length = this.#fullBytes = 0;
    this.#full = [];
    this.#fullLengths = [];
    this.#unsent = [];
    this.#account.add(Category.output, -this.#heldBytes);
    this.#heldBytes = 0;
  }
}
