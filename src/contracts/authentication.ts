/**
 * How clients show who they are: the settings of each mechanism, as the configuration file has them.
 */

export interface PasswordFileSettings {
  readonly kind: 'password-file';
  readonly file: string;
}

export type MechanismSettings = PasswordFileSettings;

export interface AuthenticationLimits {
  /** Slow password hashes under way at one time: they use the threads that the store writes with, of which there are four. */
  readonly hashesAtOnce: number;
  /** Clients that wait for their turn; beyond, they are told that the server is busy. */
  readonly hashesWaiting: number;
  /** A password that was right is not hashed again if it comes within this time. 0: it always is. */
  readonly cacheSeconds: number;
  readonly cacheEntries: number;
}

/** Of one listener: what takes the place of the settings for all. */
export interface ListenerAuthentication {
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
  hashesAtOnce: 2,
  hashesWaiting: 500,
  cacheSeconds: 60,
  cacheEntries: 10_000,
});

/** Whether anything here checks credentials. If not, names are only claims, and the broker is for this machine. */
export function hasAuthentication({ authentication, listeners }: Omit<AuthenticationSettings, 'authenticationLimits'>) {
  return authentication.length > 0 || listeners.some((listener) => (listener.authentication?.length ?? 0) > 0);
}
