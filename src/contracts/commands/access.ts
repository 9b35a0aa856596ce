/** Who is shut out. */
import { z } from 'zod';
import { canonicalAddress, sourceOf } from '../../base/addresses.ts';
import { ban } from '../bans.ts';
import { type CommandDeclarations, count, nothing } from './declaration.ts';

/** As bans know it: of IPv6, a network. */
const bannedAddress = (given: string): string | null => {
  const address = canonicalAddress(given.replace(/\/64$/, ''));
  return address === null ? null : sourceOf(address);
};

/** The same for JSON Schema. */
const addressForms = [
  { type: 'string', const: 'all' },
  { type: 'string', format: 'ipv4' },
  { type: 'string', format: 'ipv6' },
  { type: 'string', pattern: '^([0-9a-f]{1,4}:){4}:/64$' },
];

export const accessCommands = {
  'bans list': {
    what: 'tells who is banned',
    area: 'access',
    role: 'viewer',
    route: 'GET /bans',
    request: nothing,
    answer: z.strictObject({ bans: z.array(ban).readonly().describe('bans; the one that ends first comes first') }),
  },
  'bans clear': {
    what: 'lifts bans of an address, and of users and clients from it',
    area: 'access',
    role: 'operator',
    route: 'POST /bans/clear',
    request: z.strictObject({
      address: z
        .string()
        .refine(
          (given) => given === 'all' || bannedAddress(given) !== null,
          'an address, as bans list gives it, or all',
        )
        .meta({ anyOf: addressForms })
        .describe('address, as `bans list` gives it, or `all`'),
    }),
    answer: count('bans that were lifted'),
  },
} as const satisfies CommandDeclarations;

/** Of an address that a request named. */
export const addressOfBans = (given: string): string => bannedAddress(given)!;
