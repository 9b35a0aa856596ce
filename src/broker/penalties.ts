/**
 * What becomes of those whose authentication fails again and again, or who come and go in a loop: their refusals are
 * kept back longer each time, and then they are shut out for a while.
 *
 * Counted per user at one address and per address, never per user alone: whoever knows a name must not be able to slow
 * or shut out its owner, who is elsewhere.
 */
import { LeakyBuckets } from '../base/ttl-table.ts';
import type { Ban, BanTarget, NewBan } from '../contracts/bans.ts';
import type { Penalties as PenaltySettings } from '../contracts/settings.ts';
import { Bans, keyOf, shortName } from './bans.ts';

/** Users at addresses, addresses, and clients at addresses that are watched. */
const watchedMax = 65_536;
/** A connection that ends sooner counts as coming and going. */
const shortConnectionMs = 10_000;

/** One client, as far as it has said who it is. */
export interface Suspect {
  readonly address: string;
  readonly user: string | null;
  readonly client: string;
}

export class Penalties {
  readonly bans: Bans;
  readonly #settings: PenaltySettings;
  readonly #onBan: (ban: Ban) => void;
  readonly #users: LeakyBuckets;
  readonly #addresses: LeakyBuckets;
  readonly #flaps: LeakyBuckets;

  constructor(settings: PenaltySettings, onBan: (ban: Ban) => void) {
    this.#settings = settings;
    this.#onBan = onBan;
    this.bans = new Bans(settings.bans);
    this.#users = new LeakyBuckets(settings.forgetSeconds * 1000, watchedMax);
    this.#addresses = new LeakyBuckets(settings.forgetSeconds * 1000, watchedMax);
    this.#flaps = new LeakyBuckets(60_000 / Math.max(1, settings.flapsPerMinute), watchedMax);
  }

  find({ address, user, client }: Suspect, now: number): Ban | null {
    const names = { user: user === null ? null : shortName(user), client: shortName(client) };
    return this.bans.find({ address, ...names }, now);
  }

  /** Wrong credentials. Returns for how many milliseconds the refusal is to be kept back. */
  failed({ address, user, client }: Suspect, now: number): number {
    const { failuresPerUser, failuresPerAddress, delayMs, delayMaximumMs } = this.#settings;
    const ofUser = this.#users.add(suspectKey(address, user, client), now);
    const ofAddress = this.#addresses.add(address, now);
    const why = 'authentication failed too often';
    if (failuresPerAddress > 0 && ofAddress >= failuresPerAddress) this.#ban(address, null, null, why, now);
    else if (failuresPerUser > 0 && ofUser >= failuresPerUser) {
      this.#ban(address, user, user === null ? client : null, why, now);
    }
    return Math.min(delayMaximumMs, delayMs * 2 ** (Math.max(ofUser, ofAddress) - 1));
  }

  /** Right credentials: what failed before was a slip. What failed for others from there stays. */
  succeeded({ address, user, client }: Suspect): void {
    this.#users.empty(suspectKey(address, user, client));
  }

  /** A connection has ended that had been accepted. */
  ended({ address, client }: Suspect, acceptedAt: number, now: number): void {
    const { flapsPerMinute } = this.#settings;
    if (flapsPerMinute === 0 || now - acceptedAt >= shortConnectionMs) return;
    const flaps = this.#flaps.add(suspectKey(address, null, client), now);
    if (flaps >= flapsPerMinute) this.#ban(address, null, client, 'connected and left too often', now);
  }

  /** Of operators only. */
  findImposed({ address, user, client }: Suspect, now: number): Ban | null {
    const names = { user: user === null ? null : shortName(user), client: shortName(client) };
    return this.bans.findImposed({ address, ...names }, now);
  }

  /** By an operator. Null: there are too many. */
  impose({ address, user, client, forSeconds, why }: NewBan, now: number): Ban | null {
    const names = { user: user === null ? null : shortName(user), client: client === null ? null : shortName(client) };
    const ban = { address, ...names, why, since: now, until: now + forSeconds * 1_000 };
    return this.bans.impose(ban) ? ban : null;
  }

  /** Lets in again who is banned there, and forgets what led to it. Returns how many bans that were. */
  pardon(whom: BanTarget, now: number): number {
    const bans = this.bansOf(whom, now);
    for (const ban of bans) this.lift(ban);
    return bans.length;
  }

  bansOf({ address, user, client }: BanTarget, now: number): readonly Ban[] {
    const isMeant = (wanted: string | null, found: string | null) => wanted === null || shortName(wanted) === found;
    return this.bans
      .list(now)
      .filter((ban) => (address === null || ban.address === address) && isMeant(user, ban.user))
      .filter((ban) => isMeant(client, ban.client));
  }

  /** The ban of just these. */
  lift({ address, user, client }: BanTarget): void {
    const key = keyOf(address, user, client);
    this.bans.delete(key);
    for (const buckets of [this.#users, this.#flaps]) buckets.empty(key);
    if (address !== null) this.#addresses.empty(address);
  }

  #ban(address: string, user: string | null, client: string | null, why: string, now: number): void {
    const names = { user: user === null ? null : shortName(user), client: client === null ? null : shortName(client) };
    if (this.bans.find({ address, ...names }, now) !== null) return;
    const ban = { address, ...names, why, since: now, until: now + this.#settings.banSeconds * 1000 };
    this.bans.add(ban);
    this.#onBan(ban);
  }
}

/** A client without a user name, one with a token for example, is known by its identifier. */
function suspectKey(address: string, user: string | null, client: string): string {
  return user === null ? keyOf(address, null, shortName(client)) : keyOf(address, shortName(user), null);
}
