/** How many streams there may be at one time. */
import { CommandFailure } from '../contracts/failures.ts';
import type { Caller } from '../contracts/roles.ts';

const inAllMax = 64;
const ofCallerMax = 16;

export class StreamPlaces {
  readonly #taken = new Map<string, number>();
  readonly #closing = new AbortController();
  #inAll = 0;

  /** Aborted when the broker ends. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Returns what gives the place back; a second call does nothing. Throws a CommandFailure if there is none. */
  take({ name }: Caller): () => void {
    const own = this.#taken.get(name) ?? 0;
    if (this.#inAll >= inAllMax || own >= ofCallerMax) {
      const whose = own >= ofCallerMax ? `${name} has ${own} streams open` : `${this.#inAll} streams are open`;
      throw new CommandFailure('too-many-requests', `${whose}; close one first`);
    }
    this.#inAll++;
    this.#taken.set(name, own + 1);
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      this.#inAll--;
      const left = this.#taken.get(name)! - 1;
      if (left === 0) this.#taken.delete(name);
      else this.#taken.set(name, left);
    };
  }

  close(): void {
    this.#closing.abort();
  }
}
