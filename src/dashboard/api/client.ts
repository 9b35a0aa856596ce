/** Commands to the broker, over its HTTP API. */
import { answered, unanswered } from './connection.ts';
import { type CommandName, type Operations, operations } from './operations.ts';
import { AwayError, errorOf, isAbort } from './problem.ts';
import { session, sessionEnded } from './session.ts';

export type RequestOf<Name extends CommandName> = Operations[Name]['request'];
export type AnswerOf<Name extends CommandName> = Operations[Name]['answer'];

const apiPath = '../api/v1';

interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly body: string | null;
}

/** Longer addresses are not sent: headers have 16 KiB, and in many a proxy less. */
const addressCharactersMax = 6_000;

/** What is null or undefined is left out of a query: it is what the key is by default. */
export function httpRequestOf(name: CommandName, request: Readonly<Record<string, unknown>>): HttpRequest {
  const [method, path] = operations[name].route.split(' ') as [string, string];
  const rest = new Map(Object.entries(request));
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, key: string) => {
    const value = String(rest.get(key));
    rest.delete(key);
    return encodeURIComponent(value);
  });
  const whole = () => {
    const given = Object.entries(request).filter(([, value]) => value !== null && value !== undefined);
    const body = JSON.stringify({ command: name, request: Object.fromEntries(given) });
    return { method: 'POST', path: `${apiPath}/commands`, body };
  };
  if (filled.length > addressCharactersMax) return whole();
  if (method !== 'GET' && method !== 'DELETE') {
    return { method, path: apiPath + filled, body: JSON.stringify(Object.fromEntries(rest)) };
  }
  const query = new URLSearchParams();
  for (const [key, value] of rest) {
    if (value === null || value === undefined) continue;
    for (const each of [value].flat()) query.append(key, String(each));
  }
  const address = `${apiPath}${filled}${query.size > 0 ? `?${query}` : ''}`;
  return address.length > addressCharactersMax ? whole() : { method, path: address, body: null };
}

/** Rejects with an AwayError, a ProblemError, or as `signal` was aborted. */
export async function openResponse(
  name: CommandName,
  request: object,
  signal?: AbortSignal,
  accept = 'application/json',
): Promise<Response> {
  const { method, path, body } = httpRequestOf(name, request as Record<string, unknown>);
  const headers: Record<string, string> = { Accept: accept };
  const who = session.peek();
  if (body !== null) headers['Content-Type'] = 'application/json';
  if (method !== 'GET' && who.state === 'open') headers['X-CSRF-Token'] = who.who.csrfToken;
  const options: RequestInit = { method, headers, cache: 'no-store', body };
  if (signal !== undefined) options.signal = signal;
  const response = await fetch(path, options).catch((cause: unknown) => {
    if (isAbort(cause)) throw cause;
    unanswered();
    throw new AwayError('no answer', { cause });
  });
  if (response.ok) {
    answered();
    return response;
  }
  const error = await errorOf(response);
  if (error instanceof AwayError) unanswered();
  else answered();
  if (response.status === 401) sessionEnded();
  throw error;
}

/** Rejects with an AwayError, a ProblemError, or as `signal` was aborted. */
export async function call<Name extends CommandName>(
  name: Name,
  request: RequestOf<Name>,
  signal?: AbortSignal,
): Promise<AnswerOf<Name>> {
  const response = await openResponse(name, request, signal);
  return (await response.json()) as AnswerOf<Name>;
}
