/** Keys of the HTTP API. */
import * as z from 'zod';
import { areas, roles } from '../roles.ts';
import { type CommandDeclarations, nothing } from './declaration.ts';

const time = (of: string) => z.number().nullable().describe(`${of}, in milliseconds since the epoch; null: never`);

const key = z.strictObject({
  id: z.string().describe('its number, which is no secret'),
  name: z.string().describe('what it is called'),
  role: z.enum(roles).describe('what it may do'),
  areas: z.array(z.enum(areas)).readonly().describe('what about'),
  username: z.string().nullable().describe('user name under whose rules it publishes and subscribes; null: under none'),
  createdAt: z.number().describe('when it was made, in milliseconds since the epoch'),
  expiresAt: time('when it expires'),
});
export type KeyView = z.output<typeof key>;

export const keyCommands = {
  'keys list': {
    what: 'lists the keys of the API, without the keys themselves',
    area: 'keys',
    role: 'admin',
    route: 'GET /keys',
    cli: { words: 'admin key list', lists: 'keys' },
    request: nothing,
    answer: z.strictObject({ keys: z.array(key).readonly().describe('keys') }),
  },
  'keys create': {
    what: 'makes a key; this is the only time that it is shown',
    area: 'keys',
    role: 'admin',
    route: 'POST /keys',
    cli: {
      words: 'admin key create',
      arguments: ['name'],
      options: { areas: 'area', username: 'user', expiresInSeconds: 'for' },
    },
    request: z.strictObject({
      name: z
        .string()
        .regex(/^[\w.@ -]{1,64}$/, 'a name of up to 64 letters, digits, spaces and . - _ @')
        .describe('what it is called, in lists and in the audit log'),
      role: z.enum(roles).describe('what it may do'),
      areas: z
        .array(z.enum(areas))
        .min(1)
        .max(areas.length)
        .default([...areas])
        .describe('what about; all of them by default'),
      username: z
        .string()
        .min(1)
        .nullable()
        .default(null)
        .describe('user name under whose rules it publishes and subscribes; null: under none'),
      expiresInSeconds: z
        .int()
        .min(1)
        .max(3_155_760_000)
        .nullable()
        .default(null)
        .describe('how long it is valid, in seconds; null: for ever'),
    }),
    answer: key.extend({ key: z.string().describe('the key itself') }),
  },
  'keys delete': {
    what: 'ends a key',
    area: 'keys',
    role: 'admin',
    route: 'DELETE /keys/{id}',
    cli: { words: 'admin key delete' },
    request: z.strictObject({ id: z.string().min(1).describe('its number, as `keys list` gives it') }),
    answer: key,
  },
  'login-links create': {
    what: 'makes a link that logs in as an admin, once and within ten minutes',
    area: 'keys',
    role: 'admin',
    route: 'POST /login-links',
    cli: { words: 'admin login-link' },
    request: nothing,
    answer: z.strictObject({
      token: z.string().describe('what logs in'),
      urls: z.array(z.string()).readonly().describe('the link, for each address where the API listens'),
      expiresAt: z.number().describe('when it expires, in milliseconds since the epoch'),
    }),
  },
} as const satisfies CommandDeclarations;
