/**
 * Requests with an `Idempotency-Key`: sent again within ten minutes, also while the first one is under way, such a
 * request is answered as before and not carried out again.
 */
import { createHash } from 'node:crypto';
import { CommandFailure } from '../contracts/failures.ts';
import type { Caller } from '../contracts/roles.ts';

const keptMs = 600_000;
/** Of all callers, and of one. */
const keysMax = 20_000;
const keysOfCallerMax = 10_000;
/** Of an answer that is kept: those to `publish` have some tens of bytes for each message. */
const answerBytesMax = 131_072;
/** Of the answers of one caller, and of all. One for which there is no room is not kept, only that it was given. */
const bytesOfCallerMax = 2_097_152;
const bytesMax = 33_554_432;
const form = /^[\x21-\x7e]{1,255}$/;

interface Kept {
  readonly caller: string;
  readonly request: string;
  /** Rejects with a CommandFailure if the answer is not kept. */
  answer: Promise<string>;
  /** Of the answer; 0 while it is under way, and if it is not kept. */
  bytes: number;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

export interface IdempotentRequest {
  readonly key: string;
  readonly caller: Caller;
  readonly command: string;
  readonly given: unknown;
}

interface Used {
  keys: number;
  bytes: number;
}

export class IdempotencyTable {
  readonly #now: () => number;
  /** The one that is forgotten first comes first. */
  readonly #kept = new Map<string, Kept>();
  readonly #ofCaller = new Map<string, Used>();
  #bytes = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  get size(): number {
    return this.#kept.size;
  }

  /**
   * What `run` answers, or has answered before. An attempt that failed is forgotten, unless something was done before
   * it failed. Rejects with a CommandFailure if the key is none, was used for another request, or cannot be kept.
   */
  async once({ key, caller, command, given }: IdempotentRequest, run: () => Promise<string>): Promise<string> {
    if (!form.test(key)) {
      throw new CommandFailure('invalid-request', 'Idempotency-Key: expected 1 to 255 printable characters of ASCII');
    }
    this.#forgetOld();
    const id = JSON.stringify([caller.name, caller.username, key]);
    const request = createHash('sha256')
      .update(`${command} ${JSON.stringify(given)}`)
      .digest('base64');
    const before = this.#kept.get(id);
    if (before !== undefined) {
      if (before.request === request) return before.answer;
      throw new CommandFailure('idempotency-conflict', `The key ${key} was used for another request`);
    }
    return this.#begin(id, caller.name, request, run);
  }

  async #begin(id: string, caller: string, request: string, run: () => Promise<string>): Promise<string> {
    const own = this.#ofCaller.get(caller) ?? { keys: 0, bytes: 0 };
    if (this.#kept.size >= keysMax || own.keys >= keysOfCallerMax) {
      const what = `${this.#kept.size} idempotency keys of the last ten minutes are remembered, ${own.keys} of them yours`;
      throw new CommandFailure('too-many-requests', `${what}: wait, or send the request without one`);
    }
    const kept: Kept = { caller, request, answer: run(), bytes: 0, until: this.#now() + keptMs };
    this.#kept.set(id, kept);
    this.#ofCaller.set(caller, own);
    own.keys++;
    try {
      const answer = await kept.answer;
      if (this.#kept.get(id) === kept) this.#keep(kept, own, Buffer.byteLength(answer));
      return answer;
    } catch (error) {
      if (!wasDone(error)) this.#forget(id, kept);
      throw error;
    }
  }

  #keep(kept: Kept, own: Used, bytes: number): void {
    const hasRoom = own.bytes + bytes <= bytesOfCallerMax && this.#bytes + bytes <= bytesMax;
    if (bytes > answerBytesMax || !hasRoom) {
      kept.answer = notKept(bytes);
      return;
    }
    kept.bytes = bytes;
    own.bytes += bytes;
    this.#bytes += bytes;
  }

  #forgetOld(): void {
    const now = this.#now();
    for (const [id, kept] of this.#kept) {
      if (kept.until > now) return;
      this.#forget(id, kept);
    }
  }

  #forget(id: string, kept: Kept): void {
    if (!this.#kept.delete(id)) return;
    this.#bytes -= kept.bytes;
    const own = this.#ofCaller.get(kept.caller)!;
    own.bytes -= kept.bytes;
    if (--own.keys === 0) this.#ofCaller.delete(kept.caller);
  }
}

/** A request was published, and not answered. */
const wasDone = (error: unknown) => error instanceof CommandFailure && error.kind === 'no-answer';

function notKept(bytes: number): Promise<string> {
  const what = `The request was carried out, and its answer of ${bytes} bytes was too long to be kept`;
  const answer = Promise.reject(new CommandFailure('conflict', what));
  // Perhaps nobody asks again.
  answer.catch(() => {});
  return answer;
}
