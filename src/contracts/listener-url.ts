/** How a listener is called: by clients, in rules and in the log. */
import { resolve } from 'node:path';
import type { TransportKind } from './transport.ts';

export const schemes: Readonly<Record<TransportKind, string>> = {
  tcp: 'mqtt',
  tls: 'mqtts',
  ws: 'ws',
  wss: 'wss',
  unix: 'unix',
  local: 'local',
  stream: 'stream',
};

/** Where to listen, as it is configured. */
export type ListenerAddress =
  | { readonly kind: 'unix'; readonly socket: string }
  | { readonly kind: Exclude<TransportKind, 'unix' | 'local'>; readonly host: string; readonly port: number };

export const bracketed = (host: string) => (host.includes(':') ? `[${host}]` : host);

/** Without its kind: `127.0.0.1:1883`, or the path of a socket. */
export const addressText = (address: ListenerAddress) =>
  address.kind === 'unix' ? address.socket : `${bracketed(address.host)}:${address.port}`;

export const isSameAddress = (one: ListenerAddress, other: ListenerAddress) =>
  one.kind === other.kind && addressText(one) === addressText(other);

/** A text that fits the URL of a configured listener, with `*` for what is known once it listens. */
export function listenerPattern(address: ListenerAddress): string {
  const { kind } = address;
  if (kind === 'unix') return `${schemes.unix}://${resolve(address.socket)}`;
  const path = kind === 'ws' || kind === 'wss' ? '/*' : '';
  return `${schemes[kind]}://${bracketed(address.host)}:${address.port === 0 ? '*' : address.port}${path}`;
}
