import type { Session } from './session.ts';

/**
 * Who owns a client identifier: the seam for several workers or machines, where the owner may be elsewhere.
 * Every session is in it from its start to its end, connected or not.
 */
export interface SessionDirectory {
  readonly size: number;
  get(clientId: string): Session | undefined;
  add(session: Session): void;
  remove(session: Session): void;
  [Symbol.iterator](): Iterator<Session>;
}

export class LocalDirectory implements SessionDirectory {
  readonly #sessions = new Map<string, Session>();

  get size(): number {
    return this.#sessions.size;
  }

  get(clientId: string): Session | undefined {
    return this.#sessions.get(clientId);
  }

  add(session: Session): void {
    this.#sessions.set(session.clientId, session);
  }

  remove(session: Session): void {
    if (this.#sessions.get(session.clientId) === session) this.#sessions.delete(session.clientId);
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#sessions.values();
  }
}
