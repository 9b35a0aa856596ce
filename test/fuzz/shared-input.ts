/** The input under way, and how many there were, in memory that two threads see. */
const headBytes = 8;
export const sharedBytesMax = 1_048_576;

export class SharedInput {
  readonly memory: SharedArrayBuffer;
  readonly #head: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(memory = new SharedArrayBuffer(headBytes + sharedBytesMax)) {
    this.memory = memory;
    this.#head = new Int32Array(memory, 0, 2);
    this.#bytes = new Uint8Array(memory, headBytes);
  }

  set(input: Uint8Array): void {
    this.#bytes.set(input.subarray(0, sharedBytesMax));
    this.#head[1] = Math.min(input.length, sharedBytesMax);
    this.#head[0]!++;
  }

  /** Rises with each input. */
  get count(): number {
    return Atomics.load(this.#head, 0);
  }

  get input(): Uint8Array {
    return this.#bytes.slice(0, Atomics.load(this.#head, 1));
  }
}
