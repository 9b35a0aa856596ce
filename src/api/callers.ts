/** Who asks. */
import type { IncomingMessage } from 'node:http';
import { CommandFailure } from '../contracts/failures.ts';
import { type Caller, controlSocket } from '../contracts/roles.ts';
import type { Keys } from './keys.ts';
import { fromOf, placeOf } from './place.ts';

/** Throws a CommandFailure if nobody has shown who asks. */
export function callerOf(request: IncomingMessage, keys: Keys, now: number): Caller {
  if (placeOf(request).kind === 'socket') return controlSocket;
  const { authorization } = request.headers;
  if (authorization === undefined) throw new CommandFailure('unauthenticated', 'The request has no key');
  const [, given] = /^Bearer +(\S+) *$/i.exec(authorization) ?? [];
  const key = given === undefined ? null : keys.find(given, now);
  if (key === null) throw new CommandFailure('unauthenticated', 'The key is not known, or has expired');
  return { name: `key ${key.name}`, from: fromOf(request), role: key.role, areas: key.areas, username: key.username };
}
