/**
 * How clients show who they are: the settings of each mechanism, as the configuration file has them.
 */
import { availableParallelism } from 'node:os';

export interface PasswordFileSettings {
  readonly kind: 'password-file';
  readonly file: string;
}

/** Tokens. One of the settings that end in File, Env or Url says where the key is. */
export interface JwtSettings {
  readonly kind: 'jwt';
  /** A secret that the issuer knows as well: HS256, HS384, HS512. */
  readonly secretFile?: string | undefined;
  readonly secretEnv?: string | undefined;
  /** A public key or certificate (PEM), or a JSON Web Key. */
  readonly keyFile?: string | undefined;
  readonly jwksFile?: string | undefined;
  readonly jwksUrl?: string | undefined;
  /** Of `jwksUrl`: the authorities that its server's certificate may be of, in the place of the public ones. */
  readonly caFile?: string | undefined;
  /** Empty: all that the key is made for. */
  readonly algorithms: readonly string[];
  readonly token: 'password' | 'username';
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
  readonly clockToleranceSeconds: number;
  readonly requireExpiry: boolean;
  readonly usernameClaim: string;
  readonly groupsClaim: string;
  /** Whose value must be the client identifier. */
  readonly clientIdClaim?: string | undefined;
  /** How long keys from a URL are kept. */
  readonly jwksCacheSeconds: number;
  /** Between two calls to that URL, at least. */
  readonly cooldownSeconds: number;
  readonly timeoutMs: number;
}

export interface CertificateSettings {
  readonly kind: 'certificate';
  /** What of the certificate is the user name: the common name, or the first alternative name of this kind. */
  readonly username: 'commonName' | 'dns' | 'email' | 'uri';
  /** Refuses clients without a certificate instead of leaving them to the next mechanism. */
  readonly required: boolean;
}

export interface HttpSettings {
  readonly kind: 'http';
  readonly url: string;
  /** The authorities that its certificate may be of, in the place of the public ones. */
  readonly caFile?: string | undefined;
  readonly timeoutMs: number;
  readonly callsAtOnce: number;
  readonly callsWaiting: number;
  /** How long an answer that lets in is kept, and one that does not. */
  readonly cacheSeconds: number;
  readonly refusalCacheSeconds: number;
  readonly cacheEntries: number;
  /** Also for clients that show nothing. */
  readonly asksForAnonymous: boolean;
  /** The header that carries the secret. */
  readonly secretHeader: string;
  readonly secretFile?: string | undefined;
  readonly secretEnv?: string | undefined;
}

export interface ScramSettings {
  readonly kind: 'scram-sha-256';
  readonly file: string;
}

export type MechanismSettings = PasswordFileSettings | JwtSettings | CertificateSettings | HttpSettings | ScramSettings;

export interface AuthenticationLimits {
  /** Slow password hashes under way at one time, each in a thread of its own. */
  readonly hashesAtOnce: number;
  /** Clients that wait; beyond, they are told that the server is busy. */
  readonly hashesWaiting: number;
  /** A password that was right is not hashed again if it comes within this time. 0: it always is. */
  readonly cacheSeconds: number;
  readonly cacheEntries: number;
}

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

export const defaultAuthenticationLimits: AuthenticationLimits = Object.freeze({
  // The event loop keeps a processor to itself where there are two.
  hashesAtOnce: availableParallelism() > 2 ? 2 : 1,
  hashesWaiting: 500,
  cacheSeconds: 60,
  cacheEntries: 10_000,
});

/** Whether anything here checks credentials. If not, names are only claims, and the broker is for this machine. */
export function hasAuthentication({ authentication, listeners }: Omit<AuthenticationSettings, 'authenticationLimits'>) {
  return authentication.length > 0 || listeners.some((listener) => (listener.authentication?.length ?? 0) > 0);
}
