/**
 * How a client identifier is shown to people. Sessions within the process have identifiers that begin with U+0000,
 * which no client can have: those of bridges are shown as what they are.
 */

import { bridgeSessionPrefix } from '../protocol/publisher.ts';

const form = /^([^/]+)(?:\/\d+\.(\d)\.(.*))?$/s;

/** `bridge up`, `bridge up, priority 9`; null: it is no session of a bridge. */
export function bridgeText(clientId: string): string | null {
  if (!clientId.startsWith(bridgeSessionPrefix)) return null;
  const [, name, priority, pipeline] = form.exec(clientId.slice(bridgeSessionPrefix.length)) ?? [];
  if (name === undefined) return null;
  const lane = priority === undefined ? '' : `, priority ${priority}`;
  return `bridge ${name}${lane}${pipeline ? `, pipeline ${pipeline}` : ''}`;
}

/** In a sentence: `"sensor"`, or `the bridge up`. */
export function clientText(clientId: string): string {
  const bridge = bridgeText(clientId);
  return bridge === null ? JSON.stringify(clientId) : `the ${bridge}`;
}
