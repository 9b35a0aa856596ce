/**
 * On whose behalf a message goes on that a stage had held back: those who published what is in it.
 *
 * Bounded: anybody may come by with another client identifier. Of more than that nobody can be asked, and so nothing is
 * allowed that would have to be asked for.
 */
import type { ClientIdentity } from '../contracts/hooks.ts';

/** Who published a message, as far as it is known: a quarantined message is replayed for a client that may be gone. */
export interface Publisher {
  readonly clientId: string;
  readonly username: string | null;
  readonly listener: string | null;
}

const publishersMax = 100;

export class Publishers {
  readonly #known = new Map<string, ClientIdentity>();
  /** One of them is not known, or they are too many. */
  isIncomplete = false;

  *[Symbol.iterator](): Generator<ClientIdentity> {
    yield* this.#known.values();
  }

  add(from: Publishers | ClientIdentity | null): void {
    if (from === null) this.isIncomplete = true;
    else if (from instanceof Publishers) {
      this.isIncomplete ||= from.isIncomplete;
      for (const each of from) this.#addOne(each);
    } else this.#addOne(from);
  }

  #addOne(client: ClientIdentity): void {
    const key = JSON.stringify([client.clientId, client.username]);
    if (!this.#known.has(key) && this.#known.size >= publishersMax) this.isIncomplete = true;
    else this.#known.set(key, client);
  }
}

/** Who published what is on its way: a client, or what a quarantined message tells of one. Null: nobody knows. */
export function publisherIn({
  client,
  publisher,
}: {
  readonly client: ClientIdentity | null;
  readonly publisher: Publisher | null;
}): ClientIdentity | null {
  if (client !== null || publisher === null) return client;
  const { clientId, username } = publisher;
  return {
    clientId,
    username,
    protocolVersion: 5,
    transport: 'local',
    remoteAddress: '',
    listener: '',
    groups: [],
    attributes: {},
  };
}
