/**
 * What a configuration file may say of how clients show who they are. docs/access.md explains each mechanism.
 */
import { z } from 'zod';
import { defaultAuthenticationLimits, type MechanismSettings } from '../contracts/authentication.ts';

const whole = (minimum: number, maximum = Number.MAX_SAFE_INTEGER) => z.int().min(minimum).max(maximum);
const text = z.string().min(1);

const mechanism = z.discriminatedUnion(
  'kind',
  [z.strictObject({ kind: z.literal('password-file'), file: text })],
  'one of the kinds: password-file',
);

type Assignable<T extends Expected, Expected> = T;

/** It gives what the mechanisms are written for: the compiler sees to it. */
export type Mechanism = Assignable<z.output<typeof mechanism>, MechanismSettings>;

export const authentication = z.array(mechanism);

/** What a listener may say, in the place of the settings for all of them. */
export const listenerAuthentication = {
  authentication: authentication.optional(),
  allowAnonymous: z.boolean().optional(),
};

export const authenticationLimits = z.strictObject({
  hashesAtOnce: whole(1, 64).default(defaultAuthenticationLimits.hashesAtOnce),
  hashesWaiting: whole(1, 1_000_000).default(defaultAuthenticationLimits.hashesWaiting),
  cacheSeconds: whole(0, 86_400).default(defaultAuthenticationLimits.cacheSeconds),
  cacheEntries: whole(1, 10_000_000).default(defaultAuthenticationLimits.cacheEntries),
});
