/**
 * Which web pages may connect over WebSocket. Browsers let any page open a WebSocket to any address, also to one that
 * only this machine or this network can reach, and name the page's origin in the request. [RFC 6455 10.2]
 *
 * Where clients show credentials, a page from elsewhere has none, so every origin may connect unless `origins` lists
 * some. Where a connection alone is enough, only pages of this machine may.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { canonicalAddress, isLoopbackHost } from '../base/addresses.ts';
import { printable } from '../base/printable.ts';

export interface OriginRules {
  /**
   * As a browser writes them (`https://dashboard.example`); `*`: any. Empty: any, or with `isOpen` those of this
   * machine.
   */
  readonly origins: readonly string[];
  /** A client needs no credentials here but those that a browser adds on its own, such as a certificate. */
  readonly isOpen: () => boolean;
  /** The listener's own, as configured. */
  readonly host: string;
}

const remedy = 'unless it is in the listener\'s "origins"';

/**
 * Why a request must not become a WebSocket, or null. A client without an Origin header is no browser. `localAddress`:
 * of this machine, where the connection arrived.
 */
export function originRefusal(
  { origin, host }: IncomingHttpHeaders,
  rules: OriginRules,
  localAddress: string | undefined,
): string | null {
  if (origin === undefined) return null;
  const { origins, isOpen } = rules;
  if (origins.length > 0) {
    if (origins.includes(origin) || origins.includes('*')) return null;
    return `The origin ${printable(origin)} is not in the listener's "origins"`;
  }
  if (!isOpen()) return null;
  if (!isLoopbackOrigin(origin)) {
    return `The origin ${printable(origin)} may not connect without authentication, ${remedy}`;
  }
  // A name that an attacker's name server points here says who was really asked for (DNS rebinding).
  if (!isOwnHost(host ?? '', rules.host, localAddress)) {
    const asked = `asked for the host ${JSON.stringify(printable(host ?? ''))}, which is not a name of this listener`;
    return `The origin ${printable(origin)} ${asked}, ${remedy}`;
  }
  return null;
}

/** `null` is none: any page can have that origin by a sandboxed frame. */
function isLoopbackOrigin(origin: string): boolean {
  const [, authority] = /^https?:\/\/([^/]+)$/i.exec(origin) ?? [];
  return authority !== undefined && isLoopbackHost(hostnameOf(authority));
}

function isOwnHost(authority: string, ownHost: string, localAddress: string | undefined): boolean {
  const name = hostnameOf(authority);
  if (name === '') return false;
  if (isLoopbackHost(name) || name.toLowerCase() === ownHost.toLowerCase()) return true;
  if (isIP(name) === 0) return false;
  const address = canonicalAddress(name);
  return address === canonicalAddress(ownHost) || address === canonicalAddress(localAddress ?? '');
}

/** Of `name:port` or `[address]:port`, whose port may be absent; empty for anything else. */
function hostnameOf(authority: string): string {
  const [, bracketed, plain] = /^(?:\[([\da-fA-F:.]+)\]|([^\s:[\]@]+))(?::\d{1,5})?$/.exec(authority) ?? [];
  return bracketed ?? plain ?? '';
}
