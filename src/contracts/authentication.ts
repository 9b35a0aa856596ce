/**
 * How clients show who they are: the settings of each mechanism. docs/guides/authentication.md explains them.
 */
import { availableParallelism } from 'node:os';
import * as z from 'zod';
import type { DeepReadonly } from '../base/freeze.ts';
import { checkService, goAuthSettings, httpService, isSecure, timeoutMs, url, variable } from './http-service.ts';
import type { ListenerAddress } from './listener-url.ts';
import { seconds, text, whole } from './values.ts';

const passwordFile = z.strictObject({
  kind: z.literal('password-file'),
  file: text.describe('made by `sluice passwd` or `mosquitto_passwd`. Required'),
});

const tokenAlgorithms = [
  ...['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
] as const;
const keySources = ['secretFile', 'secretEnv', 'keyFile', 'jwksFile', 'jwksUrl'] as const;

const jwt = z
  .strictObject({
    kind: z.literal('jwt'),
    secretFile: text.optional().describe('a shared secret of 32 bytes or more, for HS256, HS384 and HS512'),
    secretEnv: variable.optional().describe('or the name of an environment variable with it'),
    keyFile: text.optional().describe('a public key, PEM or JWK'),
    jwksFile: text.optional().describe('a key set'),
    jwksUrl: url.optional().describe('a key set, fetched when it is needed'),
    caFile: text.optional().describe('authorities of the certificate of `jwksUrl`; without it the public ones'),
    algorithms: z
      .array(z.enum(tokenAlgorithms))
      .default([])
      .describe('those that are accepted; empty: all that the key is made for'),
    token: z.enum(['password', 'username']).default('password').describe('the field of CONNECT that has the token'),
    issuer: text.optional().describe('what the claim `iss` must say'),
    audience: text.optional().describe('what the claim `aud` must contain'),
    clockToleranceSeconds: seconds(0, 600).default(5).describe('how far clocks may differ'),
    requireExpiry: z.boolean().default(true).describe('whether a token must have an end'),
    usernameClaim: text.default('sub').describe('the claim that becomes the user name'),
    groupsClaim: text.default('groups').describe('the claim that becomes the groups'),
    clientIdClaim: text.optional().describe('a claim that must equal the client identifier'),
    jwksCacheSeconds: seconds(1, 86_400).default(600).describe('how long a key set holds if its server is away'),
    cooldownSeconds: seconds(1, 3_600).default(30).describe('least time between two calls'),
    timeoutMs: timeoutMs.describe('of a call'),
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
  username: z
    .enum(['commonName', 'dns', 'email', 'uri'])
    .default('commonName')
    .describe('the field of the certificate that becomes the user name'),
  required: z.boolean().default(false).describe('whether clients without a certificate are refused'),
  replacesUsername: z
    .boolean()
    .default(false)
    .describe(
      'whether it takes the place of another user name in CONNECT; otherwise a client that gives one is refused',
    ),
});

const http = z
  .strictObject({
    kind: z.literal('http'),
    ...httpService,
    form: z
      .enum(['sluice', 'emqx', 'mosquitto-go-auth'])
      .default('sluice')
      .describe(
        'what is sent, and how answers are read: [its own way](../guides/authentication.md), or that of another',
      ),
    ...goAuthSettings,
    callsWaiting: whole(1, 1_000_000).default(1_000).describe('clients that wait for a call; beyond, they get 0x89'),
    cacheSeconds: seconds(0, 86_400)
      .default(60)
      .describe('how long an answer that lets in is remembered; 0: not at all'),
    refusalCacheSeconds: seconds(0, 86_400).default(5).describe('the same for one that does not'),
    asksForAnonymous: z.boolean().default(false).describe('whether it is also asked about clients that show nothing'),
  })
  .superRefine(checkService);

const scram = z.strictObject({
  kind: z.literal('scram-sha-256'),
  file: text.describe('made by `sluice passwd --scram`. Required'),
});

const mechanism = z.discriminatedUnion(
  'kind',
  [passwordFile, jwt, certificate, http, scram],
  'one of the kinds password-file, jwt, certificate, http and scram-sha-256',
);

export type MechanismSettings = DeepReadonly<z.output<typeof mechanism>>;
export type PasswordFileSettings = Extract<MechanismSettings, { kind: 'password-file' }>;
export type JwtSettings = Extract<MechanismSettings, { kind: 'jwt' }>;
export type CertificateSettings = Extract<MechanismSettings, { kind: 'certificate' }>;
export type HttpSettings = Extract<MechanismSettings, { kind: 'http' }>;
export type ScramSettings = Extract<MechanismSettings, { kind: 'scram-sha-256' }>;

export const authentication = z
  .array(mechanism)
  .refine(
    (mechanisms) => mechanisms.filter(({ kind }) => kind === 'scram-sha-256').length <= 1,
    'one scram-sha-256 at most: its exchange cannot go on to the next',
  );

/** What a listener may say, in the place of the settings for all of them. */
export const listenerAuthentication = {
  authentication: authentication.optional().describe('as for [all listeners](#access), for this one'),
  allowAnonymous: z.boolean().optional().describe('as for [all listeners](#access), for this one'),
  anyUsername: z
    .boolean()
    .optional()
    .describe(
      'lets in whoever gives a user name, and believes it; with `authentication: []` and `allowAnonymous: true` beside ' +
        'it, while other listeners have users',
    ),
};

export const authenticationLimits = z.strictObject({
  hashesAtOnce: whole(1, 64)
    .default(() => (availableParallelism() > 2 ? 2 : 1))
    .meta({
      description: 'passwords checked at one time, off the event loop. Default: 2, or 1 with one or two processors',
      // The event loop keeps a processor to itself where there are two.
      isDefaultVarying: true,
    }),
  hashesWaiting: whole(1, 1_000_000).default(500).describe('clients that wait for it; beyond, they get 0x89'),
  cacheSeconds: seconds(0, 86_400)
    .default(60)
    .describe('how long a right password is not hashed again after its last use; a change of the file ends it'),
  cacheEntries: whole(1, 10_000_000).default(10_000).describe('passwords that are remembered'),
});

export type AuthenticationLimits = DeepReadonly<z.output<typeof authenticationLimits>>;

/** Of one listener: what takes the place of the settings for all, and which one it is. */
export type ListenerAuthentication = ListenerAddress & {
  readonly authentication?: readonly MechanismSettings[] | undefined;
  readonly allowAnonymous?: boolean | undefined;
  readonly anyUsername?: boolean | undefined;
};

export interface AuthenticationSettings {
  /** Tried in this order. */
  readonly authentication: readonly MechanismSettings[];
  readonly allowAnonymous: boolean;
  readonly authenticationLimits: AuthenticationLimits;
  readonly listeners: readonly ListenerAuthentication[];
}

/** Whether anything here checks credentials. If not, names are only claims, and the broker is for this machine. */
export function hasAuthentication({ authentication, listeners }: Omit<AuthenticationSettings, 'authenticationLimits'>) {
  return authentication.length > 0 || listeners.some((listener) => (listener.authentication?.length ?? 0) > 0);
}
