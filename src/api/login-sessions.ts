/**
 * Sessions of people who have logged in. A session is known by a cookie of 256 bits, of which only a hash is kept, in a
 * file of the data directory: a restart of the broker ends none. A broker without one forgets them at its end. Those of
 * a user end when the password changes: whoever knew the old one is out.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { writeInPlace } from '../base/write-in-place.ts';
import { type Log, silentLog } from '../contracts/log.ts';
import type { LoggedIn, LoginUser } from '../contracts/login.ts';
import { areas, roles } from '../contracts/roles.ts';

/** Of one name; a further one ends the oldest. Names are those of users of the configuration, and one for links. */
const sessionsMax = 16;

export interface Lifetime {
  /** It ends after so long without use, */
  readonly idleMs: number;
  /** and after so long at the latest. */
  readonly absoluteMs: number;
}
const dayMs = 24 * 3_600_000;
/** Whoever has a password can log in again. */
export const passwordLifetime: Lifetime = { idleMs: 30 * 60_000, absoluteMs: dayMs / 2 };
/** Whoever came by a link would have to go to the machine of the broker for another one. */
export const linkLifetime: Lifetime = { idleMs: 7 * dayMs, absoluteMs: 30 * dayMs };

/** That a session was used is written this long after that of before at the earliest: it need not be exact. */
const useMs = 10 * 60_000;

const stored = z.strictObject({
  /** SHA-256 of the cookie, in base64: it has 256 bits of chance, so it needs no slow hash. */
  hash: z.string(),
  name: z.string(),
  role: z.enum(roles),
  areas: z.array(z.enum(areas)),
  username: z.string().nullable(),
  passwordMark: z.string().nullable().default(null),
  expiresAt: z.number(),
  usedAt: z.number(),
});
const file = z.strictObject({ format: z.literal(1), sessions: z.array(stored) });

export interface LoginSession {
  readonly who: LoggedIn;
  /** What the page of the session sends with each change. Whoever has the cookie can make it, and nobody else. */
  readonly csrfToken: string;
  readonly expiresAt: number;
}

/** As `Mechanism.passwordMark` has it. */
export type PasswordMarks = (username: string) => string | null | undefined;

interface KeptSession extends Omit<LoginSession, 'csrfToken'> {
  /** Of the password at the login. Null: by a link. */
  readonly passwordMark: string | null;
  usedAt: number;
  /** As it is in the file. */
  writtenUseAt: number;
}

const random = () => randomBytes(32).toString('base64url');
const hashOf = (text: string) => createHash('sha256').update(text).digest('base64');
const csrfTokenOf = (cookie: string) => createHmac('sha256', cookie).update('csrf').digest('base64url');
export const lifetimeOf = ({ username }: LoggedIn): Lifetime => (username === null ? linkLifetime : passwordLifetime);

export interface LoginSessionsOptions {
  /** Null: they are kept in memory only. */
  readonly path: string | null;
  /** Who may log in now: what was stored of others has ended, and their roles are those of now. */
  readonly users: readonly LoginUser[];
  readonly passwordMarks: PasswordMarks;
  readonly log: Log;
}

export class LoginSessions {
  readonly #path: string | null;
  readonly #passwordMarks: PasswordMarks;
  readonly #log: Log;
  /** By the hash of the cookie; the oldest first. */
  readonly #sessions: Map<string, KeptSession>;
  /** One write after the other. */
  #writing: Promise<void> = Promise.resolve();

  private constructor({ path, passwordMarks, log }: LoginSessionsOptions, sessions: ReadonlyMap<string, KeptSession>) {
    this.#path = path;
    this.#passwordMarks = passwordMarks;
    this.#log = log;
    this.#sessions = new Map(sessions);
  }

  /** Of a broker that keeps them in memory. */
  static inMemory(passwordMarks: PasswordMarks = () => undefined): LoginSessions {
    return new LoginSessions({ path: null, users: [], passwordMarks, log: silentLog }, new Map());
  }

