import { BlockList, isIP } from 'node:net';
import { ConfigError } from './error.ts';
import type { Config } from './schema.ts';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

function isLoopback(host: string): boolean {
  const family = isIP(host);
  return family === 0 ? host.toLowerCase() === 'localhost' : loopback.check(host, family === 6 ? 'ipv6' : 'ipv4');
}

/** Throws unless only this machine can reach a broker that asks nobody for credentials, or that was written down as meant. */
export function assertSafeToListen(config: Config): void {
  if (config.allowAnonymous) return;
  const open = config.listeners
    .filter(({ host }) => !isLoopback(host))
    .map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`);
  if (open.length === 0) return;
  const what = `Not listening on ${open.join(', ')}: anybody could connect from other machines, since no authentication is set`;
  throw new ConfigError(`${what}. If that is meant, say allowAnonymous: true or --allow-anonymous; else use 127.0.0.1`);
}
