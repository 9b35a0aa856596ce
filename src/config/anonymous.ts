import { isLoopbackHost } from '../base/addresses.ts';
import { hasAuthentication } from '../contracts/authentication.ts';
import { addressText } from '../contracts/listener-url.ts';
import { ConfigError } from './error.ts';
import type { Config } from './schema.ts';

/**
 * Throws unless only this machine can reach a listener that asks nobody for credentials, or that was written down as
 * meant.
 */
export function assertSafeToListen(config: Config): void {
  // As soon as any listener checks credentials, none takes a client on trust that was not allowed to be anonymous.
  if (hasAuthentication(config)) return;
  const open = config.listeners
    .filter((listener) => {
      const { allowAnonymous = config.allowAnonymous } = listener;
      return !allowAnonymous && listener.kind !== 'unix' && !isLoopbackHost(listener.host);
    })
    .map(addressText);
  if (open.length === 0) return;
  const what = `Not listening on ${open.join(', ')}: anybody could connect from other machines, since no authentication is set`;
  const page = 'docs/guides/authentication.md';
  const how = `else use 127.0.0.1, or say under authentication: how clients show who they are (${page})`;
  throw new ConfigError(`${what}. If that is meant, say allowAnonymous: true or --allow-anonymous; ${how}`);
}
