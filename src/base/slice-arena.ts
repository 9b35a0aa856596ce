/**
 * Memory for many small things that stay: they lie side by side in one buffer, since a Buffer object of its own would
 * be larger than most of them. Not more than this at a time, because one that stays holds on to all of it.
 */
export class SliceArena {
  readonly #pieceBytes: number;
  #shared: Buffer;
  #used = 0;
  /** Where the place is that was taken last. */
  bytes: Buffer;

  constructor(pieceBytes = 8_192) {
    this.#pieceBytes = pieceBytes;
    this.bytes = this.#shared = Buffer.allocUnsafeSlow(pieceBytes);
  }

  /** So many bytes of `bytes`, from the returned place on. What is large gets a buffer of its own. */
  take(length: number): number {
    const pieceBytes = this.#pieceBytes;
    if (length > pieceBytes / 4) {
      this.bytes = Buffer.allocUnsafeSlow(length);
      return 0;
    }
    if (this.#used + length > pieceBytes) {
      this.#shared = Buffer.allocUnsafeSlow(pieceBytes);
      this.#used = 0;
    }
    this.bytes = this.#shared;
    this.#used += length;
    return this.#used - length;
  }
}
