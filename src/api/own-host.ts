/**
 * Whether a request was meant for this API: a web page of elsewhere can make a browser send one, under a name of its
 * own that leads here (DNS rebinding), or from its own origin.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { isLoopbackHost } from '../base/addresses.ts';
import { CommandFailure } from '../contracts/failures.ts';
import { placeOf } from './place.ts';

export interface KnownNames {
  /** Names in `Host`, besides addresses and names of loopback. */
  readonly hosts: readonly string[];
  /** Web pages that may ask, as `https://ops.example`, besides those of the API itself. */
  readonly origins: readonly string[];
}

/** Of which a request has one at most: whoever is between may have looked at another of them than we do. */
const onceOnly = new Set([
  'host',
  'origin',
  'authorization',
  'cookie',
  'content-type',
  'x-csrf-token',
  'idempotency-key',
]);

/** Throws a CommandFailure if a header is there twice that can be there once, or hosts contradict each other. */
export function checkHeaders({ rawHeaders, url = '/', headers: { host } }: IncomingMessage): void {
  const found = new Set<string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (!onceOnly.has(name)) continue;
    if (found.has(name)) throw new CommandFailure('invalid-request', `The header ${name} is there twice`);
    found.add(name);
  }
  if (/^https?:/i.test(url) && (!URL.canParse(url) || new URL(url).host !== host?.toLowerCase())) {
    throw new CommandFailure('invalid-request', 'The request names a host in its line, and another one in its headers');
  }
}

/** Throws a CommandFailure if it was meant for another host, or comes from a web page that may not. */
export function checkHost(request: IncomingMessage, known: KnownNames): void {
  const { kind } = placeOf(request);
  const { host, origin } = request.headers;
  if (kind === 'socket') return;
  if (host === undefined) throw new CommandFailure('invalid-request', 'The request names no host');
  const name = hostnameOf(host);
  if (name === null || !(isIP(name) !== 0 || isLoopbackHost(name) || known.hosts.includes(name))) {
    throw new CommandFailure('host-refused', `This API is not known as ${JSON.stringify(host)}`);
  }
  if (origin === undefined || origin === `${kind}://${host}` || known.origins.includes(origin)) return;
  throw new CommandFailure('origin-refused', `Web pages of ${JSON.stringify(origin)} may not ask`);
}

/** In lower case, without port and brackets; null if it is none. */
function hostnameOf(host: string): string | null {
  const [, bracketed, plain] = /^(?:\[([\da-f:.]+)\]|([\w.-]+))(?::\d{1,5})?$/i.exec(host) ?? [];
  return (bracketed ?? plain)?.toLowerCase() ?? null;
}
