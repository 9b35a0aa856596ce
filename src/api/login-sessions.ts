/**
 * Sessions of people who have logged in. A session is known by a cookie of 256 bits, of which only a hash is kept, and
 * in memory: a restart ends all.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { LoggedIn } from '../contracts/login.ts';

/** Of one name; a further one ends the oldest. */
const sessionsMax = 16;
export const idleMs = 30 * 60_000;
export const absoluteMs = 12 * 3_600_000;

export interface LoginSession {
  readonly who: LoggedIn;
  /** What the page of the session sends with each change. */
  readonly csrfToken: string;
  readonly expiresAt: number;
  usedAt: number;
}

const random = () => randomBytes(32).toString('base64url');
const hashOf = (text: string) => createHash('sha256').update(text).digest('base64');

export class LoginSessions {
  /** By the hash of the cookie; the oldest first. */
  readonly #sessions = new Map<string, LoginSession>();

  get size(): number {
    return this.#sessions.size;
  }

  /** With a new cookie each time, so that nobody can know it before. */
  create(who: LoggedIn, now: number): { readonly cookie: string; readonly session: LoginSession } {
    const own: string[] = [];
    for (const [hash, session] of this.#sessions) {
      if (hasEnded(session, now)) this.#sessions.delete(hash);
      else if (session.who.name === who.name) own.push(hash);
    }
    if (own.length >= sessionsMax) this.#sessions.delete(own[0]!);
    const cookie = random();
    const session = { who, csrfToken: random(), expiresAt: now + absoluteMs, usedAt: now };
    this.#sessions.set(hashOf(cookie), session);
    return { cookie, session };
  }

  /** Null if there is none, or it has ended. */
  find(cookie: string, now: number): LoginSession | null {
    const hash = hashOf(cookie);
    const session = this.#sessions.get(hash);
    if (session === undefined) return null;
    if (hasEnded(session, now)) {
      this.#sessions.delete(hash);
      return null;
    }
    session.usedAt = now;
    return session;
  }

  /** Whether there is one; that is no use of it. */
  has(cookie: string, now: number): boolean {
    const session = this.#sessions.get(hashOf(cookie));
    return session !== undefined && !hasEnded(session, now);
  }

  end(cookie: string): void {
    this.#sessions.delete(hashOf(cookie));
  }
}

const hasEnded = ({ expiresAt, usedAt }: LoginSession, now: number) => now >= expiresAt || now - usedAt >= idleMs;

export const isTokenOf = ({ csrfToken }: LoginSession, given: unknown): boolean =>
  typeof given === 'string' &&
  given.length === csrfToken.length &&
  timingSafeEqual(Buffer.from(given), Buffer.from(csrfToken));
