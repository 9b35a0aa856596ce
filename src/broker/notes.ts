/**
 * What parts of the broker remember for themselves over restarts, by names of their own. What is put is stored with
 * what else is staged in the same go.
 */
import type { SessionStore } from '../contracts/session-store.ts';

export class Notes {
  readonly #store: Pick<SessionStore, 'putNote'>;
  readonly #values = new Map<string, Buffer>();

  constructor(store: Pick<SessionStore, 'putNote'>) {
    this.#store = store;
  }

  /** Once, with what the store has loaded. */
  load(notes: ReadonlyMap<string, Buffer>): void {
    for (const [name, value] of notes) this.#values.set(name, value);
  }

  /** Another node of the cluster has put this, or deleted it (null). */
  learn(name: string, value: Buffer | null): void {
    if (value === null) this.#values.delete(name);
    else this.#values.set(name, value);
  }

  get(name: string): Buffer | null {
    return this.#values.get(name) ?? null;
  }

  /** The value must not be changed afterwards. */
  put(name: string, value: Buffer): void {
    this.#values.set(name, value);
    this.#store.putNote(name, value);
  }

  delete(name: string): void {
    if (this.#values.delete(name)) this.#store.putNote(name, null);
  }

  /** Those whose names begin with this, in the order in which they were put first. */
  *names(prefix: string): Generator<string> {
    for (const name of this.#values.keys()) if (name.startsWith(prefix)) yield name;
  }
}
