/**
 * What a configuration file may say of how clients show who they are. docs/guides/authentication.md explains each
 * mechanism.
 */
import { z } from 'zod';
import { defaultAuthenticationLimits, type MechanismSettings } from '../contracts/authentication.ts';
import { text, whole } from './values.ts';

const timeoutMs = whole(1, 60_000).default(3_000);

/** Names beginning with SLUICE_ set settings themselves. */
const variable = text.refine((name) => !name.startsWith('SLUICE_'), 'a name that does not begin with SLUICE_');
const url = z
  .url({ protocol: /^https?$/, error: 'a URL, with https:// or http://' })
  .refine((text) => !/^[^/]*\/\/[^/?#]*@/.test(text), 'a URL without a name and a password; secrets come from a file');
const isSecure = (text: string | undefined) => text === undefined || text.startsWith('https:');

const passwordFile = z.strictObject({ kind: z.literal('password-file'), file: text });

const tokenAlgorithms = [
  ...['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
] as const;
const keySources = ['secretFile', 'secretEnv', 'keyFile', 'jwksFile', 'jwksUrl'] as const;

const jwt = z
  .strictObject({
    kind: z.literal('jwt'),
    secretFile: text.optional(),
    secretEnv: variable.optional(),
    keyFile: text.optional(),
    jwksFile: text.optional(),
    jwksUrl: url.optional(),
    caFile: text.optional(),
    algorithms: z.array(z.enum(tokenAlgorithms)).default([]),
    token: z.enum(['password', 'username']).default('password'),
    issuer: text.optional(),
    audience: text.optional(),
    clockToleranceSeconds: whole(0, 600).default(5),
    requireExpiry: z.boolean().default(true),
    usernameClaim: text.default('sub'),
    groupsClaim: text.default('groups'),
    clientIdClaim: text.optional(),
    jwksCacheSeconds: whole(1, 86_400).default(600),
    cooldownSeconds: whole(1, 3_600).default(30),
    timeoutMs,
  })
  .refine(
    (settings) => keySources.filter((name) => settings[name] !== undefined).length === 1,
    `exactly one of ${keySources.join(', ')}`,
  )
  .refine(({ caFile, jwksUrl }) => caFile === undefined || (jwksUrl !== undefined && isSecure(jwksUrl)), {
    path: ['caFile'],
    error: 'it only beside a jwksUrl with https://, whose server is to be trusted by it',
  });

const certificate = z.strictObject({
  kind: z.literal('certificate'),
  username: z.enum(['commonName', 'dns', 'email', 'uri']).default('commonName'),
  required: z.boolean().default(false),
});

const http = z
  .strictObject({
    kind: z.literal('http'),
    url,
    caFile: text.optional(),
    timeoutMs,
    callsAtOnce: whole(1, 1_000).default(32),
    callsWaiting: whole(1, 1_000_000).default(1_000),
    cacheSeconds: whole(0, 86_400).default(60),
    refusalCacheSeconds: whole(0, 86_400).default(5),
    cacheEntries: whole(1, 10_000_000).default(10_000),
    asksForAnonymous: z.boolean().default(false),
    secretHeader: z
      .string()
      .regex(/^[\w!#$%&'*+.^`|~-]+$/, 'the name of a header')
      .default('authorization'),
    secretFile: text.optional(),
    secretEnv: variable.optional(),
  })
  .refine(
    ({ secretFile, secretEnv }) => secretFile === undefined || secretEnv === undefined,
    'one of secretFile and secretEnv',
  )
  .refine(({ caFile, url }) => caFile === undefined || isSecure(url), {
    path: ['caFile'],
    error: 'it only beside a url with https://, whose server is to be trusted by it',
  });

const scram = z.strictObject({ kind: z.literal('scram-sha-256'), file: text });

const mechanism = z.discriminatedUnion(
  'kind',
  [passwordFile, jwt, certificate, http, scram],
  'one of the kinds password-file, jwt, certificate, http and scram-sha-256',
);

type Assignable<T extends Expected, Expected> = T;

/** It gives what the mechanisms are written for: the compiler sees to it. */
export type Mechanism = Assignable<z.output<typeof mechanism>, MechanismSettings>;

export const authentication = z
  .array(mechanism)
  .refine(
    (mechanisms) => mechanisms.filter(({ kind }) => kind === 'scram-sha-256').length <= 1,
    'one scram-sha-256 at most: its exchange cannot go on to the next',
  );

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
