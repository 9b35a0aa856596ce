/**
 * Memory for bytes on their way in or out, shared by all connections.
 *
 * What V8 must not be left to collect: enough buffers of 200 kB a second drive it from one full collection to the next,
 * and a message of that size then costs three times as much.
 */
const chunkSizes = [1_024, 8_192, 65_536, 131_072, 262_144, 524_288, 1_048_576] as const;
type ChunkSize = (typeof chunkSizes)[number];
/** From here on one packet has a chunk for itself. */
export const largeChunk = 65_536;
/** What is larger is never used again: it may be handed on to whoever wants to keep what is in it. */
export const largestPooledChunk = 1_048_576;
/** Bytes kept for reuse per size. */
const pooledBytesMax = 4_194_304;
/** The same while memory is short. */
const shortPooledBytesMax = 524_288;

export class ChunkPool {
  readonly #free: Buffer[][] = chunkSizes.map(() => []);
  /** Rises when memory that was written before may be written again. */
  generation = 0;
  /** Of what is kept for reuse. */
  freeBytes = 0;
  #keptMax = pooledBytesMax;

  /** At least so many bytes, with anything in them. */
  take(bytes: number): Buffer {
    const size = chunkSizes.findIndex((each) => bytes <= each);
    if (size === -1) return Buffer.allocUnsafeSlow(bytes);
    const chunk = this.#free[size]!.pop();
    if (chunk === undefined) return Buffer.allocUnsafeSlow(chunkSizes[size]!);
    this.freeBytes -= chunk.length;
    return chunk;
  }

  /** What `take` returned, and nobody reads any more. */
  giveBack(chunk: Buffer): void {
    this.generation++;
    const size = chunkSizes.indexOf(chunk.length as ChunkSize);
    if (size < 0 || this.#free[size]!.length * chunk.length >= this.#keptMax) return;
    this.#free[size]!.push(chunk);
    this.freeBytes += chunk.length;
  }

  /** Memory is short, or is not any more: while it is, few chunks are kept. */
  economize(isShort: boolean): void {
    this.#keptMax = isShort ? shortPooledBytesMax : pooledBytesMax;
    if (!isShort) return;
    // The others are garbage, which takes memory as well until it is collected.
    for (const free of this.#free) {
      while (free.length > 0 && free.length * free[0]!.length > this.#keptMax) this.freeBytes -= free.pop()!.length;
    }
  }
}
