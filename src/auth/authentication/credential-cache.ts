/**
 * Answers that are remembered for a short time, so that clients which come back all at once do not cost a hash or a
 * call each.
 *
 * Neither a password nor anything that could be tried out against one is kept: the key is an HMAC under a key that this
 * process made up. The same question asked again while the first is being worked on shares its answer.
 */
import { createHmac, randomBytes } from 'node:crypto';

type Part = string | Uint8Array | null;

interface Entry<T> {
  readonly value: T;
  until: number;
}

export interface CacheOptions {
  readonly entriesMax: number;
  /** An answer that is used is kept for as long again: for what a change of the file makes void in any case. */
  readonly isRenewed: boolean;
  readonly now: () => number;
}

export class CredentialCache<T> {
  readonly #options: CacheOptions;
  readonly #key = randomBytes(32);
  /** The oldest first. */
  readonly #entries = new Map<string, Entry<T> & { readonly keepMs: number }>();
  readonly #pending = new Map<string, Promise<T>>();

  constructor(options: CacheOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * The answer to the question that `parts` ask; `compute` says as well for how long it holds, 0 for this once only.
   */
  async get(parts: readonly Part[], compute: () => Promise<{ value: T; keepMs: number }>): Promise<T> {
    const key = this.#keyOf(parts);
    const found = this.#entries.get(key);
    if (found !== undefined) {
      this.#entries.delete(key);
      const now = this.#options.now();
      if (found.until > now) {
        if (this.#options.isRenewed) found.until = now + found.keepMs;
        this.#entries.set(key, found);
        return found.value;
      }
    }
    const pending = this.#pending.get(key);
    if (pending !== undefined) return pending;
    const computing = this.#compute(key, compute);
    this.#pending.set(key, computing);
    try {
      return await computing;
    } finally {
      this.#pending.delete(key);
    }
  }

  clear(): void {
    this.#entries.clear();
  }

  async #compute(key: string, compute: () => Promise<{ value: T; keepMs: number }>): Promise<T> {
    const { value, keepMs } = await compute();
    if (keepMs > 0) {
      this.#entries.set(key, { value, keepMs, until: this.#options.now() + keepMs });
      for (const oldest of this.#entries.keys()) {
        if (this.#entries.size <= this.#options.entriesMax) break;
        this.#entries.delete(oldest);
      }
    }
    return value;
  }

  #keyOf(parts: readonly Part[]): string {
    const hmac = createHmac('sha256', this.#key);
    for (const part of parts) {
      const bytes = part === null ? Buffer.alloc(0) : typeof part === 'string' ? Buffer.from(part) : part;
      // With its length, so that ("ab", "c") is not ("a", "bc"); null is not the empty text.
      const length = Buffer.alloc(4);
      length.writeInt32BE(part === null ? -1 : bytes.length);
      hmac.update(length).update(bytes);
    }
    return hmac.digest('base64');
  }
}
