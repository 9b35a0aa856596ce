import { ShardedMap } from '../base/sharded-map.ts';
import type { Session } from './session.ts';

/**
 * Who owns a client identifier: the seam for several workers or machines, where the owner may be elsewhere.
 * Every session is in it from its start to its end, connected or not.
 */
export interface SessionDirectory {
  /** Sessions of clients: those of the program within this process do not count. */
  readonly size: number;
  /** Of these, the ones whose clients are connected. */
  readonly connected: number;
  get(clientId: string): Session | undefined;
  add(session: Session): void;
  remove(session: Session): void;
  /** Its client has come. */
  attached(session: Session): void;
  /** Its client has gone. Others than those that are here do not count. */
  detached(session: Session): void;
  /**
   * In no particular order. May stand still while sessions come and go: it has each once that is here all the time.
   */
  [Symbol.iterator](): Iterator<Session>;
}

export class LocalDirectory implements SessionDirectory {
  readonly #sessions = new ShardedMap<string, Session>();
  #connected = 0;
  #ofProgram = 0;

  get size(): number {
    return this.#sessions.size - this.#ofProgram;
  }

  get connected(): number {
    return this.#connected;
  }

  get(clientId: string): Session | undefined {
    return this.#sessions.get(clientId);
  }

  add(session: Session): void {
    this.#sessions.set(session.clientId, session);
    if (session.isOfProgram) this.#ofProgram++;
  }

  remove(session: Session): void {
    if (this.#sessions.get(session.clientId) !== session) return;
    this.#sessions.delete(session.clientId);
    if (session.isOfProgram) this.#ofProgram--;
  }

  attached(session: Session): void {
    if (!session.isOfProgram) this.#connected++;
  }

  detached(session: Session): void {
    if (this.#sessions.get(session.clientId) === session && !session.isOfProgram) this.#connected--;
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#sessions.values();
  }
}
