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
/** An answer has some tens of bytes for each message. */
const answerBytesMax = 16_777_216;
const form = /^[\x21-\x7e]{1,255}$/;

interface Kept {
  readonly caller: string;
  readonly request: string;
  readonly answer: Promise<string>;
  /** Of the answer; 0 while it is under way. */
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

export class IdempotencyTable {
  readonly #now: () => number;
  /** The one that is forgotten first comes first. */
  readonly #kept = new Map<string, Kept>();
  readonly #ofCaller = new Map<string, number>();
  #answerBytes = 0;

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
    const own = this.#ofCaller.get(caller) ?? 0;
    if (this.#kept.size >= keysMax || own >= keysOfCallerMax || this.#answerBytes >= answerBytesMax) {
      const what = `${this.#kept.size} idempotency keys of the last ten minutes are remembered, ${own} of them yours`;
      throw new CommandFailure('too-many-requests', `${what}: wait, or send the request without one`);
    }
    const kept = { caller, request, answer: run(), bytes: 0, until: this.#now() + keptMs };
    this.#kept.set(id, kept);
    this.#ofCaller.set(caller, own + 1);
    try {
      const answer = await kept.answer;
      kept.bytes = answer.length;
      if (this.#kept.get(id) === kept) this.#answerBytes += kept.bytes;
      return answer;
    } catch (error) {
      if (!wasDone(error)) this.#forget(id, kept);
      throw error;
    }
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
    this.#answerBytes -= kept.bytes;
    const left = this.#ofCaller.get(kept.caller)! - 1;
    if (left > 0) this.#ofCaller.set(kept.caller, left);
    else this.#ofCaller.delete(kept.caller);
  }
}

/** A request was published, and not answered. */
const wasDone = (error: unknown) => error instanceof CommandFailure && error.kind === 'no-answer';
