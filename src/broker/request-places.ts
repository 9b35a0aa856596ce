/** How many requests may wait for their answers at one time. */
import { CommandFailure } from '../contracts/failures.ts';
import type { Caller } from '../contracts/roles.ts';

const inAllMax = 256;
const ofCallerMax = 64;

export class RequestPlaces {
  readonly #taken = new Map<string, number>();
  #inAll = 0;

  /** Returns what gives the place back, to be called once. Throws a CommandFailure if there is none. */
  take({ name }: Caller): () => void {
    const own = this.#taken.get(name) ?? 0;
    if (this.#inAll >= inAllMax || own >= ofCallerMax) {
      const what = `${this.#inAll} requests wait for their answers, ${own} of them of ${name}`;
      throw new CommandFailure('too-many-requests', `${what}; wait until some are answered`);
    }
    this.#inAll++;
    this.#taken.set(name, own + 1);
    return () => {
      this.#inAll--;
      const left = this.#taken.get(name)! - 1;
      if (left === 0) this.#taken.delete(name);
      else this.#taken.set(name, left);
    };
  }
}
