/** Where a request came in. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { LoginPenalties } from '../contracts/login-penalties.ts';

export interface Place {
  /** `socket`: that of the data directory, where the permissions of its file are the access. */
  readonly kind: 'socket' | 'http' | 'https';
  /** As a browser would write it: `http://127.0.0.1:18083`; of a socket, its path. */
  readonly url: string;
  readonly isLoopback: boolean;
}

const places = new WeakMap<IncomingMessage, Place>();

export const setPlace = (request: IncomingMessage, place: Place): void => void places.set(request, place);
export const placeOf = (request: IncomingMessage): Place => places.get(request)!;

/** `address:port` of whoever asks; null on the socket. */
export function fromOf(request: IncomingMessage): string | null {
  const { remoteAddress, remotePort } = request.socket;
  if (remoteAddress === undefined) return null;
  return remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}

/** What limits and penalties count whoever asks under; null: on the socket, exempt, or gone. */
export function sourceFrom({ remoteAddress }: Socket, { sourceOf }: Pick<LoginPenalties, 'sourceOf'>): string | null {
  return remoteAddress === undefined ? null : sourceOf(remoteAddress);
}
