/** Who asks: what a request shows, and what it costs to show something wrong. */
import type { IncomingMessage } from 'node:http';
import type { Audit } from '../contracts/audit.ts';
import { CommandFailure } from '../contracts/failures.ts';
import { sessionCookie } from '../contracts/login.ts';
import type { LoginPenalties } from '../contracts/login-penalties.ts';
import { type Caller, controlSocket } from '../contracts/roles.ts';
import type { ApiKey, Keys } from './keys.ts';
import { isTokenOf, type LoginSession, type LoginSessions } from './login-sessions.ts';
import { fromOf, placeOf, sourceFrom } from './place.ts';
import { RequestRate } from './rates.ts';
import { upgradeOf } from './upgrades.ts';

export interface CallerTools {
  readonly keys: Keys;
  readonly sessions: LoginSessions;
  readonly penalties: LoginPenalties;
  readonly audit: Audit | null;
  readonly now: () => number;
  readonly limits: { readonly requestsPerSecondPerCaller: number };
}

const safeMethods = new Set(['GET', 'HEAD']);
/** What browsers say of a request that the page itself, or its user, makes. */
const ownSites = new Set(['none', 'same-origin']);

/** Of the session; null: there is none, or several, of which anybody may have set the other ones. */
export function cookieOf({ headers: { cookie = '' } }: IncomingMessage): string | null {
  const found = cookie.split(';').flatMap((pair) => {
    const [, name, value] = /^ *([^=]*)=(.*?) *$/.exec(pair) ?? [];
    return name === sessionCookie && value !== undefined ? [value] : [];
  });
  return found.length === 1 && found[0] !== '' ? found[0]! : null;
}

/** What was shown is wrong. The answer is to be kept back for a while, since it is not the first time. */
export class CredentialsFailure extends CommandFailure {
  readonly delayMs: number;

  constructor(kind: 'unauthenticated' | 'wrong-credentials', message: string, delayMs: number) {
    super(kind, message);
    this.delayMs = delayMs;
  }
}

export class Callers {
  readonly #tools: CallerTools;
  readonly #rate: RequestRate;

  constructor(tools: CallerTools) {
    this.#tools = tools;
    this.#rate = new RequestRate(tools.limits.requestsPerSecondPerCaller);
  }

  /** Throws a CommandFailure if nobody has shown who asks, or if they ask too often. */
  of(request: IncomingMessage): Caller {
    if (placeOf(request).kind === 'socket') return controlSocket;
    const session = this.sessionOf(request);
    const caller = session === null ? this.#ofKey(request) : { ...session.who, from: fromOf(request) };
    this.#rate.take(caller.name, this.#tools.now(), 'requestsPerSecondPerCaller');
    return caller;
  }

  /**
   * Null for whoever shows a key, or nothing, or asks on the socket. Throws a CommandFailure if the session has ended,
   * or if not its own page asks to change something.
   */
  sessionOf(request: IncomingMessage): LoginSession | null {
    const { method = '', headers } = request;
    const cookie = cookieOf(request);
    if (cookie === null || headers.authorization !== undefined || placeOf(request).kind === 'socket') return null;
    const session = this.#tools.sessions.find(cookie, this.#tools.now());
    if (session === null) throw new CommandFailure('unauthenticated', 'The session has ended; log in again');
    // A browser always names the page that opens a WebSocket; which pages may was asked before.
    const isNameless = upgradeOf(request) !== null && headers.origin === undefined;
    if (isNameless || !ownSites.has(`${headers['sec-fetch-site'] ?? 'none'}`)) {
      throw new CommandFailure('origin-refused', 'A page of another site asks in the name of this session');
    }
    if (safeMethods.has(method) || isTokenOf(session, headers['x-csrf-token'])) return session;
    throw new CommandFailure('csrf-refused', 'The header X-CSRF-Token is missing, or is not that of the session');
  }

  /** Whether the key or the session with which a request was let in is still valid. */
  isStillValid(request: IncomingMessage): boolean {
    if (placeOf(request).kind === 'socket') return true;
    if (request.headers.authorization !== undefined) return this.#keyIn(request) !== null;
    const cookie = cookieOf(request);
    return cookie !== null && this.#tools.sessions.has(cookie, this.#tools.now());
  }

  #keyIn({ headers: { authorization = '' } }: IncomingMessage): ApiKey | null {
    const { keys, now } = this.#tools;
    const [, given] = /^Bearer +(\S+) *$/i.exec(authorization) ?? [];
    return given === undefined ? null : keys.find(given, now());
  }

  #ofKey(request: IncomingMessage): Caller {
    const { authorization } = request.headers;
    if (authorization === undefined) throw new CommandFailure('unauthenticated', 'The request has no key');
    const key = this.#keyIn(request);
    if (key === null) throw this.refused(request, null, 'unauthenticated', 'The key is not known, or has expired');
    return { name: `key ${key.name}`, from: fromOf(request), role: key.role, areas: key.areas, username: key.username };
  }

  /** Counts wrong credentials, and writes them down. `user`: null where they were a key. */
  refused(
    request: IncomingMessage,
    user: string | null,
    kind: 'unauthenticated' | 'wrong-credentials',
    message: string,
  ): CredentialsFailure {
    const { penalties, audit } = this.#tools;
    if (audit?.wants('authenticationFailed') === true) {
      const mechanism = user === null ? 'API key' : 'API login';
      const from = fromOf(request) ?? 'control socket';
      audit.record({ event: 'authenticationFailed', user, from, listener: placeOf(request).url, mechanism });
    }
    const source = sourceFrom(request.socket, penalties);
    return new CredentialsFailure(kind, message, source === null ? 0 : penalties.failed(source, user));
  }
}
