/** What a configuration may say of the HTTP API. */
import * as z from 'zod';
import { loginUser } from '../contracts/login.ts';
import { text, whole } from '../contracts/values.ts';
import { origin, tls } from './listener-schema.ts';

const adminListener = z.strictObject({
  host: text.default('127.0.0.1').describe('address to listen on'),
  port: whole(0, 65_535).default(18_083).describe('0 takes any that is free'),
  tls: tls.optional().describe('without it, plain HTTP'),
});

export const admin = z.strictObject({
  listeners: z
    .array(adminListener)
    .max(16)
    .optional()
    .describe(
      'addresses of the HTTP API. Without it, `sluice start` takes http://127.0.0.1:18083 if that is free, and a ' +
        "program's broker none",
    ),
  users: z
    .array(loginUser)
    .max(100)
    .refine((users) => new Set(users.map(({ username }) => username)).size === users.length, 'each user once')
    .optional()
    .describe(
      'users of the password files under `authentication` who may [log in](../guides/http-api.md#log-in-with-a-password)',
    ),
  connections: whole(1, 10_000)
    .default(256)
    .describe('connections to all these listeners. Beyond, one that asks nothing is closed for a new one'),
  connectionsPerAddress: whole(0, 10_000)
    .default(64)
    .describe('those of one address, unless `limits.exemptAddresses` has it. 0: any number'),
  requestsPerSecondPerAddress: whole(0, 100_000)
    .default(500)
    .describe(
      "requests of one address over time, unless `limits.exemptAddresses` has it; two seconds' worth may come at once. " +
        '0: any number',
    ),
  requestsPerSecondPerCaller: whole(0, 100_000)
    .default(500)
    .describe('the same of one key or user, from wherever they come'),
  hosts: z
    .array(z.string().regex(/^[a-z\d.-]+$/, 'a host name in lower case, as broker.example'))
    .max(100)
    .default([])
    .describe('names of this machine by which it may be asked, besides its addresses and `localhost`'),
  origins: z
    .array(origin)
    .max(100)
    .default([])
    .describe('web pages that may ask, as `https://ops.example`, besides those that the API serves'),
  metrics: z
    .enum(['loopback', 'open', 'key'])
    .default('loopback')
    .describe(
      'who may read [`/metrics`](../guides/monitoring.md) without a key: whoever reaches a listener on a loopback ' +
        'address, everybody (`open`), or nobody (`key`). Behind a proxy on this machine, use `key`',
    ),
});
