/**
 * Who is shut out for a while: an address, or one user or client from one address. Never a user or client everywhere,
 * since then anybody could shut out anybody, unless an operator says so: those bans have a table of their own, which
 * nobody else can fill. Bounded, and in memory only: a restart forgets it.
 */
import { createHash } from 'node:crypto';
import { TtlTable } from '../base/ttl-table.ts';
import type { Ban } from '../contracts/bans.ts';

/** Somebody who comes. */
type Suspected = Pick<Ban, 'user' | 'client'> & { readonly address: string };

const nameMax = 64;

/** A name that takes bounded room in a table. None of 64 characters or less looks like that of a longer one. */
export function shortName(name: string): string {
  if (name.length <= nameMax) return name;
  return `${name.slice(0, 16)}… ${createHash('sha256').update(name).digest('hex')}`;
}

/** `address`: null for everywhere. */
export function keyOf(address: string | null, user: string | null, client: string | null): string {
  const where = address ?? '*';
  return user === null && client === null ? where : `${where} ${user !== null ? `user ${user}` : `client ${client}`}`;
}

/** By operators. */
const imposedMax = 10_000;

export class Bans {
  readonly #table: TtlTable<Ban>;
  readonly #imposed = new TtlTable<Ban>(imposedMax);
  /** So that nobody is looked for while nobody is banned. */
  #hasAny = false;

  constructor(bansMax: number) {
    this.#table = new TtlTable(bansMax);
  }

  add(ban: Ban): void {
    this.#table.set(keyOf(ban.address, ban.user, ban.client), ban);
    this.#hasAny = true;
  }

  /** An operator's own. False: there are so many that it has no room. */
  impose(ban: Ban): boolean {
    const key = keyOf(ban.address, ban.user, ban.client);
    this.#hasAny = true;
    if (this.#imposed.size >= imposedMax && this.#imposed.get(key, ban.since) === null) return false;
    this.#imposed.set(key, ban);
    return true;
  }

  find(whom: Suspected, now: number): Ban | null {
    if (!this.#hasAny) return null;
    return this.findImposed(whom, now) ?? findIn(this.#table, whom, whom.address, now);
  }

  /** By an operator, also for those that are exempt from penalties. */
  findImposed(whom: Suspected, now: number): Ban | null {
    if (!this.#hasAny || this.#imposed.size === 0) return null;
    return findIn(this.#imposed, whom, whom.address, now) ?? findIn(this.#imposed, whom, null, now);
  }

  list(now: number): Ban[] {
    return [...this.#imposed.entries(now), ...this.#table.entries(now)]
      .map(([, ban]) => ban)
      .sort((a, b) => a.until - b.until);
  }

  delete(key: string): void {
    this.#imposed.delete(key);
    this.#table.delete(key);
  }
}

/** `address`: null for everywhere. */
function findIn(table: TtlTable<Ban>, { user, client }: Suspected, address: string | null, now: number): Ban | null {
  return (
    (address === null ? null : table.get(address, now)) ??
    (user === null ? null : table.get(keyOf(address, user, null), now)) ??
    (client === null ? null : table.get(keyOf(address, null, client), now))
  );
}