  /** A file that cannot be read costs logins, and not the start. */
  static async open(options: LoginSessionsOptions): Promise<LoginSessions> {
    const { path, users, log } = options;
    if (path === null) return LoginSessions.inMemory(options.passwordMarks);
    try {
      const { sessions } = file.parse(JSON.parse(await readFile(path, 'utf8')));
      const kept = sessions.flatMap((session) => {
        const { hash, name, username, passwordMark, expiresAt, usedAt } = session;
        const user = username === null ? session : users.find((each) => each.username === username);
        if (user === undefined) return [];
        const who = { name, username, role: user.role, areas: user.areas };
        return [[hash, { who, passwordMark, expiresAt, usedAt, writtenUseAt: usedAt }] as const];
      });
      return new LoginSessions(options, new Map(kept));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        const cause = (error as Error).message;
        log.warn({ path, cause }, 'sessions of people who had logged in cannot be read: they log in again');
      }
      return new LoginSessions(options, new Map());
    }
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** With a new cookie each time, so that nobody can know it before. It is on disk once `stored` has resolved. */
  create(who: LoggedIn, now: number): { readonly cookie: string; readonly session: LoginSession } {
    const own: string[] = [];
    for (const [hash, session] of this.#sessions) {
      if (this.#hasEnded(session, now)) this.#sessions.delete(hash);
      else if (session.who.name === who.name) own.push(hash);
    }
    if (own.length >= sessionsMax) this.#sessions.delete(own[0]!);
    const cookie = random();
    const passwordMark = who.username === null ? null : (this.#passwordMarks(who.username) ?? null);
    const expiresAt = now + lifetimeOf(who).absoluteMs;
    this.#sessions.set(hashOf(cookie), { who, passwordMark, expiresAt, usedAt: now, writtenUseAt: now });
    this.#write();
    return { cookie, session: { who, expiresAt, csrfToken: csrfTokenOf(cookie) } };
  }

  /** Null if there is none, or it has ended. */
  find(cookie: string, now: number): LoginSession | null {
    const hash = hashOf(cookie);
    const session = this.#sessions.get(hash);
    if (session === undefined) return null;
    if (this.#hasEnded(session, now)) {
      this.#sessions.delete(hash);
      return null;
    }
    session.usedAt = now;
    if (now - session.writtenUseAt >= useMs) this.#write();
    const { who, expiresAt } = session;
    return { who, expiresAt, csrfToken: csrfTokenOf(cookie) };
  }

  /** Whether there is one; that is no use of it. */
  has(cookie: string, now: number): boolean {
    const session = this.#sessions.get(hashOf(cookie));
    return session !== undefined && !this.#hasEnded(session, now);
  }

  #hasEnded({ who, passwordMark, expiresAt, usedAt }: KeptSession, now: number): boolean {
    if (now >= expiresAt || now - usedAt >= lifetimeOf(who).idleMs) return true;
    if (who.username === null) return false;
    // While the password file cannot be read, nobody is sent away for it.
    const mark = this.#passwordMarks(who.username);
    return mark !== undefined && mark !== passwordMark;
  }

  /** It is valid no more; that is on disk once `stored` has resolved. */
  end(cookie: string): void {
    if (this.#sessions.delete(hashOf(cookie))) this.#write();
  }

  /** Resolves once all that was changed before is on disk, or the log says that it cannot be. */
  stored(): Promise<void> {
    return this.#writing;
  }

  /** Writes when each was used last. */
  close(): Promise<void> {
    this.#write();
    return this.#writing;
  }

  #write(): void {
    const path = this.#path;
    if (path === null) return;
    // Not once more before what is under way has ended, however many uses come meanwhile.
    for (const session of this.#sessions.values()) session.writtenUseAt = session.usedAt;
    this.#writing = this.#writing.then(async () => {
      const sessions = [...this.#sessions].map(([hash, { who, passwordMark, expiresAt, usedAt }]) => {
        return { hash, ...who, areas: [...who.areas], passwordMark, expiresAt, usedAt };
      });
      try {
        await writeInPlace(path, Buffer.from(`${JSON.stringify({ format: 1, sessions }, null, 2)}\n`));
      } catch (error) {
        const cause = (error as Error).message;
        this.#log.warn({ path, cause }, 'sessions of people who have logged in are not stored: a restart ends them');
      }
    });
  }
}

export const isTokenOf = ({ csrfToken }: LoginSession, given: unknown): boolean =>
  typeof given === 'string' &&
  given.length === csrfToken.length &&
  timingSafeEqual(Buffer.from(given), Buffer.from(csrfToken));
