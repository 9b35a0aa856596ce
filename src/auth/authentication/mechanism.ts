/**
 * The seam between the chain and its mechanisms, and what they all need.
 */
import { RateLimitedLog } from '../../base/rate-limited-log.ts';
import type { MechanismSettings } from '../../contracts/authentication.ts';
import type { AuthenticationAnswer, AuthenticationRequest, Awaitable } from '../../contracts/hooks.ts';
import type { Log } from '../../contracts/log.ts';
import { ReasonCode } from '../../protocol/reason-codes.ts';
import type { HashThreads } from './hash-threads.ts';

/** One way to show who one is. */
export interface Mechanism {
  readonly kind: MechanismSettings['kind'];
  /**
   * Null: this client is not ours to decide, the next mechanism is asked. A mechanism that cannot do its work refuses
   * (0x88) whoever might have been its client, and says in the log why.
   */
  authenticate(request: AuthenticationRequest): Awaitable<AuthenticationAnswer | null>;
  /**
   * Takes as long as `authenticate` does for a client it does not know, so that a refusal before it cannot be told
   * apart.
   */
  takeAsLong?(request: AuthenticationRequest): Promise<void>;
  /** Whether what stands as the user name is a secret of this mechanism's clients. */
  hasSecretName?(request: AuthenticationRequest): boolean;
  /**
   * What changes with the password of this user, and tells nothing of it. Null: there is no such user; undefined: that
   * cannot be told now.
   */
  passwordMark?(username: string): string | null | undefined;
  close(): void;
}

export interface MechanismContext {
  readonly log: Log;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Shared by all mechanisms that compute slow hashes. */
  readonly hashes: HashThreads;
  readonly cacheSeconds: number;
  readonly cacheEntries: number;
  /** Work that waited longer is not begun: its client is gone by then. */
  readonly waitMsMax: number;
}

const limits = { intervalMs: 10_000, most: { failed: 1 } };

/** For what would fill the log while a server, a file or the machine fails. */
export type FailureLog = RateLimitedLog<keyof typeof limits.most>;

export const createFailureLog = ({ log, now }: Pick<MechanismContext, 'log' | 'now'>): FailureLog =>
  new RateLimitedLog(log, limits, now);

/** Groups, and attributes, of one client. */
export const namesMax = 256;

/** A user name, or a group, that another server gives. */
export const isName = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && value.length <= 65_535 && !/[\p{Cc}\p{Cs}]/u.test(value);

/** A mechanism cannot be opened as it is configured. `path` leads from the mechanism to the setting. */
export class AuthenticationError extends Error {
  override readonly name = 'AuthenticationError';
  readonly path: readonly PropertyKey[];

  constructor(path: readonly PropertyKey[], message: string, options?: ErrorOptions) {
    super(message, options);
    this.path = path;
  }
}

export type Refusal = Extract<AuthenticationAnswer, { readonly outcome: 'refuse' }>;

const refusal = (reasonCode: number, reason: string): Refusal => ({
  outcome: 'refuse',
  reasonCode,
  reason,
});

/** The same for a wrong user and a wrong password: which one it was is nobody's business. */
export const wrongCredentials = refusal(ReasonCode.BadUserNameOrPassword, 'Authentication failed');
export const noCredentials = refusal(ReasonCode.NotAuthorized, 'No credentials');
export const unknownMethod = refusal(
  ReasonCode.BadAuthenticationMethod,
  'This authentication method is not offered here',
);
export const unavailable = refusal(ReasonCode.ServerUnavailable, 'Authentication is unavailable');
export const busy = refusal(ReasonCode.ServerBusy, 'Too many clients are being authenticated');
