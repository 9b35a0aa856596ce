/**
 * What one connection is about to be sent, gathered so that it is written once per turn.
 *
 * Chunks come from a pool shared by all connections and go back as soon as the kernel has copied them, so an idle connection
 * holds none. While the kernel does not take more, everything waits here and not in the stream.
 */
import type { ByteStream } from '../contracts/transport.ts';

const chunkSizes = [1_024, 8_192, 65_536] as const;
const largestChunk = 65_536;
/** Bytes kept for reuse per size. */
const pooledBytesMax = 4_194_304;

export class ChunkPool {
  readonly #free: Buffer[][] = chunkSizes.map(() => []);
  /** Rises when memory that was written before may be written again. */
  generation = 0;

  take(bytes: number): Buffer {
    const size = chunkSizes.findIndex((each) => bytes <= each);
    if (size === -1) return Buffer.allocUnsafeSlow(bytes);
    return this.#free[size]!.pop() ?? Buffer.allocUnsafeSlow(chunkSizes[size]!);
  }

  giveBack(chunk: Buffer): void {
    this.generation++;
    const size = chunkSizes.indexOf(chunk.length as (typeof chunkSizes)[number]);
    if (size >= 0 && this.#free[size]!.length * chunk.length < pooledBytesMax) this.#free[size]!.push(chunk);
  }
}

export class Output {
  readonly #stream: ByteStream;
  readonly #pool: ChunkPool;
  /** Where to write next: `chunk[length…]`, after `reserve`. */
  chunk: Buffer | null = null;
  length = 0;
  /** Chunks before `chunk` that are full, with the bytes used of each. */
  #full: Buffer[] = [];
  #fullBytes = 0;

  constructor(stream: ByteStream, pool: ChunkPool) {
    this.#stream = stream;
    this.#pool = pool;
  }

  /** Whole chunks that wait because the kernel takes no more. */
  get fullBytes(): number {
    return this.#fullBytes;
  }

  /** Everything not yet taken by the kernel. */
  get waitingBytes(): number {
    return this.#fullBytes + this.length + this.#stream.pendingBytes;
  }

  /** Makes room for so many bytes at `chunk[length]`; the caller writes them and moves `length`. */
  reserve(bytes: number): Buffer {
    const { chunk } = this;
    if (chunk !== null && this.length + bytes <= chunk.length) return chunk;
    return this.#moreRoom(bytes);
  }

  #moreRoom(bytes: number): Buffer {
    const { chunk } = this;
    if (chunk === null) return (this.chunk = this.#pool.take(bytes));
    const wanted = this.length + bytes;
    if (wanted <= largestChunk) {
      const larger = this.#pool.take(wanted);
      chunk.copy(larger, 0, 0, this.length);
      this.#pool.giveBack(chunk);
      return (this.chunk = larger);
    }
    if (this.length > 0) {
      this.#full.push(chunk.subarray(0, this.length));
      this.#fullBytes += this.length;
      this.chunk = null;
      this.length = 0;
      // This much is worth a write of its own before the turn ends.
      this.flush();
    } else this.#pool.giveBack(chunk);
    return (this.chunk = this.#pool.take(bytes));
  }

  /** Gives the kernel everything, unless it still has to take what it was given before. */
  flush(): void {
    if (this.#stream.pendingBytes > 0) return;
    if (this.#fullBytes > 0) {
      const full = this.#full;
      this.#full = [];
      this.#fullBytes = 0;
      for (const part of full) this.#stream.write(part);
    }
    if (this.chunk === null) return;
    const { chunk, length } = this;
    this.chunk = null;
    this.length = 0;
    this.#stream.write(chunk.subarray(0, length));
    if (this.#stream.pendingBytes === 0) this.#pool.giveBack(chunk);
  }

  /** Forgets what was not sent: the connection is gone. */
  clear(): void {
    if (this.chunk !== null) this.#pool.giveBack(this.chunk);
    this.chunk = null;
    this.length = this.#fullBytes = 0;
    this.#full = [];
  }
}
