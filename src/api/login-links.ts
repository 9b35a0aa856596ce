/** Tokens that log in as an admin: each once, within ten minutes. Whoever may use the broker's files can make one. */
import { createHash, randomBytes } from 'node:crypto';
import type { CommandHandlers } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import { dashboardPath } from '../contracts/http.ts';
import { areas, covers } from '../contracts/roles.ts';

const validMs = 10 * 60_000;
/** A further one ends the oldest. */
const linksMax = 16;

const hashOf = (token: string) => createHash('sha256').update(token).digest('base64');

export class LoginLinks {
  /** When each expires, by the hash of its token; the oldest first. */
  readonly #links = new Map<string, number>();

  create(now: number): { readonly token: string; readonly expiresAt: number } {
    if (this.#links.size >= linksMax) this.#links.delete(this.#links.keys().next().value!);
    const token = randomBytes(32).toString('base64url');
    const expiresAt = now + validMs;
    this.#links.set(hashOf(token), expiresAt);
    return { token, expiresAt };
  }

  /** Whether this is one; it is none from now on. */
  use(token: string, now: number): boolean {
    const hash = hashOf(token);
    const expiresAt = this.#links.get(hash);
    this.#links.delete(hash);
    return expiresAt !== undefined && now < expiresAt;
  }
}

/** `urls`: where the API listens. The token is behind `#`, which browsers send to nobody. */
export function loginLinkHandlers(
  links: LoginLinks,
  now: () => number,
  urls: () => readonly string[],
): Pick<CommandHandlers, 'login-links create'> {
  return {
    async 'login-links create'(_, caller) {
      if (!covers(caller, { role: 'admin', areas })) {
        throw new CommandFailure('forbidden', `${caller.name} is not for all areas, as who logs in by a link is`);
      }
      const { token, expiresAt } = links.create(now());
      return { token, urls: urls().map((url) => `${url}${dashboardPath}/#token=${token}`), expiresAt };
    },
  };
}
