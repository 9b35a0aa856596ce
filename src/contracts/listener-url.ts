/** How a listener is called: by clients, in rules and in the log. */
import type { TransportKind } from './transport.ts';

export const schemes: Readonly<Record<TransportKind, string>> = {
  tcp: 'mqtt',
  tls: 'mqtts',
  ws: 'ws',
  wss: 'wss',
  local: 'local',
};

export const bracketed = (host: string) => (host.includes(':') ? `[${host}]` : host);

/** A text that fits the URL of a configured listener, with `*` for what is known once it listens. */
export function listenerPattern({ kind, host, port }: { kind: TransportKind; host: string; port: number }): string {
  const path = kind === 'ws' || kind === 'wss' ? '/*' : '';
  return `${schemes[kind]}://${bracketed(host)}:${port === 0 ? '*' : port}${path}`;
}
