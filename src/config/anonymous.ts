import { ConfigError } from './error.ts';
import type { Config } from './schema.ts';

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || host.startsWith('127.');

/** Throws unless only this machine can reach a broker that asks nobody for credentials, or that was written down as meant. */
export function assertSafeToListen(config: Config): void {
  if (config.allowAnonymous) return;
  for (const { host, port } of config.listeners) {
    if (isLoopback(host)) continue;
    const what = `Not listening on ${host}:${port}: anybody could connect from other machines, since no authentication is set`;
    throw new ConfigError(
      `${what}. If that is meant, say allowAnonymous: true or --allow-anonymous; else use 127.0.0.1`,
    );
  }
}
