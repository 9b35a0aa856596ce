/** What carries out commands about bans. */
import type { BanList } from '../contracts/bans.ts';
import { addressOfBans } from '../contracts/commands/access.ts';
import type { CommandHandlers } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';

type Handlers = Pick<CommandHandlers, 'bans list' | 'bans create' | 'bans clear'>;

const addressOf = (given: string | null) => (given === null ? null : addressOfBans(given));

export function banHandlers(list: BanList): Handlers {
  return {
    'bans list': async () => ({ bans: list.bans() }),
    async 'bans create'({ address, user, client, disconnect, ...wanted }) {
      if ((address === null && user === null && client === null) || (user !== null && client !== null)) {
        throw new CommandFailure('conflict', 'A ban is of an address, a user or a client, of the last two only one');
      }
      const ban = list.ban({ ...wanted, address: addressOf(address), user, client });
      if (ban === null) throw new CommandFailure('conflict', 'There are too many bans of operators; clear some first');
      return { ban, disconnected: disconnect ? await list.disconnectBanned(ban) : 0 };
    },
    async 'bans clear'({ address, user, client }) {
      if (address === null && user === null && client === null) {
        throw new CommandFailure('conflict', 'Which bans? Name an address, a user or a client, or say all');
      }
      return { count: list.clearBans({ address: address === 'all' ? null : addressOf(address), user, client }) };
    },
  };
}
