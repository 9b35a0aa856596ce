/** Login and logout of people: a password, or the token of a link, becomes a cookie. */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { CommandFailure, RequestError } from '../contracts/failures.ts';
import { apiPath } from '../contracts/http.ts';
import {
  type LoggedIn,
  type LoginAnswer,
  type LoginUser,
  loginRequest,
  type PasswordAnswer,
  sessionCookie,
} from '../contracts/login.ts';
import { areas } from '../contracts/roles.ts';
import { type Callers, type CallerTools, cookieOf } from './callers.ts';
import type { LoginLinks } from './login-links.ts';
import { type LoginSession, linkLifetime } from './login-sessions.ts';
import { fromOf, placeOf, sourceFrom } from './place.ts';
import { refuseOthers } from './routes.ts';

export interface Login {
  /** Those who may. */
  readonly users: readonly LoginUser[];
  /** Null where there are no password files. */
  readonly checkPassword: ((username: string, password: Buffer) => Promise<PasswordAnswer>) | null;
  readonly links: LoginLinks;
}

export interface LoginTools extends CallerTools {
  readonly login: Login;
}

export const loginPath = `${apiPath}/login`;
const bodyBytesMax = 8_192;
/** Passwords that are checked at one time; clients of MQTT wait for the same threads. */
const checksMax = 4;

const wrong = 'The user name or the password is wrong, or the user may not log in here';

export function addLogin(app: FastifyInstance, tools: LoginTools, callers: Callers): void {
  const { sessions, now } = tools;
  const check = new LoginCheck(tools, callers);
  app.post(loginPath, { config: { isPublic: true }, bodyLimit: bodyBytesMax }, async ({ raw, body }, reply) => {
    const who = await check.run(raw, body);
    // One that somebody may have put there before ends here.
    const before = cookieOf(raw);
    if (before !== null) sessions.end(before);
    const { cookie, session } = sessions.create(who, now());
    await sessions.stored();
    record(tools, 'login', who, raw);
    reply.header('Set-Cookie', setCookie(raw, cookie, keptSecondsOf(who)));
    return answer(reply, of(who, session));
  });
  app.get(loginPath, async ({ raw }, reply) => {
    // Who it is was found out, and counted, before.
    const session = callers.sessionOf(raw);
    return answer(reply, of(session?.who ?? callers.of(raw), session));
  });
  app.delete(loginPath, async ({ raw }, reply) => {
    const session = callers.sessionOf(raw);
    if (session === null) throw new CommandFailure('conflict', 'Whoever shows a key has no session to end');
    sessions.end(cookieOf(raw)!);
    await sessions.stored();
    record(tools, 'logout', session.who, raw);
    return reply
      .header('Set-Cookie', setCookie(raw, '', 0))
      .code(204)
      .send();
  });
  refuseOthers(app, loginPath, ['GET', 'POST', 'DELETE']);
}

class LoginCheck {
  readonly #tools: LoginTools;
  readonly #callers: Callers;
  #underWay = 0;

  constructor(tools: LoginTools, callers: Callers) {
    this.#tools = tools;
    this.#callers = callers;
  }

  /** Rejects with a CommandFailure. */
  async run(request: IncomingMessage, body: unknown): Promise<LoggedIn> {
    const { data, error } = loginRequest.safeParse(body ?? {});
    if (error !== undefined) {
      const message = error.issues[0]!.message;
      throw new RequestError(`expected ${message}`, [{ at: '', message: `expected ${message}` }]);
    }
    const { login, now } = this.#tools;
    if ('token' in data) {
      if (login.links.use(data.token, now())) return { name: 'login link', role: 'admin', areas, username: null };
      throw this.#callers.refused(request, null, 'wrong-credentials', 'The link was used, has expired, or is none');
    }
    const { username, password } = data;
    this.#checkBan(request, username);
    const found = login.users.find((each) => each.username === username);
    // Also of one who may not: how long it takes tells nobody.
    if (!(await this.#isRight(username, password)) || found === undefined) {
      throw this.#callers.refused(request, username, 'wrong-credentials', wrong);
    }
    // What was under way when the ban came learns nothing by it.
    this.#checkBan(request, username);
    const source = sourceFrom(request.socket, this.#tools.penalties);
    if (source !== null) this.#tools.penalties.succeeded(source, username);
    return { name: `user ${username}`, role: found.role, areas: found.areas, username };
  }

  #checkBan(request: IncomingMessage, username: string): void {
    const { penalties } = this.#tools;
    const source = sourceFrom(request.socket, penalties);
    const ban = source === null ? null : penalties.banOf(source, username);
    if (ban === null) return;
    throw new CommandFailure('banned', `Banned until ${new Date(ban.until).toISOString()}: ${ban.why}`);
  }

  async #isRight(username: string, password: string): Promise<boolean> {
    const { checkPassword } = this.#tools.login;
    if (checkPassword === null) return false;
    if (this.#underWay >= checksMax) {
      throw new CommandFailure('too-many-requests', 'Others log in at this moment', { retryAfterSeconds: 1 });
    }
    this.#underWay++;
    const result = await checkPassword(username, Buffer.from(password)).finally(() => this.#underWay--);
    if (result === 'busy') {
      throw new CommandFailure('unavailable', 'Too many passwords are being checked', { retryAfterSeconds: 1 });
    }
    if (result === 'unavailable')
      throw new CommandFailure('unavailable', 'The password file cannot be used; see the log');
    return result === 'right';
  }
}

const of = ({ name, username, role, areas }: LoggedIn, session: LoginSession | null): LoginAnswer => {
  return { name, username, role, areas, csrfToken: session?.csrfToken ?? null, expiresAt: session?.expiresAt ?? null };
};

/** As bytes, since the framework would add a character set, which JSON has not. */
const answer = (reply: FastifyReply, what: LoginAnswer) =>
  reply.type('application/json').send(Buffer.from(JSON.stringify(what)));

/** Undefined: until the browser ends. Whoever came by a link has no password to come back with. */
const keptSecondsOf = ({ username }: LoggedIn) => (username === null ? linkLifetime.absoluteMs / 1_000 : undefined);

/** No script of a page can read it, and no page of elsewhere makes the browser send it. */
function setCookie(request: IncomingMessage, value: string, maxAgeSeconds?: number): string {
  const age = maxAgeSeconds === undefined ? '' : `; Max-Age=${maxAgeSeconds}`;
  const secure = placeOf(request).kind === 'https' ? '; Secure' : '';
  return `${sessionCookie}=${value}; Path=/; HttpOnly; SameSite=Strict${secure}${age}`;
}

function record(
  { audit }: LoginTools,
  command: 'login' | 'logout',
  { name }: LoggedIn,
  request: IncomingMessage,
): void {
  const from = fromOf(request);
  audit?.record({ event: 'command', command, by: name, ...(from === null ? {} : { from }), outcome: 'done' });
}
