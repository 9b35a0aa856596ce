/**
 * How clients show who they are: the settings of each mechanism. docs/guides/authentication.md explains them.
 */
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import type { DeepReadonly } from '../base/freeze.ts';
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
    /** A secret that the issuer knows as well: HS256, HS384, HS512. */
    secretFile: text.optional(),
    secretEnv: variable.optional(),
    /** A public key or certificate (PEM), or a JSON Web Key. */
    keyFile: text.optional(),
    jwksFile: text.optional(),
    jwksUrl: url.optional(),
    /** Of `jwksUrl`: the authorities that its server's certificate may be of, in the place of the public ones. */
    caFile: text.optional(),
    /** Empty: all that the key is made for. */
    algorithms: z.array(z.enum(tokenAlgorithms)).default([]),
    token: z.enum(['password', 'username']).default('password'),
    issuer: text.optional(),
    audience: text.optional(),
    clockToleranceSeconds: whole(0, 600).default(5),
    requireExpiry: z.boolean().default(true),
    usernameClaim: text.default('sub'),
    groupsClaim: text.default('groups'),
    /** Whose value must be the client identifier. */
    clientIdClaim: text.optional(),
    /** How long keys from a URL are kept. */
    jwksCacheSeconds: whole(1, 86_400).default(600),
    /** Between two calls to that URL, at least. */
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
  /** What of the certificate is the user name: the common name, or the first alternative name of this kind. */
  username: z.enum(['commonName', 'dns', 'email', 'uri']).default('commonName'),
  /** Refuses clients without a certificate instead of leaving them to the next mechanism. */
  required: z.boolean().default(false),
});

const http = z
  .strictObject({
    kind: z.literal('http'),
    url,
    /** The authorities that its certificate may be of, in the place of the public ones. */
    caFile: text.optional(),
    timeoutMs,
    callsAtOnce: whole(1, 1_000).default(32),
    callsWaiting: whole(1, 1_000_000).default(1_000),
    /** How long an answer that lets in is kept, and one that does not. */
    cacheSeconds: whole(0, 86_400).default(60),
    refusalCacheSeconds: whole(0, 86_400).default(5),
    cacheEntries: whole(1, 10_000_000).default(10_000),
    /** Also for clients that show nothing. */
    asksForAnonymous: z.boolean().default(false),
    /** The header that carries the secret. */
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
  authentication: authentication.optional(),
  allowAnonymous: z.boolean().optional(),
};

export const authenticationLimits = z.strictObject({
  /**
   * Slow password hashes under way at one time, each in a thread of its own. The event loop keeps a processor to itself
   * where there are two.
   */
  hashesAtOnce: whole(1, 64).default(() => (availableParallelism() > 2 ? 2 : 1)),
  /** Clients that wait; beyond, they are told that the server is busy. */
  hashesWaiting: whole(1, 1_000_000).default(500),
  /** A password that was right is not hashed again if it comes within this time. 0: it always is. */
  cacheSeconds: whole(0, 86_400).default(60),
  cacheEntries: whole(1, 10_000_000).default(10_000),
});

export type AuthenticationLimits = DeepReadonly<z.output<typeof authenticationLimits>>;

/** Of one listener: what takes the place of the settings for all, and which one it is. */
export interface ListenerAuthentication {
  readonly kind: string;
  readonly host: string;
  /** As configured: 0 is any. */
  readonly port: number;
  readonly authentication?: readonly MechanismSettings[] | undefined;
  readonly allowAnonymous?: boolean | undefined;
}

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
