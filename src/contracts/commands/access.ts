/** Who is shut out. */
import * as z from 'zod';
import { canonicalAddress, sourceOf } from '../../base/addresses.ts';
import { ban } from '../bans.ts';
import { whole } from '../values.ts';
import { type CommandDeclarations, count, nodeKey, nothing, unansweredKey } from './declaration.ts';

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
const addressKey = z
  .string()
  .refine((given) => bannedAddress(given) !== null, 'an address, as bans list gives it')
  .meta({ anyOf: addressForms.slice(1) });
const nameKey = z.string().min(1).max(65_535);

const sharedNodeKey = {
  node: z.string().optional().describe('the one node of a cluster where it holds; absent: all, or there is no cluster'),
};

const decision = z.strictObject({
  isAllowed: z.boolean().describe('whether it may'),
  code: z.int().describe('reason code; of a subscription that is granted, its QoS'),
  rule: z.string().describe('the rule that decides, with its place in the configuration'),
});

export const accessCommands = {
  'bans list': {
    what: 'tells who is banned',
    area: 'access',
    role: 'viewer',
    route: 'GET /bans',
    nodes: 'all',
    cli: { lists: 'bans' },
    request: nothing,
    answer: z.strictObject({
      bans: z
        .array(ban.extend(sharedNodeKey).readonly())
        .readonly()
        .describe('bans; the one that ends first comes first'),
      ...unansweredKey,
    }),
  },
  'bans create': {
    what: 'shuts out an address, a user or a client for a while, also exempt addresses',
    area: 'access',
    role: 'operator',
    route: 'POST /bans',
    nodes: 'shared',
    request: z.strictObject({
      address: addressKey
        .nullable()
        .default(null)
        .describe('address; of IPv6, its network of 64 bits; null: everywhere'),
      user: nameKey.nullable().default(null).describe('user name; null: everybody from there'),
      client: nameKey
        .nullable()
        .default(null)
        .describe('client identifier; null: everybody from there. A ban is of a user or of a client'),
      forSeconds: whole(1, 315_360_000).meta({ unit: 'seconds' }).describe('how long it lasts, in seconds'),
      why: z.string().min(1).max(200).default('banned by an operator').describe('the reason, which the client is told'),
      disconnect: z.boolean().default(true).describe('also end the connections of those whom it shuts out'),
    }),
    answer: z.strictObject({
      ban: ban.describe('the ban'),
      disconnected: z.int().describe('connections that were ended; in a cluster, those of this node'),
    }),
  },
  'access explain': {
    what: 'tells what a client may do under the rules in force, and which rule says so',
    area: 'access',
    role: 'viewer',
    route: 'GET /access/explain',
    nodes: 'client',
    cli: { arguments: ['action', 'topic'], options: { groups: 'group', attributes: 'attribute' } },
    request: z.strictObject({
      action: z.enum(['publish', 'subscribe', 'receive']).describe('`receive`: whether a message is delivered to it'),
      topic: z.string().min(1).max(65_535).describe('topic name; of `subscribe`, a topic filter, with `$share/…`'),
      qos: z.literal([0, 1, 2]).nullable().default(null).describe('QoS; null: 0 to publish, 2 to subscribe'),
      retain: z.boolean().default(false).describe('whether the message is to be retained'),
      clientId: nameKey
        .nullable()
        .default(null)
        .describe('client identifier; of one with a session, what is known of it counts. Null: `test`'),
      username: nameKey.nullable().default(null).describe("user name; null: that of the client's session, or none"),
      groups: z
        .array(nameKey)
        .max(100)
        .nullable()
        .default(null)
        .describe("groups of the user; null: those of the client's session, or none"),
      attributes: z
        .array(z.string().regex(/^[^=]+=/, 'NAME=TEXT'))
        .max(100)
        .nullable()
        .default(null)
        .describe(
          "what authentication found out, as `certificate.commonName=TEXT`; null: as the client's session, or nothing",
        ),
      address: z
        .string()
        .refine((given) => canonicalAddress(given) !== null, 'an address, as 10.0.0.5 or fd00::5')
        .meta({ anyOf: addressForms.slice(1, 3) })
        .nullable()
        .default(null)
        .describe("where it connects from; null: as the client's session, or 127.0.0.1"),
      listener: nameKey
        .nullable()
        .default(null)
        .describe("URL of the listener; null: as the client's session, or mqtt://127.0.0.1:1883"),
    }),
    answer: decision.extend({
      client: z
        .strictObject({
          clientId: z.string().describe('client identifier'),
          username: z.string().nullable().describe('user name; null: none'),
          groups: z.array(z.string()).readonly().describe('groups'),
        })
        .describe('who was asked about'),
      delivery: decision
        .nullable()
        .describe('of a subscription without wildcards, whether messages are delivered; null: each is asked about'),
      ...nodeKey,
    }),
  },
  'bans clear': {
    what: 'lifts bans of an address, with those of users and clients from it, or of a user or a client',
    area: 'access',
    role: 'operator',
    route: 'POST /bans/clear',
    nodes: 'all',
    cli: { arguments: ['address'] },
    request: z.strictObject({
      address: z
        .string()
        .refine(
          (given) => given === 'all' || bannedAddress(given) !== null,
          'an address, as bans list gives it, or all',
        )
        .meta({ anyOf: addressForms })
        .nullable()
        .default(null)
        .describe('address, as `bans list` gives it, or `all`; null: any, of the user or the client that is named'),
      user: nameKey.nullable().default(null).describe('only bans of this user name; null: of any'),
      client: nameKey.nullable().default(null).describe('only bans of this client identifier; null: of any'),
    }),
    answer: count('bans that were lifted').extend(unansweredKey),
  },
} as const satisfies CommandDeclarations;

/** Of an address that a request named. */
export const addressOfBans = (given: string): string => bannedAddress(given)!;
