/**
 * What becomes of those who show wrong credentials to the HTTP API: the same as for MQTT, in the same tables, so that
 * nobody can go on there where they were stopped here.
 */
import type { Ban } from './bans.ts';

export interface LoginPenalties {
  /** What an address counts under, of IPv6 its network of 64 bits; null: it is exempt. */
  sourceOf(address: string): string | null;
  /** Null: not banned. `user`: null for whoever shows a key. */
  banOf(source: string, user: string | null): Ban | null;
  /** Wrong credentials. Returns for how many milliseconds the refusal is to be kept back. */
  failed(source: string, user: string | null): number;
  /** Right credentials: what failed before for this user at this address was a slip. */
  succeeded(source: string, user: string | null): void;
}

/** Where nobody is banned. */
export const noPenalties: LoginPenalties = {
  sourceOf: (address) => address,
  banOf: () => null,
  failed: () => 0,
  succeeded: () => {},
};
