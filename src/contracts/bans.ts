/** Who is shut out for a while, and lets in again before its time. */
import { z } from 'zod';

export const ban = z
  .strictObject({
    address: z.string().describe('address; of IPv6, a network of 64 bits'),
    user: z.string().nullable().describe('user name; null: everybody from there'),
    client: z.string().nullable().describe('client identifier; null: everybody from there'),
    why: z.string().describe('the reason'),
    since: z.number().describe('when it began, in milliseconds since the epoch'),
    until: z.number().describe('when it ends, in milliseconds since the epoch'),
  })
  .readonly();
export type Ban = z.output<typeof ban>;

export interface BanList {
  /** The one that ends first comes first. */
  bans(): readonly Ban[];
  /** Of this address, with all bans of users and clients there; null: all. Returns how many there were. */
  clearBans(address: string | null): number;
}
