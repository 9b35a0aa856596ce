/** How commands go over HTTP, for the broker and for whoever asks it. */

import type { CommandDeclaration, Method } from './commands/declaration.ts';
import type { CommandName } from './commands.ts';

export const apiPath = '/api/v1';
/** Of the pages for people, on the same listeners. */
export const dashboardPath = '/dashboard';
/** Where a request is taken whose address would be too long: all of it is in the body. */
export const commandsPath = `${apiPath}/commands`;
export const problemsPath = `${apiPath}/problems`;
export const problemMediaType = 'application/problem+json';

export function splitRoute(route: CommandDeclaration['route']): { readonly method: Method; readonly path: string } {
  const [method, path] = route.split(' ') as [Method, string];
  return { method, path };
}

/** Whether what is not in the path is in the body; else it is in the query. */
export const hasBody = (method: Method): boolean => method !== 'GET' && method !== 'DELETE';

export interface HttpRequest {
  readonly method: Method;
  /** With the query. */
  readonly path: string;
  /** JSON; null: none. */
  readonly body: string | null;
}

/** Longer addresses are not sent: headers have 16 KiB, here and in many a proxy less. */
const addressCharactersMax = 6_000;

/**
 * A command, which has this route, as a request. In a query, what is null is left out: it is what the key is by
 * default.
 */
export function httpRequestOf(
  name: CommandName,
  route: CommandDeclaration['route'],
  request: Readonly<Record<string, unknown>>,
): HttpRequest {
  const { method, path } = splitRoute(route);
  const rest = new Map(Object.entries(request));
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, key: string) => {
    const value = String(rest.get(key));
    rest.delete(key);
    return encodeURIComponent(value);
  });
  const whole = () => {
    const given = Object.entries(request).filter(([, value]) => value !== null && value !== undefined);
    const body = JSON.stringify({ command: name, request: Object.fromEntries(given) });
    return { method: 'POST', path: commandsPath, body } as const;
  };
  if (filled.length > addressCharactersMax) return whole();
  if (hasBody(method)) return { method, path: apiPath + filled, body: JSON.stringify(Object.fromEntries(rest)) };
  const query = new URLSearchParams();
  for (const [key, value] of rest) {
    if (value === null || value === undefined) continue;
    for (const each of Array.isArray(value) ? value : [value]) query.append(key, String(each));
  }
  const address = `${apiPath}${filled}${query.size > 0 ? `?${query}` : ''}`;
  return address.length > addressCharactersMax ? whole() : { method, path: address, body: null };
}
