/**
 * The clients that take longest to acknowledge, in a table of fixed size: who is slower than all in it takes the place
 * of the fastest. The core times one message a second of each session, and tells of those that took long.
 */
import type { SlowClient } from '../contracts/slow-clients.ts';
import { type ClientSession, programPrefix } from '../core/client-session.ts';

const entriesMax = 100;
/** A client that was not slow for so long is forgotten. */
const forgetMs = 3_600_000;

type Entry = { -readonly [Key in keyof SlowClient]: SlowClient[Key] };

export class SlowClients {
  readonly #entries = new Map<string, Entry>();
  /** No entry has less, once the table is full. */
  #leastMs = 0;

  /** It has taken so long to acknowledge a message, or has not acknowledged it yet. */
  note({ clientId, identity }: ClientSession, ms: number, isAcknowledged: boolean, now: number): void {
    if (clientId.startsWith(programPrefix)) return;
    const known = this.#entries.get(clientId);
    if (known !== undefined) {
      known.worstMs = Math.max(known.worstMs, ms);
      known.lastMs = ms;
      known.lastTime = now;
      known.isAcknowledged = isAcknowledged;
      known.count++;
      return;
    }
    if (this.#entries.size >= entriesMax && !this.#makeRoom(ms, now)) return;
    const username = identity?.username ?? null;
    this.#entries.set(clientId, {
      ...{ clientId, username, worstMs: ms, lastMs: ms, isAcknowledged, count: 1, time: now, lastTime: now },
    });
  }

  /** Whether there is room for one that is so slow. */
  #makeRoom(ms: number, now: number): boolean {
    if (ms <= this.#leastMs) return false;
    this.#forgetOld(now);
    if (this.#entries.size < entriesMax) return true;
    const fastest = this.#worstFirst().at(-1)!;
    this.#leastMs = fastest.worstMs;
    return ms > fastest.worstMs && this.#entries.delete(fastest.clientId);
  }

  #forgetOld(now: number): void {
    for (const [clientId, { lastTime }] of this.#entries) {
      if (now - lastTime > forgetMs) this.#entries.delete(clientId);
    }
    if (this.#entries.size < entriesMax) this.#leastMs = 0;
  }

  #worstFirst(): Entry[] {
    return [...this.#entries.values()].sort((one, other) => other.worstMs - one.worstMs);
  }

  /** The worst first. */
  list(most: number, now: number): readonly SlowClient[] {
    this.#forgetOld(now);
    return this.#worstFirst()
      .slice(0, most)
      .map((entry) => ({ ...entry }));
  }
}
