/** Who gives a command, as rules, hooks and pipelines know clients. */
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { Caller } from '../contracts/roles.ts';

/** Null: it is under no user's rules, as the program is. */
export function identityOf({ name, from, username }: Caller): ClientIdentity | null {
  if (username === null) return null;
  return {
    clientId: name,
    username,
    protocolVersion: 5,
    transport: 'tcp',
    remoteAddress: from ?? '',
    listener: 'http',
    groups: [],
    attributes: {},
  };
}
