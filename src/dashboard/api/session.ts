/** Who has logged in with this browser. */
import { signal } from '@preact/signals';
import { answered, unanswered } from './connection.ts';
import type { Area, Role } from './operations.ts';
import { AwayError, errorOf, ProblemError } from './problem.ts';

export interface LoggedIn {
  readonly name: string;
  readonly username: string | null;
  readonly role: Role;
  readonly areas: readonly Area[];
  readonly csrfToken: string;
  readonly expiresAt: number;
}

export type Session =
  | { readonly state: 'unknown' }
  /** `hasEnded`: there was one before. */
  | { readonly state: 'none'; readonly hasEnded: boolean }
  | { readonly state: 'open'; readonly who: LoggedIn };

export const session = signal<Session>({ state: 'unknown' });

const path = '../api/v1/login';

/** Rejects with an AwayError or a ProblemError. */
async function ask(method: 'GET' | 'POST' | 'DELETE', body?: object): Promise<LoggedIn | null> {
  const who = session.peek();
  const headers: Record<string, string> = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (who.state === 'open') headers['X-CSRF-Token'] = who.who.csrfToken;
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(path, { method, headers, cache: 'no-store', ...sent }).catch((cause) => {
    unanswered();
    throw new AwayError('no answer', { cause });
  });
  if (!response.ok) {
    const error = await errorOf(response);
    if (error instanceof AwayError) unanswered();
    else answered();
    throw error;
  }
  answered();
  return response.status === 204 ? null : ((await response.json()) as LoggedIn);
}

/** Finds out who it is, by the cookie that the browser has. Where the broker is away, that stays unknown. */
export async function findSession(): Promise<void> {
  try {
    session.value = { state: 'open', who: (await ask('GET'))! };
  } catch (error) {
    if (error instanceof ProblemError) session.value = { state: 'none', hasEnded: session.peek().state === 'open' };
  }
}

/** Rejects with an AwayError or a ProblemError. */
export async function logIn(
  credentials: { readonly username: string; readonly password: string } | { readonly token: string },
): Promise<void> {
  session.value = { state: 'open', who: (await ask('POST', credentials))! };
}

export async function logOut(): Promise<void> {
  await ask('DELETE').catch(() => {});
  session.value = { state: 'none', hasEnded: false };
}

/** The API has refused the cookie. */
export function sessionEnded(): void {
  if (session.peek().state === 'open') session.value = { state: 'none', hasEnded: true };
}
