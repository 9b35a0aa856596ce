/** What carries out commands about keys. */

import type { KeyView } from '../contracts/commands/keys.ts';
import type { CommandHandlers } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import { areasBeyond, covers } from '../contracts/roles.ts';
import type { ApiKey, Keys } from './keys.ts';

type Handlers = Pick<CommandHandlers, 'keys list' | 'keys create' | 'keys delete'>;

export function keyHandlers(keys: Keys, now: () => number): Handlers {
  return {
    'keys list': async () => ({ keys: keys.list().map(viewOf) }),
    async 'keys create'({ expiresInSeconds, ...wanted }, caller) {
      if (!covers(caller, wanted)) {
        const remedy = `leave out ${areasBeyond(caller, wanted)}`;
        throw new CommandFailure('forbidden', `${caller.name} makes no key that may do more than itself; ${remedy}`);
      }
      const isSame = ({ name, expiresAt }: ApiKey) => name === wanted.name && (expiresAt === null || expiresAt > now());
      const same = keys.list().find(isSame);
      if (same !== undefined) {
        const what = `There is a key called ${JSON.stringify(wanted.name)} already (${same.id})`;
        throw new CommandFailure('conflict', `${what}; take another name, or delete that one first`);
      }
      const expiresAt = expiresInSeconds === null ? null : now() + expiresInSeconds * 1_000;
      const { key, secret } = await keys.create({ ...wanted, expiresAt }, now());
      return { ...viewOf(key), key: secret };
    },
    'keys delete': async ({ id }) => viewOf(await keys.delete(id)),
  };
}

function viewOf({ hash: _, ...key }: ApiKey): KeyView {
  return key;
}
