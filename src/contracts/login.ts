/** Logging in to the HTTP API with a user name and a password, for people with a browser. */
import * as z from 'zod';
import type { DeepReadonly } from '../base/freeze.ts';
import { areas, type Caller, roles } from './roles.ts';
import { text } from './values.ts';

/** Who of the users of the password files may log in, and as what. */
export const loginUser = z.strictObject({
  username: text.describe('user of a password file. Required'),
  role: z.enum(roles).describe('what they may do. Required'),
  areas: z
    .array(z.enum(areas))
    .min(1)
    .max(areas.length)
    .default([...areas])
    .describe('what about; all of them by default'),
});
export type LoginUser = DeepReadonly<z.output<typeof loginUser>>;

/** What a check of a password says. `unavailable`: the file cannot be used; the log has why. */
export type PasswordAnswer = 'right' | 'wrong' | 'busy' | 'unavailable';

export const sessionCookie = 'sluice_session';

const secret = z.string().min(1).max(1_024);
export const loginRequest = z.union(
  [
    z.strictObject({
      username: secret.describe('user name'),
      password: secret.describe('password'),
    }),
    z.strictObject({ token: secret.describe('of a link that `sluice admin login-link` printed') }),
  ],
  'username and password, or token, with up to 1,024 characters each',
);

export const loginAnswer = z.strictObject({
  name: z.string().describe('who asks, as the audit log has it'),
  username: z.string().nullable().describe('user name under whose rules they publish and subscribe; null: under none'),
  role: z.enum(roles).describe('what they may do'),
  areas: z.array(z.enum(areas)).readonly().describe('what about'),
  csrfToken: z
    .string()
    .nullable()
    .describe('what requests that change something send as `X-CSRF-Token`; null for whoever shows a key'),
  expiresAt: z
    .number()
    .nullable()
    .describe('when the session ends at the latest, in milliseconds since the epoch; null for whoever shows a key'),
});
export type LoginAnswer = z.output<typeof loginAnswer>;

/** Who has logged in, without where they ask from. */
export type LoggedIn = Omit<Caller, 'from'>;
