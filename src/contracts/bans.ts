/** Who is shut out for a while, and lets in again before its time. */
export interface Ban {
  /** As `sourceOf` gives it: of IPv6, a network. */
  readonly address: string;
  /** Null: everybody from there. */
  readonly user: string | null;
  readonly client: string | null;
  readonly why: string;
  readonly since: number;
  readonly until: number;
}

export interface BanList {
  /** The one that ends first comes first. */
  bans(): readonly Ban[];
  /** Of this address, with all bans of users and clients there; null: all. Returns how many there were. */
  clearBans(address: string | null): number;
}
