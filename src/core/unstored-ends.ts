/**
 * Clients whose sessions have ended although the store does not have that yet: after a crash they would be there
 * again. So nobody may be told before that their session is gone. [MQTT5 3.1.2-4]
 */
import type { SessionStore } from '../contracts/session-store.ts';

export class UnstoredEnds {
  readonly #store: Pick<SessionStore, 'staged' | 'durableChanges'>;
  /** By client identifier: what `staged` was then. In that order. */
  readonly #ends = new Map<string, number>();

  constructor(store: Pick<SessionStore, 'staged' | 'durableChanges'>) {
    this.#store = store;
  }

  /** The end of its session is staged. */
  add(clientId: string): void {
    this.#forgetStored();
    this.#ends.delete(clientId);
    this.#ends.set(clientId, this.#store.staged);
  }

  has(clientId: string): boolean {
    this.#forgetStored();
    return this.#ends.has(clientId);
  }

  #forgetStored(): void {
    for (const [clientId, staged] of this.#ends) {
      if (staged > this.#store.durableChanges) return;
      this.#ends.delete(clientId);
    }
  }
}
