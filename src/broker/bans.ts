/**
 * Who is shut out for a while: an address, or one user or client from one address, never a user or client everywhere,
 * since then anybody could shut out anybody. Bounded, and in memory only: a restart forgets it.
 */
import { createHash } from 'node:crypto';
import { TtlTable } from '../base/ttl-table.ts';
import type { Ban } from '../contracts/bans.ts';

type Banned = Pick<Ban, 'address' | 'user' | 'client'>;

const nameMax = 64;

/** A name that takes bounded room in a table. None of 64 characters or less looks like that of a longer one. */
export function shortName(name: string): string {
  if (name.length <= nameMax) return name;
  return `${name.slice(0, 16)}… ${createHash('sha256').update(name).digest('hex')}`;
}

export const keyOf = (address: string, user: string | null, client: string | null): string =>
  user === null && client === null ? address : `${address} ${user !== null ? `user ${user}` : `client ${client}`}`;

export class Bans {
  readonly #table: TtlTable<Ban>;
  /** So that nobody is looked for while nobody is banned. */
  #hasAny = false;

  constructor(bansMax: number) {
    this.#table = new TtlTable(bansMax);
  }

  add(ban: Ban): void {
    this.#table.set(keyOf(ban.address, ban.user, ban.client), ban);
    this.#hasAny = true;
  }

  find({ address, user, client }: Banned, now: number): Ban | null {
    if (!this.#hasAny) return null;
    return (
      this.#table.get(address, now) ??
      (user === null ? null : this.#table.get(keyOf(address, user, null), now)) ??
      (client === null ? null : this.#table.get(keyOf(address, null, client), now))
    );
  }

  list(now: number): Ban[] {
    return [...this.#table.entries(now)].map(([, ban]) => ban).sort((a, b) => a.until - b.until);
  }

  delete(key: string): void {
    this.#table.delete(key);
  }
}
