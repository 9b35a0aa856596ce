/**
 * Memory for bytes on their way in or out, shared by all connections.
 *
 * What V8 must not be left to collect: enough buffers of 200 kB a second drive it from one full collection to the next, and a
 * message of that size then costs three times as much.
 */
const chunkSizes = [1_024, 8_192, 65_536, 131_072, 262_144, 524_288, 1_048_576] as const;
type ChunkSize = (typeof chunkSizes)[number];
/** From here on one packet has a chunk for itself. */
export const largeChunk = 65_536;
/** Bytes kept for reuse per size. */
const pooledBytesMax = 4_194_304;

export class ChunkPool {
  readonly #free: Buffer[][] = chunkSizes.map(() => []);
  /** Rises when memory that was written before may be written again. */
  generation = 0;

  /** At least so many bytes, with anything in them. */
  take(bytes: number): Buffer {
    const size = chunkSizes.findIndex((each) => bytes <= each);
    if (size === -1) return Buffer.allocUnsafeSlow(bytes);
    return this.#free[size]!.pop() ?? Buffer.allocUnsafeSlow(chunkSizes[size]!);
  }

  /** What `take` returned, and nobody reads any more. */
  giveBack(chunk: Buffer): void {
    this.generation++;
    const size = chunkSizes.indexOf(chunk.length as ChunkSize);
    if (size >= 0 && this.#free[size]!.length * chunk.length < pooledBytesMax) this.#free[size]!.push(chunk);
  }
}
