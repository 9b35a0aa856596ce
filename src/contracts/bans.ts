/** Who is shut out for a while, and lets in again before its time. */
import * as z from 'zod';

export const ban = z.strictObject({
  address: z.string().nullable().describe('address; of IPv6, a network of 64 bits; null: everywhere'),
  user: z.string().nullable().describe('user name; null: everybody from there'),
  client: z.string().nullable().describe('client identifier; null: everybody from there'),
  why: z.string().describe('the reason'),
  since: z.number().describe('when it began, in milliseconds since the epoch'),
  until: z.number().describe('when it ends, in milliseconds since the epoch'),
});
export type Ban = Readonly<z.output<typeof ban>>;

export interface BanList {
  /** The one that ends first comes first. */
  bans(): readonly Ban[];
  /** Of this address, with those of users and clients there, and of these names. Returns how many there were. */
  clearBans(whom: BanTarget): number;
  /** Shuts out who comes from now on. Null: there are too many bans. */
  ban(wanted: NewBan): Ban | null;
  /** Ends the connections of those whom this ban shuts out. Resolves with how many. */
  disconnectBanned(ban: Ban): Promise<number>;
  /** Those that `clearBans` would lift. */
  bansOf(whom: BanTarget): readonly Ban[];
}

/** Bans of operators that all nodes of a cluster know. Each rejects, or waits, while the cluster cannot be asked. */
export interface SharedBans {
  /** Resolves once this node knows all bans of others. */
  refresh(): Promise<void>;
  /** `disconnect`: other nodes end the connections of those whom it shuts out. */
  add(ban: Ban, disconnect: boolean): Promise<void>;
  /** Those of them that are shared. */
  lift(bans: readonly Ban[]): Promise<void>;
}

/** Null: any. */
export type BanTarget = Pick<Ban, 'address' | 'user' | 'client'>;

/** What an operator asks for. */
export interface NewBan extends BanTarget {
  readonly forSeconds: number;
  readonly why: string;
}
